"""Small fakes of the ports, for calls without media."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from call_events.catalogue import Role, Speaker
from call_events.envelope import EventData
from call_events.ids import CallId
from call_events.ports import AnyEvent, Appended
from call_events.testing import START, InMemoryEventLog, ManualClock
from voice_worker.domain.conversation import Line
from voice_worker.domain.facts import AiAudible, AiQuiet, AiSaid, SpeechEnded, SpeechStarted, TextArrived
from voice_worker.domain.profile import AgentSpec, Destination, Profile
from voice_worker.errors import VoiceFailed
from voice_worker.handlers.call import Conductor
from voice_worker.handlers.limits import Limits
from voice_worker.ports import CustomerLeg, Desk, Hear, Usage

CALL = CallId("call-1")
CUSTOMER = Speaker(role=Role.CUSTOMER, name="Customer", identity="sip_1")
PROFILE = Profile(
    name="line",
    language="en-GB",
    voice="marin",
    first_agent="generic",
    greeting="Greet the caller.",
    introduction="Introduce yourself.",
    human_left="The human left.",
    agents=tuple(
        AgentSpec(key=key, agent_class="GenericAgent", name=f"{key.title()} AI", prompt="p")
        for key in ("generic", "billing")
    ),
    destinations=(
        Destination(name="billing-desk", description="Invoices"),
        Destination(name="front-desk", description="Anything"),
    ),
    fallback_destination="front-desk",
    hash="0" * 64,
)
LEG = CustomerLeg(
    identity="sip_1",
    number="+4930",
    customer_id=None,
    dialled_number="8001",
    sip_call_id=None,
    sip_headers={},
    direction="inbound",
)


class Fault(Exception):
    """What nobody foresaw."""


class FakeVoice:
    """Says what it is told to, as soon as the test lets it."""

    def __init__(self, desk: Desk, source: str, *, fails: bool) -> None:
        self.desk = desk
        self.name = source
        self.fails = fails
        self.told: list[str] = []
        self.history: Sequence[Line] = ()
        self.breaks_at: str | None = None
        self.muted = False
        self.closed = False
        self._turn = 0

    @property
    def source(self) -> str:
        return self.name

    async def start(self, agent: str, history: Sequence[Line]) -> None:
        if self.fails:
            raise VoiceFailed("no")
        self.history = history
        self.desk.agent_entered(agent, reason="start", context_items=0)

    def tell(self, instruction: str) -> None:
        if instruction == self.breaks_at:
            raise Fault
        self.told.append(instruction)

    def mute(self) -> None:
        self.muted = True

    def usage(self) -> list[Usage]:
        return []

    async def close(self) -> None:
        self.closed = True

    def says(self, words: str, second: float) -> None:
        self._turn += 1
        speaker = Speaker(role=Role.AI, name="Generic AI", identity="agent", agent="generic")
        at, item = START + timedelta(seconds=second), f"turn{self._turn}"
        self.desk.hear(AiAudible(source=self.name, item=item, speaker=speaker, at=at))
        self.desk.hear(AiQuiet(source=self.name, at=at + timedelta(seconds=1)))
        self.desk.hear(
            AiSaid(source=self.name, item=item, speaker=speaker, at=at, text=words, interrupted=False, started_at=at)
        )


class FakeEar:
    def __init__(self, speaker: Speaker, source: str, hear: Hear) -> None:
        self.speaker = speaker
        self.name = source
        self.hear = hear
        self.running = False
        self._stop = asyncio.Event()
        self.broken = asyncio.Event()

    @property
    def source(self) -> str:
        return self.name

    async def run(self) -> None:
        self.running = True
        try:
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(self._break())
                await self._stop.wait()
                waiting.cancel()
        finally:
            self.running = False

    async def _break(self) -> None:
        await self.broken.wait()
        raise Fault

    async def stop(self, within: float) -> None:
        del within
        self._stop.set()

    def usage(self) -> list[Usage]:
        """The same at every ear, once."""
        return [Usage("openai", "transcribe", 3, 4, 1500, 0, {})] if self._stop.is_set() else []


@dataclass
class FakeStudio:
    voices: list[FakeVoice] = field(default_factory=list)
    ears: list[FakeEar] = field(default_factory=list)
    fails: bool = False
    #: An instruction that a voice breaks at.
    breaks_at: str | None = None

    def voice(self, desk: Desk, source: str) -> FakeVoice:
        self.voices.append(FakeVoice(desk, source, fails=self.fails))
        self.voices[-1].breaks_at = self.breaks_at
        return self.voices[-1]

    def ear(self, speaker: Speaker, source: str, hear: Hear) -> FakeEar:
        self.ears.append(FakeEar(speaker, source, hear))
        return self.ears[-1]


@dataclass
class FakeLegs:
    answers: bool = True
    in_room: set[str] = field(default_factory=set)
    ended: bool = False
    customer_comes: bool = True
    #: When set, the phone rings until then.
    picks_up: asyncio.Event | None = None
    ringing: bool = False
    #: The room cannot be ended, for a reason that nobody foresaw.
    breaks: bool = False

    @property
    def identity(self) -> str:
        return "agent"

    async def customer(self, within: float) -> CustomerLeg | None:
        del within
        return LEG if self.customer_comes else None

    async def answered(self, leg: CustomerLeg, within: float) -> bool:
        del leg, within
        if self.picks_up is not None:
            self.ringing = True
            await self.picks_up.wait()
        return self.answers

    async def joined(self, identity: str, within: float) -> bool:
        del within
        return identity in self.in_room

    async def end_room(self) -> None:
        self.ended = True
        if self.breaks:
            raise Fault


class Log(InMemoryEventLog):
    """A log that can stop telling what is new, or fail in a way that nobody foresaw."""

    deaf = False
    breaks_at: type[EventData] | None = None
    refuses: type[EventData] | None = None
    refused = False

    def __init__(self, clock: ManualClock | None = None) -> None:
        super().__init__(clock)
        #: Cleared, appends wait.
        self.there = asyncio.Event()
        self.there.set()

    async def append(
        self,
        event: AnyEvent,
        *,
        expected_tail: int | None = None,
        epoch: int | None = None,
        first_wins: bool = False,
    ) -> Appended:
        await self.there.wait()
        if self.refuses is not None and isinstance(event.data, self.refuses):
            self.refused = True
            raise Fault
        return await super().append(event, expected_tail=expected_tail, epoch=epoch, first_wins=first_wins)

    async def follow(self, call: CallId, *, after: int = 0) -> AsyncIterator[AnyEvent]:
        async for event in super().follow(call, after=after):
            if self.breaks_at is not None and isinstance(event.data, self.breaks_at):
                raise Fault
            if not self.deaf:
                yield event


class Sentence:
    """Facts of one sentence of the customer in a recogniser."""

    def __init__(self, source: str, item: str, span: tuple[float, float], words: str, who: Speaker = CUSTOMER) -> None:
        at = [START + timedelta(seconds=seconds) for seconds in span]
        self.start = SpeechStarted(source=source, item=item, speaker=who, at=at[0])
        self.end = SpeechEnded(source=source, item=item, speaker=who, at=at[1])
        self.text = TextArrived(source=source, item=item, speaker=who, at=at[1], text=words)


@dataclass
class Stage:
    """A call with fakes around it."""

    log: Log = field(default_factory=Log)
    studio: FakeStudio = field(default_factory=FakeStudio)
    legs: FakeLegs = field(default_factory=FakeLegs)
    clock: ManualClock = field(default_factory=ManualClock)
    limits: Limits = field(
        default_factory=lambda: Limits(
            text_s=0.3, seam_speech_s=0.5, stranded_s=0.2, drain_s=2, human_s=0.1, outcome_s=0.1
        )
    )

    def conductor(self) -> Conductor:
        return Conductor(
            CALL,
            profile=PROFILE,
            events=self.log,
            legs=self.legs,
            studio=self.studio,
            clock=self.clock,
            producer="worker",
            limits=self.limits,
        )
