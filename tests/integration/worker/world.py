"""A voice worker's surroundings: event log, livekit-server, model provider, the worker itself, and callers."""

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from livekit import api

from call_events.catalogue import (
    Human,
    TransferConnected,
    TransferDialing,
    TransferRequested,
    UtteranceCompleted,
    UtteranceDiscarded,
    UtteranceStarted,
)
from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.envelope import Event, EventData
from call_events.ids import CallId
from call_events.ports import AnyEvent
from call_events.redis_log import RedisEventLog
from integration.worker.phone import MediaAccess, Phone
from integration.worker.provider import Call, Provider, Say, Turn
from standins.media.processes import ChildProcess
from standins.media.server import Media
from support.waiting import wait_until

ROOT = Path(__file__).parents[3]
D = TypeVar("D", bound=EventData)

#: What a tone means.
SENTENCES = {
    400: "I have a question about an invoice",
    500: "Invoice 1042",
    600: "I want a person",
    800: "Tell me everything",
    900: "Goodbye",
    1000: "Hello, this is Maria",
    1100: "Hello Maria",
    1200: "And another thing",
    1300: "Sales and billing please",
    1400: "Look around",
}
INVOICE, NUMBER, PERSON, EVERYTHING, BYE, MARIA, HELLO_MARIA, ANOTHER, BOTH, LOOK = SENTENCES
LONG = "This is a long story that goes on and on until somebody stops it."


def brain(instructions: str, about: str) -> tuple[Turn, ...]:
    """An agent that does what the caller asks for."""
    rules: list[tuple[str, tuple[Turn, ...]]] = [
        ("Greet the caller", (Say("Welcome to Callweave.", 0.6),)),
        ("Introduce yourself", (Say("Billing here.", 0.5),)),
        ("transfer failed: busy", (Say("They are all busy.", 0.5),)),
        ("human left", (Say("I am back.", 0.5),)),
        ("tool: Invoice 1042: 89.90", (Say("It is eighty-nine ninety.", 0.5),)),
        ("tool: Not found, for the caller is not identified", (Say("Who is calling, please?", 0.5),)),
        ("tool: The call is being put through", (Say("Putting you through.", 0.5),)),
        ("tool: The call ends now", (Say("Goodbye then.", 1.5),)),
        (SENTENCES[INVOICE], (Call("hand_over_to_billing", {"reason": "an invoice"}),)),
        (
            SENTENCES[BOTH],
            (Call("hand_over_to_billing", {"reason": "both"}), Call("hand_over_to_sales", {"reason": "both"})),
        ),
        (SENTENCES[NUMBER], (Call("find_invoice", {"invoice_number": "1042"}),)),
        (SENTENCES[EVERYTHING], (Say(LONG, 6.0),)),
        (SENTENCES[LOOK], (Call("look_around", {}),)),
        (SENTENCES[BYE], (Call("end_call", {"reason": "done"}),)),
        (
            SENTENCES[PERSON],
            (Call("transfer_to_human", {"destination": "billing-desk", "reason": "asked", "summary": "Invoice 1042"}),),
        ),
    ]
    return next((turns for start, turns in rules if start.lower() in about.lower()), (Say("Yes?", 0.4),))


@dataclass
class Line:
    """One call and what can be done with it."""

    world: "World"
    call: CallId
    caller: Phone

    async def events(self) -> list[AnyEvent]:
        return list(await self.world.log.read(self.call))

    async def of(self, kind: type[D]) -> list[D]:
        return [event.data for event in await self.events() if isinstance(event.data, kind)]

    async def until(self, kind: type[D], *, count: int = 1, within_s: float = 15.0) -> D:
        """Wait for that many events of a kind; the last of them."""
        found: list[D] = []

        async def enough() -> bool:
            found[:] = await self.of(kind)
            return len(found) >= count

        await wait_until(enough, within_s=within_s, what=f"{count} {kind.TYPE}", every_s=0.02)
        return found[count - 1]

    async def said(self, words: str, *, within_s: float = 15.0) -> UtteranceCompleted:
        """Wait until somebody has said that."""
        found: list[UtteranceCompleted] = []

        async def there() -> bool:
            found[:] = [data for data in await self.of(UtteranceCompleted) if words in data.text]
            return bool(found)

        await wait_until(there, within_s=within_s, what=f"somebody says {words!r}", every_s=0.02)
        return found[0]

    async def ask_for_a_person(self) -> TransferRequested:
        await self.caller.say(PERSON)
        requested = await self.until(TransferRequested)
        await self.said("Putting you through.")
        return requested

    async def append(self, data: EventData) -> None:
        """Act as the transfer orchestrator."""
        await self.world.log.append(Event(data=data, call=self.call, producer="test"))

    @asynccontextmanager
    async def human(self, requested: TransferRequested) -> AsyncIterator[Phone]:
        """A person picks up."""
        identity = f"human-{requested.transfer_id[:8]}"
        dial = {"transfer_id": requested.transfer_id, "attempt": 1, "dial_id": identity.removeprefix("human-")}
        await self.append(TransferDialing(**dial, target="desk", identity=identity))
        async with Phone(self.world.access, self.call, identity, {"sip.callStatus": "active"}) as phone:
            await self.append(
                TransferConnected(
                    **dial, destination=requested.destination, human=Human(identity=identity, name="Maria Weber")
                )
            )
            yield phone

    async def conversation(self) -> list[tuple[str, str]]:
        """(name, text) in the order in which they began to speak."""
        started = [data.utterance_id for data in await self.of(UtteranceStarted)]
        texts = {data.utterance_id: (data.speaker.name, data.text) for data in await self.of(UtteranceCompleted)}
        return [texts[one] for one in started if one in texts]

    async def unfinished(self) -> set[str]:
        """Utterances without an outcome."""
        done = {data.utterance_id for data in await self.of(UtteranceCompleted)}
        done |= {data.utterance_id for data in await self.of(UtteranceDiscarded)}
        return {data.utterance_id for data in await self.of(UtteranceStarted)} - done


@dataclass
class World:
    log: RedisEventLog
    redis: EmbeddedRedis
    media: Media
    provider: Provider
    client: api.LiveKitAPI
    directory: Path
    environment: dict[str, str]
    worker: ChildProcess | None = None
    #: Where it tells its health.
    worker_url: str = ""
    _numbers: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    @property
    def access(self) -> MediaAccess:
        return MediaAccess(self.media.url, self.media.api_key, self.media.api_secret)

    @asynccontextmanager
    async def a_call(self, attributes: dict[str, str] | None = None, *, greeted: bool = True) -> AsyncIterator[Line]:
        """A call that the worker has answered."""
        call = CallId(f"call-{self._numbers()}-{os.getpid()}")
        await self.client.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name="callweave", room=call)
        )
        known = {"sip.callStatus": "ringing", "call.customer": "C-2048"} if attributes is None else attributes
        async with Phone(self.access, call, "sip_+4930123", known) as caller:
            line = Line(self, call, caller)
            if "sip.callStatus" in known:
                # As the switch does: answered when the agent publishes.
                await wait_until(
                    lambda: any(one.track_publications for one in caller.room.remote_participants.values()),
                    within_s=30,
                    what="the agent publishes",
                )
                await caller.be_answered()
            if greeted:
                await line.said("Welcome to Callweave.", within_s=20)
            yield line

    async def rooms(self) -> list[str]:
        answer = await self.client.room.list_rooms(api.ListRoomsRequest())
        return [room.name for room in answer.rooms]


@asynccontextmanager
async def a_world(directory: Path) -> AsyncIterator[World]:
    """Everything but the worker."""
    async with (
        EmbeddedRedis() as redis,
        EmbeddedRedis() as livekit_redis,
        Media(livekit_redis.url, directory / "media", environment={}) as media,
        Provider(brain, SENTENCES) as provider,
        connect(redis.url) as client,
        api.LiveKitAPI(media.url, media.api_key, media.api_secret) as livekit,
    ):
        environment = {
            "PATH": os.environ["PATH"],  # noqa: TID251 - handed on
            "REDIS_URL": redis.url,
            "LIVEKIT_URL": media.url,
            "LIVEKIT_API_KEY": media.api_key,
            "LIVEKIT_API_SECRET": media.api_secret,
            "OPENAI_BASE_URL": provider.url,
            "OPENAI_API_KEY": "test",
            "VOICE_WORKER_PROFILES_DIR": str(ROOT / "profiles"),
            "VOICE_WORKER_IDLE_PROCESSES": "1",
            "VOICE_WORKER_SPOOL_DIR": str(directory / "spool"),
        }
        yield World(RedisEventLog(client), redis, media, provider, livekit, directory, environment)


@asynccontextmanager
async def a_worker(world: World) -> AsyncIterator[ChildProcess]:
    """The worker as in production, ready for calls."""
    port = _free_port()
    worker = ChildProcess(
        "voice-worker",
        [sys.executable, "-m", "voice_worker"],
        log=world.directory / "worker.log",
        environment={**world.environment, "VOICE_WORKER_HTTP_PORT": str(port)},
    )
    async with worker:
        world.worker, world.worker_url = worker, f"http://127.0.0.1:{port}/health"
        await worker.healthy(world.worker_url, 60)
        yield worker


def _free_port() -> int:
    from standins.media.ports import free_port  # noqa: PLC0415 - next to its only use

    return free_port()


async def stopped(process: asyncio.subprocess.Process, within_s: float) -> int:
    async with asyncio.timeout(within_s):
        return await process.wait()
