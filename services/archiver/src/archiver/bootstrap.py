"""The one place where the parts of the archiver meet."""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import structlog
from redis.asyncio import Redis

from archiver.adapters.prometheus import PrometheusGauges
from archiver.adapters.redis_calls import RedisBookmark, RedisCalls
from archiver.entrypoints.stream import Sweep, archive_calls
from archiver.handlers.leaving import Departures
from archiver.handlers.retention import Retention
from archiver.handlers.sealing import Sealing
from archiver.handlers.tidying import keep_tidy
from archiver.settings import Settings
from call_archive.chain import Chain, Gatherer
from call_archive.erasure import GROUP, RedisLiveLog
from call_archive.errors import ChainBroken, StoreUnavailable
from call_archive.head import RedisHead
from call_archive.ports import Store
from call_archive.signing import Signer, load_signer
from call_archive.stores import S3Options, open_store
from call_events.admin import Admin
from call_events.clock import SystemClock
from call_events.connection import check_server, connect
from call_events.consumer import Consumer, ConsumerOptions
from call_events.errors import BadSetting
from call_events.runner import ScriptRunner
from call_events.service import CannotReach, HealthServer

log = structlog.get_logger()

#: Redis connections besides one for every call in hand: the script lanes (8), the blocking read, the upkeep.
_SPARE_CONNECTIONS = 32


class Archiver:
    """Everything wired, nothing running yet."""

    def __init__(self, settings: Settings, redis: Redis, store: Store, chain: Chain, *, instance: str) -> None:
        clock, gauges, runner = SystemClock(), PrometheusGauges(), ScriptRunner(redis)
        groups = settings.groups.split(",")
        calls = RedisCalls(Admin(redis), runner, groups=groups, grace_s=settings.grace_s)
        self._gatherer = Gatherer(chain, pause_s=settings.link_pause_s)
        departures = Departures(calls, gauges, clock, sweep_s=settings.sweep_s)
        self._sealing = Sealing(
            store,
            self._gatherer,
            calls,
            gauges,
            clock,
            by=instance,
            settle=timedelta(seconds=settings.settle_s),
            let_go=departures.soon,
        )
        self._sweeps: dict[str, Callable[[], Sweep]] = {
            "departures": departures.run,
            "tidying": lambda: keep_tidy(store),
        }
        if settings.keep_days is not None:
            keep, bookmark = timedelta(days=settings.keep_days), RedisBookmark(runner)
            retention = Retention(
                store, chain, bookmark, gauges, clock, live=RedisLiveLog(redis), keep=keep, by=instance
            )
            self._sweeps["retention"] = retention.run
        options = ConsumerOptions(slots=settings.slots, lease_s=settings.lease_s, stop_budget_s=settings.stop_budget_s)
        self._consumer = Consumer(
            redis,
            group=GROUP,
            worker=instance,
            handler=self._sealing,
            options=options,
            runner=runner,
            endpoint="the archive, at ARCHIVE_URL",
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop; see ``entrypoints.stream``."""
        await archive_calls(self._consumer, self._gatherer, self._sweeps, stop)

    def readiness(self) -> Mapping[str, str | bool]:
        """For ``GET /health``. A store that does not serve is only told of: calls wait, and no restart mends it."""
        status = self._consumer.status()
        return {
            "log": status.reading,
            "archive": "serves" if self._sealing.store_serves else "does not serve; calls wait in Redis",
            "calls_in_hand": str(status.in_hand),
        }


@asynccontextmanager
async def archiver(settings: Settings) -> AsyncIterator[Archiver]:
    """Build from settings, check what is needed, close in reverse.

    Raises:
        BadSetting, CannotReach, LogUnavailable: one line with the mend.
    """
    instance = f"archiver/{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    signer = _signer(settings)
    store = open_store(settings.archive_url, s3=_s3(settings))
    async with AsyncExitStack() as stack:
        redis = connect(settings.redis_url, max_connections=settings.slots + _SPARE_CONNECTIONS)
        stack.push_async_callback(redis.aclose)
        await check_server(redis, url=settings.redis_url)
        chain = Chain(store, RedisHead(redis), SystemClock(), by=instance, signer=signer)
        links = await _open(store, chain)
        service = Archiver(settings, redis, store, chain, instance=instance)
        health = await stack.enter_async_context(
            HealthServer(settings.http_host, settings.http_port, service.readiness)
        )
        log.info("service.started", instance=instance, http_port=health.port, archive=store.url, links=links)
        yield service


def _signer(settings: Settings) -> Signer | None:
    if settings.signing_key_file is None:
        return None
    try:
        return load_signer(settings.signing_key_file)
    except BadSetting as error:
        raise BadSetting(f"ARCHIVER_SIGNING_KEY_FILE: {error}") from error


async def _open(store: Store, chain: Chain) -> int:
    try:
        await store.check()
        return await chain.open()
    except StoreUnavailable as error:
        raise CannotReach(f"ARCHIVE_URL: {error}") from error
    except ChainBroken as error:
        raise BadSetting(f"ARCHIVE_URL: {error}") from error


def _s3(settings: Settings) -> S3Options:
    secret = settings.s3_secret_access_key
    return S3Options(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=None if secret is None else secret.get_secret_value(),
    )
