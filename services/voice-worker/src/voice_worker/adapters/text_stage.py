"""A call in text, without room or audio: the parties do what the lines say that are put on the stage.

    customer TEXT      the customer says TEXT
    human TEXT         the human says TEXT
    human leaves       the human hangs up
    customer leaves    the customer hangs up (so does the end of the lines)

The AI, its tools, the log and the transfer are the real ones; speech is not.
"""

import asyncio
import itertools
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from call_events.catalogue import Role, Speaker
from voice_worker.adapters.realtime_model import ModelAccess, realtime_model
from voice_worker.adapters.realtime_voice import RealtimeVoice
from voice_worker.domain.call import Phase
from voice_worker.domain.facts import SpeechEnded, SpeechStarted, TextArrived
from voice_worker.domain.profile import Profile
from voice_worker.domain.signals import CustomerGone, HumanGone, Signal
from voice_worker.ports import CustomerBook, CustomerLeg, Desk, Hear, Usage

log = structlog.get_logger()

CUSTOMER = "sip_text"


class Stage:
    """The legs of a call in text. The customer is whom the switch would have told of, if it had known."""

    def __init__(self, *, customer_id: str | None = None) -> None:
        self._customer_id = customer_id
        self._signal: Callable[[Signal], None] = lambda _: None
        self._desk: Callable[[], Desk] | None = None
        self._voice: RealtimeVoice | None = None
        self._human: Speaker | None = None
        self._numbers = itertools.count(1)

    @property
    def identity(self) -> str:
        """Our own identity."""
        return "ai"

    def watch(self, signal: Callable[[Signal], None], desk: Callable[[], Desk]) -> None:
        """Tell the call what the parties do."""
        self._signal, self._desk = signal, desk

    async def customer(self, within: float) -> CustomerLeg:
        """The customer is always there."""
        del within
        return CustomerLeg(
            identity=CUSTOMER,
            number=None,
            customer_id=self._customer_id,
            dialled_number=None,
            sip_call_id=None,
            sip_headers={},
            direction="inbound",
        )

    async def answered(self, leg: CustomerLeg, within: float) -> bool:
        """… and listening."""
        del leg, within
        return True

    async def joined(self, identity: str, within: float) -> bool:
        """Whether that leg is there: the human until they leave."""
        del within
        return identity == CUSTOMER or (self._human is not None and self._human.identity == identity)

    async def end_room(self) -> None:
        """There is none."""

    def enter(self, party: "RealtimeVoice | Speaker") -> None:
        """A voice of the AI, or a human whom somebody listens to, is on the stage now."""
        if isinstance(party, RealtimeVoice):
            self._voice = party
        elif party.role is Role.HUMAN:
            self._human = party

    def perform(self, line: str) -> None:
        """Do what one line says; an unknown one is reported and passed over."""
        who, _, what = line.strip().partition(" ")
        at = datetime.now(UTC)
        match who, what.strip():
            case "customer", "leaves":
                self._signal(CustomerGone(reason="CLIENT_INITIATED", at=at))
            case "human", "leaves" if self._human is not None:
                gone, self._human = self._human, None
                self._signal(HumanGone(identity=gone.identity, reason="CLIENT_INITIATED", at=at))
            case "customer", text if text:
                self._say(Speaker(role=Role.CUSTOMER, name="Customer", identity=CUSTOMER), text, at)
            case "human", text if text and self._human is not None:
                self._say(self._human, text, at)
            case _:
                log.warning(
                    "stage.line_ignored", mend="write: customer TEXT, human TEXT, customer leaves, human leaves"
                )

    def _say(self, speaker: Speaker, text: str, at: datetime) -> None:
        if self._desk is None:
            return
        desk, item = self._desk(), str(next(self._numbers))
        desk.hear(SpeechStarted(source="text", item=item, speaker=speaker, at=at))
        desk.hear(SpeechEnded(source="text", item=item, speaker=speaker, at=at))
        desk.hear(TextArrived(source="text", item=item, speaker=speaker, at=at, text=text))
        ai_listens = desk.state.phase in (Phase.AI, Phase.TRANSFERRING)
        if speaker.role is Role.CUSTOMER and ai_listens and self._voice is not None:
            self._voice.hear_text(text)


class TextStudio:
    """Voices without sound, and ears that need not listen: the stage tells what is said."""

    def __init__(self, stage: Stage, *, profile: Profile, book: CustomerBook, access: ModelAccess) -> None:
        self._stage = stage
        self._profile = profile
        self._book = book
        self._access = access

    def voice(self, desk: Desk, source: str) -> RealtimeVoice:
        """A new session of the AI."""
        model = realtime_model(self._access, voice=self._profile.voice, language=self._profile.language)
        voice = RealtimeVoice(room=None, desk=desk, source=source, profile=self._profile, book=self._book, model=model)
        self._stage.enter(voice)
        return voice

    def ear(self, speaker: Speaker, source: str, hear: Hear) -> "TextEar":
        """Nothing to listen to."""
        del hear
        self._stage.enter(speaker)
        return TextEar(source)


class TextEar:
    """Waits until it is stopped."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._stopped = asyncio.Event()

    @property
    def source(self) -> str:
        """Name of the recogniser."""
        return self._source

    async def run(self) -> None:
        """Wait."""
        await self._stopped.wait()

    async def stop(self, within: float) -> None:
        """Stop waiting."""
        del within
        self._stopped.set()

    def usage(self) -> list[Usage]:
        """Nothing: no model listens."""
        return []
