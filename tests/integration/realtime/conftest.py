"""A spoken session without LiveKit: the real agents SDK against the stand-in, with a mouth and an ear of our own."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool, utils
from livekit.agents.voice import io
from livekit.plugins import openai

from standins.phrases import Ear, Heard, PhraseBook, load_book
from standins.phrases.pcm import Pcm
from standins.realtime import Misbehaviour, RealtimeStandIn

RATE = 24_000
FRAME_S = 0.02
#: Both sides talk this much faster than people; nothing in the stand-in looks at a clock to find out what was said.
HASTE = 3.0


async def until(met: Callable[[], bool], what: str, *, seconds: float = 15.0) -> None:
    """Wait for a condition, not for a time.

    Raises:
        AssertionError: it did not come true in time.
    """
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for: {what}"
        await asyncio.sleep(0.01)


class Mouth(io.AudioInput):
    """A caller's microphone: silence, and whatever `say` puts in."""

    def __init__(self) -> None:
        super().__init__(label="mouth")
        self._queued: list[Pcm] = []
        self._next = 0.0
        self.finished_at = 0.0

    def say(self, pcm: Pcm) -> None:
        """Speak after what is queued already."""
        step = int(RATE * FRAME_S)
        self._queued += [np.pad(part, (0, step - len(part))) for part in np.split(pcm, range(step, len(pcm), step))]

    @property
    def silent(self) -> bool:
        """Everything has been said."""
        return not self._queued

    async def __anext__(self) -> rtc.AudioFrame:
        now = time.monotonic()
        self._next = max(self._next + FRAME_S / HASTE, now - 1.0) if self._next else now
        await asyncio.sleep(max(0.0, self._next - now))
        if self._queued:
            part = self._queued.pop(0)
            self.finished_at = time.monotonic()
        else:
            part = np.zeros(int(RATE * FRAME_S), dtype=np.int16)
        return rtc.AudioFrame(part.tobytes(), RATE, 1, len(part))


class Loudspeaker(io.AudioOutput):
    """Plays into a list, and can be interrupted."""

    def __init__(self) -> None:
        super().__init__(label="loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE)
        self.utterances: list[Pcm] = []
        self.first_sound_at: list[float] = []
        self._current: list[Pcm] = []
        self._began = 0.0
        self._ender: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._current:
            self._began = time.monotonic()
            self.first_sound_at.append(self._began)
            self.on_playback_started(created_at=time.time())
        self._current.append(np.frombuffer(frame.data, dtype=np.int16))

    @property
    def playing(self) -> bool:
        """Something is being played."""
        return bool(self._current)

    def flush(self) -> None:
        super().flush()
        if self._current:
            length_s = sum(map(len, self._current)) / RATE
            left_s = max(0.0, self._began + length_s / HASTE - time.monotonic())
            self._ender = asyncio.get_running_loop().call_later(left_s, self._play_out, length_s)

    def _play_out(self, length_s: float) -> None:
        self._end(length_s, interrupted=False)

    def clear_buffer(self) -> None:
        if self._ender is not None:
            self._ender.cancel()
        if self._current:
            self._end((time.monotonic() - self._began) * HASTE, interrupted=True)

    def _end(self, position_s: float, *, interrupted: bool) -> None:
        played = np.concatenate(self._current)[: int(position_s * RATE)]
        self._current = []
        self._ender = None
        self.utterances.append(played)
        self.on_playback_finished(playback_position=position_s, interrupted=interrupted)


class Billing(Agent):
    """An agent with one tool, which finds one invoice."""

    def __init__(self) -> None:
        super().__init__(instructions="You are the Billing agent of Callweave.")
        self.asked_for: list[str] = []

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Introduce yourself to the caller in one short sentence.")

    @function_tool
    async def find_invoice(self, invoice_number: str) -> str:
        """Look up an invoice.

        Args:
            invoice_number: The number of the invoice.
        """
        self.asked_for.append(invoice_number)
        if invoice_number != "1042":
            return "There is no invoice of that number."
        return (
            "Invoice 1042: 89.90 EUR, open, due 05 December 2026. "
            "Positions: Business, November 2026 59.90 EUR; one-off setup fee 30.00 EUR."
        )


class Generic(Agent):
    """An agent that hands over."""

    def __init__(self, billing: Billing) -> None:
        super().__init__(instructions="You are the Generic agent of Callweave.")
        self._billing = billing

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet the caller.")

    @function_tool
    async def hand_over_to_billing(self, reason: str) -> Agent:
        """Give the conversation to billing.

        Args:
            reason: Why.
        """
        del reason
        return self._billing


@dataclass
class Spoken:
    """A running session and everything it told."""

    session: AgentSession[None]
    agent: Billing
    mouth: Mouth
    loudspeaker: Loudspeaker
    book: PhraseBook
    ear: Ear
    items: list[tuple[str, str, bool]] = field(default_factory=list)
    finals: list[str] = field(default_factory=list)
    errors: list[object] = field(default_factory=list)

    def say(self, phrase_id: str) -> None:
        """Let the caller say a phrase."""
        self.mouth.say(self.book[phrase_id].pcm(RATE))

    def heard_at(self, number: int) -> Heard:
        """What the caller heard in one utterance of the agent."""
        return self.ear.recognise(self.loudspeaker.utterances[number], RATE)

    async def utterances(self, count: int) -> None:
        """Wait until the agent has finished so many utterances and the session has put them on record."""

        def done() -> bool:
            recorded = sum(role == "assistant" for role, _, _ in self.items)
            return min(recorded, len(self.loudspeaker.utterances)) >= count

        await until(done, f"{count} utterances of the agent", seconds=30)

    @property
    def texts(self) -> list[tuple[str, str]]:
        """The conversation in its order."""
        messages = [item for item in self.session.history.items if item.type == "message"]
        return [(item.role, item.text_content or "") for item in messages]


@asynccontextmanager
async def spoken(stand_in: RealtimeStandIn, *, generic_first: bool = False) -> AsyncIterator[Spoken]:
    """A session with the billing agent, or first with the generic one, running until left."""
    book = load_book()
    async with utils.http_context.open():
        model = openai.realtime.RealtimeModel(base_url=stand_in.base_url, api_key="any")
        session: AgentSession[None] = AgentSession(llm=model, vad=None, user_away_timeout=None)
        call = Spoken(session, Billing(), Mouth(), Loudspeaker(), book, Ear(book))
        session.input.audio = call.mouth
        session.output.audio = call.loudspeaker

        def note_item(event: object) -> None:
            item = event.item  # type: ignore[attr-defined]
            if item.type == "message":
                call.items.append((item.role, item.text_content or "", item.interrupted))

        session.on("conversation_item_added", note_item)
        session.on(
            "user_input_transcribed", lambda event: call.finals.append(event.transcript) if event.is_final else None
        )
        session.on("error", call.errors.append)
        await session.start(Generic(call.agent) if generic_first else call.agent)
        try:
            yield call
        finally:
            await session.aclose()


@pytest.fixture
async def stand_in() -> AsyncIterator[RealtimeStandIn]:
    """The stand-in on a free port, behaving well."""
    async with RealtimeStandIn(misbehaviour=Misbehaviour(transcript_delay_s=0.05)) as running:
        yield running
