"""One call in text on the SDK's simulated job: a real worker and a real job, but no livekit-server, no room, no
audio."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from livekit.agents import AgentServer, JobContext, JobExecutorType, JobProcess

from call_events.connection import check_server, connect
from call_events.ids import CallId

log = structlog.get_logger()

#: Runs the call and calls the given function with what takes its lines, once there is somebody to take them.
RunText = Callable[[Callable[[Callable[[str], None]], None]], Awaitable[None]]

CLOSE_SECONDS = 20.0


async def play(call: CallId, run: RunText, stop: asyncio.Event, *, redis_url: str, agent_name: str) -> None:
    """Run one call; returns when it is over.

    Raises:
        LogUnavailable, BadSetting: Redis; one line with the mend.
    """
    async with connect(redis_url) as redis:
        await check_server(redis, url=redis_url)
    here = asyncio.get_running_loop()
    over, started = asyncio.Event(), asyncio.Event()
    takers: list[Callable[[str], None]] = []

    def prepare(_: JobProcess) -> None:
        """Everything was prepared by this process already."""

    async def answer(job: JobContext) -> None:
        # The job runs in a thread of its own with its own loop; lines cross over to it.
        there = asyncio.get_running_loop()

        def on_stage(perform: Callable[[str], None]) -> None:
            takers.append(lambda line: _across(there, perform, line))

        try:
            await run(on_stage)
        finally:
            job.shutdown("the call is over")
            here.call_soon_threadsafe(over.set)

    server = AgentServer(
        job_executor_type=JobExecutorType.THREAD,
        num_idle_processes=0,
        host="127.0.0.1",
        port=0,
        setup_fnc=prepare,
        load_fnc=lambda _: 0.0,
    )
    server.rtc_session(answer, agent_name=agent_name)
    server.on("worker_started", lambda *_: started.set())
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.run(unregistered=True), name="server")
        await started.wait()
        await server.simulate_job(call, fake_job=True)
        reading = group.create_task(_read_lines(takers), name="lines")
        waiting = [group.create_task(event.wait()) for event in (over, stop)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not over.is_set():
            for take in takers:
                take("customer leaves")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await over.wait()
        for task in (reading, *waiting):
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await server.aclose()
        serving.cancel()


def _across(loop: asyncio.AbstractEventLoop, perform: Callable[[str], None], line: str) -> None:
    with contextlib.suppress(RuntimeError):  # the job has ended and its loop is closed
        loop.call_soon_threadsafe(perform, line)


async def _read_lines(takers: list[Callable[[str], None]]) -> None:
    """Standard input, line by line; its end is the customer's."""
    async for line in _lines():
        if line.strip():
            for take in takers:
                take(line)
    for take in takers:
        take("customer leaves")


async def _lines() -> AsyncIterator[str]:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while line := await reader.readline():
            yield line.decode("utf-8", "replace")
    finally:
        transport.close()
