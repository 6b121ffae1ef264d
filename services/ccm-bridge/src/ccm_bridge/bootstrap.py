"""The composition root: the only place that sees settings, adapters and handlers at once."""

import os
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
from prometheus_client import REGISTRY, CollectorRegistry

from call_events.clock import SystemClock
from call_events.connection import check_server
from call_events.connection import connect as connect_redis
from call_events.consumer import Consumer, ConsumerOptions
from call_events.health import HealthServer
from ccm_bridge.adapters.ccm_http import CcmHttp, check_reachable, connect
from ccm_bridge.adapters.ccm_login import BearerLogin
from ccm_bridge.adapters.ccm_schema import CimDialect
from ccm_bridge.adapters.metrics import PrometheusMeter
from ccm_bridge.domain.conversation import Conversation
from ccm_bridge.domain.delivery import Bounds
from ccm_bridge.domain.identity import Sources
from ccm_bridge.domain.retry import Backoff
from ccm_bridge.handlers import ConversationDelivery
from ccm_bridge.ports import ConversationSink
from ccm_bridge.settings import Settings, seconds

GROUP = "ccm"
#: Redis connections besides one for every call in hand: the script lanes (8), the blocking read, the upkeep.
_SPARE_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Bridge:
    """What runs."""

    consumer: Consumer
    delivery: ConversationDelivery
    health: HealthServer


@asynccontextmanager
async def build(settings: Settings, *, registry: CollectorRegistry = REGISTRY) -> AsyncIterator[Bridge]:
    """Build everything, check what it stands on, close in reverse.

    Raises:
        BadSetting: Redis is there but will not do, or the health port cannot be had.
        LogUnavailable: Redis cannot be reached.
        CcmUnreachable: CCM cannot, and the settings want it at the start.
    """
    async with AsyncExitStack() as stack:
        redis = connect_redis(settings.redis_url, max_connections=settings.slots + _SPARE_CONNECTIONS)
        stack.push_async_callback(redis.aclose)
        await check_server(redis, url=settings.redis_url)
        if settings.require_ccm_at_start:
            await check_reachable(str(settings.ccm_url))
        session = await stack.enter_async_context(
            connect(connections=settings.slots, timeout_s=settings.request_timeout_s, verify_tls=settings.verify_tls)
        )
        delivery = build_delivery(settings, _sink(settings, session), registry)
        consumer = Consumer(
            redis,
            group=GROUP,
            worker=_worker_name(),
            handler=delivery,
            options=_consumer_options(settings),
            endpoint="CCM, at CCM_URL",
        )

        def readiness() -> Mapping[str, str | bool]:
            status = consumer.status()
            return {
                "redis": status.reading,
                "ccm": "serves" if status.endpoint_serves else "does not serve; messages wait in the log",
                "calls_in_hand": str(status.in_hand),
            }

        health = await stack.enter_async_context(HealthServer(settings.http_host, settings.http_port, readiness))
        yield Bridge(consumer, delivery, health)


def build_delivery(settings: Settings, sink: ConversationSink, registry: CollectorRegistry) -> ConversationDelivery:
    """The handler, as the settings want it."""
    return ConversationDelivery(
        sink,
        SystemClock(),
        PrometheusMeter(registry),
        conversation=Conversation(
            customer=Sources.parse(settings.customer_identifier),
            service=Sources.parse(settings.service_identifier),
            announce_start=settings.start_conversation,
            signal_end=settings.end_chat,
            note_missing=settings.missing_transcript_note,
            human_legs=settings.call_legs == "human",
            system_name=settings.system_name,
        ),
        bounds=Bounds(
            text=seconds(settings.text_wait_s), speech=seconds(settings.speech_wait_s), hold=seconds(settings.hold_s)
        ),
        backoff=Backoff(
            first=seconds(settings.first_retry_s),
            longest=seconds(settings.longest_retry_s),
            misconfigured=seconds(settings.misconfigured_retry_s),
        ),
    )


def _sink(settings: Settings, session: aiohttp.ClientSession) -> CcmHttp:
    dialect = CimDialect(
        connector_id=settings.connector_id,
        connector_name=settings.connector_name,
        bot_id=settings.bot_id,
        human_id=settings.human_id,
        human_ids=settings.human_ids,
        carrier=settings.carrier,
        timestamps=settings.timestamp_format,
    )
    login = None
    if settings.login_url is not None and settings.username is not None and settings.password is not None:
        login = BearerLogin(session, str(settings.login_url), settings.username, settings.password)
    return CcmHttp(
        session,
        str(settings.ccm_url),
        dialect,
        login=login if settings.auth == "bearer" else None,
        timeout_s=settings.request_timeout_s,
    )


def _consumer_options(settings: Settings) -> ConsumerOptions:
    return ConsumerOptions(
        slots=settings.slots,
        lease_s=settings.lease_s,
        # A place has few messages; the deadline of each attempt is the sink's.
        handler_timeout_s=settings.request_timeout_s * 4 + 5,
        first_pause_s=settings.first_retry_s,
        longest_pause_s=settings.longest_retry_s,
        cached_bytes=settings.cached_mib * 2**20,
        stop_budget_s=settings.stop_budget_s,
    )


def _worker_name() -> str:
    return f"ccm-bridge/{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
