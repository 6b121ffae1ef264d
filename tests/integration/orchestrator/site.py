"""A real livekit-server, the telephone exchange with phones, a real log, and orchestrators on top of them."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import orjson
import pytest
from redis.asyncio import Redis

from call_events.catalogue import Customer, LegLeft, Role, TransferRequested
from call_events.embedded import EmbeddedRedis
from call_events.envelope import Event, EventData
from call_events.ids import CallId
from call_events.ports import AnyEvent
from call_events.redis_log import RedisEventLog, connect
from call_events.testing import started
from standins.exchange import Exchange
from standins.media import Media, MediaError, provision
from standins.phones import ExchangePhone, ExchangePhones
from support.waiting import wait_until
from transfer_orchestrator.bootstrap import orchestrator
from transfer_orchestrator.settings import Settings

USERNAME, PASSWORD = "switch", "let-me-in"
CUSTOMER = "+15550001111"
DESTINATIONS = """\
destinations:
  billing-desk:
    name: Billing desk
    human_name: Maria Weber
    targets:
      - {name: billing-phone, number: "7001", ring_seconds: 20}
  short-desk:
    name: Short desk
    human_name: Sam Short
    targets:
      - {name: short-phone, number: "7002", ring_seconds: 2}
  support-desk:
    name: Support desk
    human_name: Amina Diallo
    targets:
      - {name: first, number: "7003", ring_seconds: 20}
      - {name: second, number: "7013", ring_seconds: 20, human_name: Peter Novak}
"""


class Process:
    """``python -m transfer_orchestrator`` with what it said."""

    def __init__(self, process: asyncio.subprocess.Process, tasks: asyncio.TaskGroup) -> None:
        self.process = process
        self.lines: list[dict[str, object]] = []
        tasks.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.startswith(b"{"):
                self.lines.append(orjson.loads(line))

    def said(self, event: str) -> bool:
        """Whether it logged this."""
        return any(line.get("event") == event for line in self.lines)

    async def kill(self) -> None:
        """As the kernel would."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


class Site:
    """One call on real parts."""

    def __init__(self, media: Media, exchange: Exchange, phones: ExchangePhones, redis: Redis, redis_url: str) -> None:
        self.media = media
        self.exchange = exchange
        self.phones = phones
        self.redis_url = redis_url
        self.log = RedisEventLog(redis)
        self.call = CallId(f"call-{time.monotonic_ns()}")
        self.destinations: Path
        self.customer: ExchangePhone

    async def phone(self, number: str) -> ExchangePhone:
        return await self.phones.phone(number)

    async def customer_calls(self) -> None:
        """The customer's leg is in the room, and the worker has written so."""
        self.customer = await self.phone(CUSTOMER)
        await self.customer.call(self.call)
        await self.log.append(started(self.call, customer=Customer(identity=f"sip_{CUSTOMER}", number=CUSTOMER)))

    async def customer_hangs_up(self) -> None:
        await self.customer.hang_up()
        await self.write(LegLeft(identity=f"sip_{CUSTOMER}", role=Role.CUSTOMER, reason="CLIENT_INITIATED"))

    async def ask(self, destination: str, transfer_id: str = "t1") -> None:
        await self.write(
            TransferRequested(
                transfer_id=transfer_id,
                destination=destination,
                reason="asks for a person",
                summary="Wants to know about invoice 4711 \u2013 the amount.",
                agent="billing",
            )
        )

    async def write(self, data: EventData) -> None:
        await self.log.append(Event[EventData](data=data, call=self.call, producer="voice-worker/test"))

    async def transfer_events(self, transfer_id: str = "t1") -> Sequence[AnyEvent]:
        events = await self.log.read(self.call)
        return [event for event in events if getattr(event.data, "transfer_id", None) == transfer_id]

    async def kinds(self, transfer_id: str = "t1") -> list[str]:
        events = await self.transfer_events(transfer_id)
        return [event.type.removeprefix("transfer.").removesuffix(".v1") for event in events]

    async def until(self, kind: str, transfer_id: str = "t1", within_s: float = 20.0) -> AnyEvent:
        async def there() -> bool:
            return kind in await self.kinds(transfer_id)

        await wait_until(there, within_s=within_s, what=f"transfer.{kind}", every_s=0.02)
        events = await self.transfer_events(transfer_id)
        return next(event for event in events if event.type == f"transfer.{kind}.v1")

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """An orchestrator in this process."""
        settings = Settings.model_validate(
            {
                "REDIS_URL": self.redis_url,
                "LIVEKIT_URL": self.exchange.url,
                "LIVEKIT_API_KEY": self.media.api_key,
                "LIVEKIT_API_SECRET": self.media.api_secret,
                "destinations": self.destinations,
                "stop_grace_s": 0,
            }
        )
        stop = asyncio.Event()
        async with orchestrator(settings) as service, asyncio.TaskGroup() as tasks:
            tasks.create_task(service.run(stop))
            await wait_until(lambda: all(service.readiness().values()), what="the orchestrator is ready")
            try:
                yield
            finally:
                stop.set()

    def environment(self) -> dict[str, str]:
        """For an orchestrator in a process of its own."""
        return {
            "PATH": os.environ["PATH"],  # noqa: TID251 - what any process needs
            "REDIS_URL": self.redis_url,
            "LIVEKIT_URL": self.exchange.url,
            "LIVEKIT_API_KEY": self.media.api_key,
            "LIVEKIT_API_SECRET": self.media.api_secret,
            "TRANSFER_ORCHESTRATOR_DESTINATIONS": str(self.destinations),
            "TRANSFER_ORCHESTRATOR_STOP_GRACE_S": "1",
        }

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Process]:
        """An orchestrator in a process of its own, ready; killed at the end if it still lives."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "transfer_orchestrator", env=self.environment(), stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.TaskGroup() as tasks:
            process = Process(child, tasks)
            try:
                await wait_until(lambda: process.said("consumer.started"), within_s=20, what="the process is ready")
                yield process
            finally:
                await process.kill()


@asynccontextmanager
async def site(directory: Path) -> AsyncIterator[Site]:
    """Everything but an orchestrator. Skips on a laptop without a livekit-server; where CI is true that fails."""
    environment = {name: value for name, value in os.environ.items() if name != "LIVEKIT_URL"}  # noqa: TID251
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(EmbeddedRedis())
        try:
            media = await stack.enter_async_context(Media(server.url, directory / "media", environment=environment))
        except MediaError as error:
            if environment.get("CI") == "true":
                raise
            pytest.skip(str(error))
        exchange = await stack.enter_async_context(Exchange(media.url, media.api_key, media.api_secret))
        await provision(
            exchange.url, media.api_key, media.api_secret, username=USERNAME, password=PASSWORD, agent_name="nobody"
        )
        phones = await stack.enter_async_context(
            ExchangePhones(exchange, directory / "recordings", username=USERNAME, password=PASSWORD)
        )
        redis = await stack.enter_async_context(connect(server.url))
        built = Site(media, exchange, phones, redis, server.url)
        built.destinations = directory / "destinations.yaml"
        built.destinations.write_text(DESTINATIONS, encoding="utf-8")
        yield built
