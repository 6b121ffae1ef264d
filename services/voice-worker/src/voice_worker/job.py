"""A job process: prepared once, then one call. Both functions are named by the worker and run in its child
processes."""

import asyncio
from collections.abc import Callable

from livekit.agents import JobContext, JobProcess

from call_events.ids import CallId
from voice_worker.adapters.profile_files import load_profile
from voice_worker.adapters.text_stage import Stage
from voice_worker.bootstrap import Process, check_spool, load_book, prepare_process, spool_of
from voice_worker.entrypoints import agent_job, serving, simulated
from voice_worker.settings import Settings

_KEY = "voice_worker.process"


def check(settings: Settings) -> None:
    """Find out before the first call that no call could be answered.

    Raises:
        BadSetting, BadProfile: one line that names the setting or the file, and the mend.
    """
    load_profile(settings.profiles_dir, settings.profile)
    load_book(settings.book)
    check_spool(settings)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Take calls until ``stop``; see :func:`voice_worker.entrypoints.serving.serve`."""
    options = serving.ServerOptions(
        redis_url=settings.redis_url,
        livekit_url=settings.livekit_url,
        livekit_api_key=settings.livekit_api_key,
        livekit_api_secret=settings.livekit_api_secret.get_secret_value(),
        agent_name=settings.agent_name,
        profile=settings.profile,
        max_calls=settings.max_calls,
        idle_processes=settings.idle_processes,
        drain_seconds=settings.drain_seconds,
        http_host=settings.http_host,
        http_port=settings.http_port,
        log_level=settings.log_level,
        spool=spool_of(settings),
    )
    await serving.serve(options, stop, prepare=prepare, answer=answer)


def prepare(process: JobProcess) -> None:
    """Load and warm everything before there is a call."""
    process.userdata[_KEY] = prepare_process(Settings())


async def answer(job: JobContext) -> None:
    """Answer one call."""
    prepared: Process = job.proc.userdata[_KEY]
    await agent_job.answer(job, prepared.run_call)


async def simulate(settings: Settings, call: CallId, stop: asyncio.Event, *, customer_id: str | None) -> None:
    """One call in text on the SDK's simulated job, without any room."""
    prepared = prepare_process(settings)

    async def run(on_stage: Callable[[Callable[[str], None]], None]) -> None:
        stage = Stage(customer_id=customer_id)
        await prepared.run_text_call(call, stage, lambda: on_stage(stage.perform))

    await simulated.play(call, run, stop, redis_url=settings.redis_url, agent_name=settings.agent_name)
