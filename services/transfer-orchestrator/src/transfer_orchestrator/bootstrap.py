"""The one place where the parts of the orchestrator meet."""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from redis.asyncio import Redis

from call_events.clock import SystemClock
from call_events.connection import check_server, connect
from call_events.consumer import Consumer, ConsumerOptions
from call_events.errors import BadSetting
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.service import HealthServer
from transfer_orchestrator.adapters.destinations_file import load_destinations
from transfer_orchestrator.adapters.livekit_sip import LiveKitSip, livekit_sip
from transfer_orchestrator.adapters.profile_beside import check_profile_beside
from transfer_orchestrator.adapters.prometheus import PrometheusGauges
from transfer_orchestrator.domain.destination import Destinations
from transfer_orchestrator.entrypoints.stream import Stream
from transfer_orchestrator.errors import BadDestinations
from transfer_orchestrator.handlers.dials import Dials
from transfer_orchestrator.handlers.recorder import Recorder
from transfer_orchestrator.handlers.transfers import Transfers
from transfer_orchestrator.handlers.watch import Tempo
from transfer_orchestrator.settings import Settings

log = structlog.get_logger()

#: The consumer group: every orchestrator on this log shares it.
GROUP = "transfer"
_CONSUMING = ConsumerOptions()
#: Redis connections besides one for every call in hand: dials read their calls' logs (each five times a second, for a
#: millisecond), the script lanes (8), the blocking read, the upkeep.
_SPARE_CONNECTIONS = 256


class Orchestrator:
    """Everything wired, nothing running yet."""

    def __init__(self, settings: Settings, redis: Redis, livekit: LiveKitSip, destinations: Destinations) -> None:
        self._settings = settings
        self._redis = redis
        self._livekit = livekit
        self._destinations = destinations
        self._stream: Stream | None = None
        #: Unique among all processes and restarts: only the writer of ``transfer.dialing`` may dial.
        self.instance = f"transfer-orchestrator/{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop; then see :class:`Stream`."""
        clock, gauges, runner = SystemClock(), PrometheusGauges(), ScriptRunner(self._redis)
        event_log = RedisEventLog(self._redis, runner=runner)
        recorder = Recorder(event_log, clock, gauges, instance=self.instance)
        tempo = Tempo(poll=self._settings.poll_ms / 1000)
        dials = Dials(self._livekit, recorder, clock, gauges, tempo)
        async with asyncio.TaskGroup() as tasks:
            handler = Transfers(
                destinations=self._destinations,
                dialler=self._livekit,
                recorder=recorder,
                dials=dials,
                clock=clock,
                gauges=gauges,
                tasks=tasks,
            )
            consumer = Consumer(
                self._redis,
                group=GROUP,
                worker=self.instance,
                handler=handler,
                options=_CONSUMING,
                runner=runner,
                endpoint="livekit-server, at LIVEKIT_URL",
            )
            self._stream = Stream(consumer, dials, grace_s=self._settings.stop_grace_s)
            beside = (
                tasks.create_task(self._livekit.keep_watch(), name="livekit-watch"),
                tasks.create_task(event_log.keep_journal(), name="journal"),
            )
            await self._stream.run(stop)
            for task in beside:
                task.cancel()

    def readiness(self) -> Mapping[str, str | bool]:
        """For ``GET /health``."""
        return {
            "log": self._stream is not None and self._stream.reading,
            "livekit": self._livekit.reachable,
            "trunk": self._livekit.has_trunk,
            "destinations": str(len(self._destinations)),
        }


def connect_log(settings: Settings) -> Redis:
    """A client with room for every call in hand and every dial.

    Raises:
        BadSetting: REDIS_URL is none.
    """
    return connect(settings.redis_url, max_connections=_CONSUMING.slots + _SPARE_CONNECTIONS)


@asynccontextmanager
async def orchestrator(settings: Settings) -> AsyncIterator[Orchestrator]:
    """Build from settings, check what is needed, close in reverse.

    Raises:
        BadSetting, CannotReach, LogUnavailable: one line with the mend.
    """
    try:
        destinations = load_destinations(settings.destinations)
        check_profile_beside(settings.destinations, destinations)
    except BadDestinations as error:
        raise BadSetting(f"TRANSFER_ORCHESTRATOR_DESTINATIONS: {error}") from error
    async with AsyncExitStack() as stack:
        redis = connect_log(settings)
        stack.push_async_callback(redis.aclose)
        await check_server(redis, url=settings.redis_url)
        livekit = await stack.enter_async_context(
            livekit_sip(
                settings.livekit_url,
                settings.livekit_api_key,
                settings.livekit_api_secret.get_secret_value(),
                trunk_name=settings.trunk_name,
            )
        )
        await livekit.check(settings.livekit_url)
        service = Orchestrator(settings, redis, livekit, destinations)
        health = await stack.enter_async_context(
            HealthServer(settings.http_host, settings.http_port, service.readiness)
        )
        log.info("service.started", instance=service.instance, http_port=health.port, destinations=sorted(destinations))
        yield service
