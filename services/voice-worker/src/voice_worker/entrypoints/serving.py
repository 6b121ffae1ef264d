"""The worker's main process: registers at livekit-server, keeps job processes warm, tells its health, drains on
SIGTERM."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from livekit import api
from livekit.agents import AgentServer, JobContext, JobProcess
from prometheus_client import Gauge
from redis.asyncio import Redis
from redis.exceptions import RedisError

from call_events.connection import check_server, connect
from call_events.errors import BadSetting
from call_events.health import HealthServer
from call_events.job_metrics import JobMetrics, metrics_directory
from call_events.redis_log import RedisEventLog
from call_events.spool import Spool
from call_events.spool_keeper import SpoolKeeper
from call_events.startup import CannotReach

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What the worker's main process needs to know; see ``voice_worker.settings`` for each."""

    redis_url: str
    livekit_url: str
    livekit_api_key: str
    livekit_api_secret: str = field(repr=False)
    agent_name: str
    profile: str
    max_calls: int
    idle_processes: int
    drain_seconds: int
    http_host: str
    http_port: int
    log_level: str
    #: Where calls leave events while Redis is away; absent: nowhere.
    spool: Spool | None = None


ACTIVE_CALLS = Gauge("voice_worker_active_calls", "Calls that this worker runs now")
MAX_CALLS = Gauge("voice_worker_max_calls", "Calls that this worker takes at once")

CHECK_SECONDS = 5.0
PROBE_EVERY_SECONDS = 5.0
CLOSE_SECONDS = 20.0


async def check_livekit(options: ServerOptions) -> None:
    """Ask livekit-server for its rooms.

    Raises:
        CannotReach: it does not answer.
        BadSetting: it does not know the key or the secret.
    """
    url = options.livekit_url
    try:
        async with (
            asyncio.timeout(CHECK_SECONDS),
            api.LiveKitAPI(url, options.livekit_api_key, options.livekit_api_secret) as client,
        ):
            await client.room.list_rooms(api.ListRoomsRequest())
    except api.TwirpError as error:
        if error.status in (401, 403):
            raise BadSetting(
                f"LIVEKIT_API_KEY, LIVEKIT_API_SECRET: livekit-server at {url} refuses them (HTTP {error.status}); "
                "use a pair from its configuration"
            ) from None
        raise CannotReach(f"LIVEKIT_URL: livekit-server at {url} answers HTTP {error.status}; see its log") from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        why = type(error).__name__
        raise CannotReach(f"LIVEKIT_URL: {url} cannot be reached ({why}); start livekit-server or correct it") from None


class Server(AgentServer):
    """An agent server that tells when livekit-server no longer knows it; the SDK (1.8.9) tells the contrary only."""

    cut_off: Callable[[], None] | None = None

    async def _run_ws(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        try:
            await super()._run_ws(ws)
        finally:
            if self.cut_off:
                self.cut_off()


def build_server(
    options: ServerOptions,
    *,
    prepare: Callable[[JobProcess], Any],
    answer: Callable[[JobContext], Any],
    counts: Path,
) -> "Server":
    """The worker as LiveKit sees it: named, explicitly dispatched, loaded by the number of its calls.

    ``counts`` is where its job processes shall leave what they count: the SDK empties that directory as it starts and
    hands it on in their environment.
    """
    server = Server(
        ws_url=options.livekit_url,
        api_key=options.livekit_api_key,
        api_secret=options.livekit_api_secret,
        host="127.0.0.1",
        port=0,
        num_idle_processes=options.idle_processes,
        initialize_process_timeout=60.0,
        drain_timeout=options.drain_seconds,
        setup_fnc=prepare,
        load_fnc=lambda worker: len(worker.active_jobs) / options.max_calls,
        load_threshold=1.0,
        job_memory_warn_mb=600,
        preload_modules=["voice_worker.job", "voice_worker.adapters.preload"],
        log_level=options.log_level.upper(),
        prometheus_multiproc_dir=str(counts),
    )
    server.rtc_session(answer, agent_name=options.agent_name)
    return server


async def serve(
    options: ServerOptions,
    stop: asyncio.Event,
    *,
    prepare: Callable[[JobProcess], Any],
    answer: Callable[[JobContext], Any],
) -> None:
    """Take calls until ``stop``, then finish those that are running.

    Raises:
        CannotReach, LogUnavailable, BadSetting: at the start; one line with the mend.
    """
    redis = connect(options.redis_url)
    try:
        await check_server(redis, url=options.redis_url)
        await check_livekit(options)
        with metrics_directory() as counts:
            jobs = JobMetrics(counts)
            server = build_server(options, prepare=prepare, answer=answer, counts=counts)
            MAX_CALLS.set(options.max_calls)
            health: dict[str, bool] = {"redis": True, "livekit": False, "taking_calls": True}
            # The SDK registers only when its idle job processes are warm, so registered means ready.
            registered = asyncio.Event()
            server.on("worker_registered", lambda *_: registered.set())
            server.cut_off = registered.clear
            async with HealthServer(
                options.http_host, options.http_port, lambda: health, registry=jobs.registry
            ) as http:
                log.info("worker.starting", http_port=http.port, agent_name=options.agent_name, profile=options.profile)
                async with asyncio.TaskGroup() as group:
                    running = group.create_task(server.run(), name="server")
                    watching = group.create_task(_watch(server, options, redis, registered, health), name="health")
                    telling = group.create_task(_tell_ready(registered, http.port), name="ready")
                    keeping = group.create_task(_keep_spool(options.spool, redis), name="spool")
                    counting = group.create_task(jobs.run(), name="metrics")
                    stopping = group.create_task(stop.wait(), name="stop")
                    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
                    if not running.done():
                        health["taking_calls"] = False
                        await _finish(server, options.drain_seconds)
                    for task in (watching, telling, stopping, keeping, counting):
                        task.cancel()
    finally:
        await redis.aclose()
    log.info("worker.stopped")


async def _finish(server: AgentServer, drain_seconds: int) -> None:
    """Let running calls end by themselves, then close."""
    try:
        await server.drain(timeout=drain_seconds)
    except TimeoutError:
        log.warning("worker.drain_timed_out", calls=len(server.active_jobs), seconds=drain_seconds)
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await server.aclose()
    except TimeoutError:
        log.warning("worker.close_timed_out", seconds=CLOSE_SECONDS)


async def _keep_spool(spool: Spool | None, redis: Redis) -> None:
    """Bring into the log what job processes leave in the spool, until cancelled."""
    if spool is not None:
        await SpoolKeeper(spool, RedisEventLog(redis)).run()


async def _tell_ready(registered: asyncio.Event, port: int) -> None:
    await registered.wait()
    log.info("worker.ready", http_port=port)


async def _watch(
    server: AgentServer, options: ServerOptions, redis: Any, registered: asyncio.Event, health: dict[str, bool]
) -> None:
    """Keep what /health tells true."""
    while True:
        # A server that hangs keeps the socket for a while; so it is asked as well.
        health["livekit"] = registered.is_set() and await _livekit_answers(options)
        ACTIVE_CALLS.set(len(server.active_jobs) if registered.is_set() else 0)
        alive = False
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(CHECK_SECONDS):
                alive = bool(await redis.ping())
        health["redis"] = alive
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROBE_EVERY_SECONDS if registered.is_set() else 0.1):
                await asyncio.Event().wait()


async def _livekit_answers(options: ServerOptions) -> bool:
    try:
        await check_livekit(options)
    except (CannotReach, BadSetting) as error:
        log.warning("worker.livekit_unreachable", why=str(error))
        return False
    return True
