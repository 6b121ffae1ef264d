"""The course of a call: what each thing that happens does to it, and who speaks then."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from call_events.catalogue import (
    EndedBy,
    Role,
    Speaker,
    TransferCompleted,
    TransferConnected,
    TransferFailed,
)
from voice_worker.domain.call import Phase, SessionState, Step
from voice_worker.domain.profile import Profile
from voice_worker.domain.signals import (
    CustomerGone,
    GoodbyeAsked,
    HumanGone,
    Outcome,
    OwnershipLost,
    RoomGone,
    Signal,
    Stranded,
    TransferOutcome,
    VoiceLost,
)
from voice_worker.errors import VoiceFailed
from voice_worker.handlers.desk import CallDesk
from voice_worker.handlers.emitter import Emitter
from voice_worker.handlers.ending import Ending
from voice_worker.handlers.floor import Floor, Start
from voice_worker.handlers.limits import Limits
from voice_worker.handlers.opening import Standing
from voice_worker.handlers.parties import Parties
from voice_worker.handlers.transfers import bad_news
from voice_worker.ports import Legs, WallClock

log = structlog.get_logger()

MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"


class Course:
    """Acts on what happens to one call, one thing after the other."""

    def __init__(
        self,
        *,
        profile: Profile,
        state: SessionState,
        emitter: Emitter,
        floor: Floor,
        desk: CallDesk,
        parties: Parties,
        ending: Ending,
        legs: Legs,
        clock: WallClock,
        limits: Limits,
        signal: Callable[[Signal], None],
    ) -> None:
        self._profile = profile
        self._state = state
        self._emitter = emitter
        self._floor = floor
        self._desk = desk
        self._parties = parties
        self._ending = ending
        self._legs = legs
        self._clock = clock
        self._limits = limits
        self._signal = signal
        #: Ends the call of the stranding that is going on.
        self._stranded: asyncio.TimerHandle | None = None
        #: The last goodbye that ended nothing.
        self._void: GoodbyeAsked | None = None

    async def begin(self, found: Standing, start: Start, *, resumed: bool) -> None:
        """Whoever is to speak, begins.

        Args:
            found: where the call stands.
            start: sets an ear to work.
            resumed: another worker has brought the call this far.
        """
        known = [spec.key for spec in self._profile.agents]
        self._floor.last_agent = found.agent if found.agent in known else self._profile.first_agent
        if found.human is not None:
            await self._listen_to(found.human, start)
        elif await self._speak(self._floor.last_agent):
            # Asked for while the phone still rings; it is heard once the customer listens, see Desk.customer_listens.
            self._floor.tell("Go on where the conversation stopped." if resumed else self._profile.greeting)

    def act(  # noqa: PLR0911 - one return for each kind of signal
        self, signal: Signal, start: Start
    ) -> Coroutine[Any, Any, None]:
        """Do what this signal asks for.

        Raises:
            IllegalMove: the call's table has no such step now.
        """
        match signal:
            case CustomerGone():
                return self._ending.end(EndedBy.CUSTOMER, signal.reason, signal.at)
            case RoomGone():
                return self._ending.end(EndedBy.SYSTEM, signal.reason, signal.at)
            case HumanGone():
                return self._human_gone(signal)
            case TransferOutcome(data=TransferConnected() as connected):
                return self._hand_over(connected, start)
            case TransferOutcome():
                return self._transfer_over(signal.data)
            case VoiceLost():
                return self._voice_lost(signal)
            case GoodbyeAsked():
                return self._after_goodbye(signal)
            case Stranded():
                return self._end_if(Phase.STRANDED, EndedBy.SYSTEM, MODEL_UNAVAILABLE)
            case OwnershipLost():
                return self._leave()

    async def _speak(self, agent: str) -> bool:
        try:
            await self._floor.speak(self._desk, agent)
        except VoiceFailed as failed:
            self._signal(VoiceLost(detail=str(failed)))
            return False
        return True

    async def _hand_over(self, connected: TransferConnected, start: Start) -> None:
        """The person is on the line."""
        self._state.step(Step.CONNECTED)
        self._no_longer_stranded()
        self._state.transfer = None
        await self._listen_to(connected, start)

    async def _listen_to(self, connected: TransferConnected, start: Start) -> None:
        """The AI is silent and gone; what the two people say is written down."""
        human = self._parties.human_joined(connected)
        await self._floor.hand_over(
            Speaker(role=Role.HUMAN, name=human.name, identity=human.identity),
            Speaker(role=Role.CUSTOMER, name="Customer", identity=self._state.customer_identity),
            start,
            self._ending.customer_gone,
        )
        self._emitter.emit(
            TransferCompleted(transfer_id=connected.transfer_id),
            at=self._clock.now(),
            once=("transfer.completed", connected.transfer_id),
            correlation=connected.transfer_id,
        )
        if not await self._legs.joined(human.identity, self._limits.human_s):
            self._signal(HumanGone(identity=human.identity, reason="LEFT_AT_ONCE", at=self._clock.now()))

    async def _transfer_over(self, outcome: Outcome) -> None:
        """Nobody came."""
        self._state.transfer = None
        if self._state.phase is Phase.STRANDED:
            await self._ending.end(EndedBy.SYSTEM, MODEL_UNAVAILABLE, self._clock.now())
        elif isinstance(outcome, TransferFailed):
            self._state.step(Step.FAILED)
            self._floor.tell(bad_news(outcome))
        else:
            self._state.step(Step.CANCELLED)

    async def _human_gone(self, gone: HumanGone) -> None:
        if (human := self._parties.human) is None or gone.identity != human.identity:
            return  # a leg that was dialled and never connected: the orchestrator's business
        self._parties.human_left(gone.reason, gone.at)
        await self._floor.stop_listening(gone.identity)
        if self._ending.customer_gone.is_set():
            return  # that signal is in the inbox
        self._state.step(Step.HUMAN_LEFT)
        # The customer's speech-to-text goes on until the AI listens.
        if await self._speak(self._floor.last_agent):
            self._floor.tell(self._profile.human_left)
            await self._floor.take_back(self._ending.customer_gone)

    async def _voice_lost(self, lost: VoiceLost) -> None:
        """The provider is gone: the caller must not be left in silence."""
        phase, fallback = self._state.phase, self._profile.fallback_destination
        log.error("voice.lost", phase=phase, why=lost.detail, mend="see the model provider's status, key and quota")
        if phase not in (Phase.AI, Phase.TRANSFERRING):
            return
        self._state.step(Step.VOICE_FAILED)
        await self._floor.hush(MODEL_UNAVAILABLE)
        if phase is Phase.AI:
            summary = "The assistant failed in the middle of the call. Please ask the caller what it is about."
            if fallback is None or self._desk.request_transfer(fallback, "The assistant failed", summary) is not None:
                await self._ending.end(EndedBy.SYSTEM, MODEL_UNAVAILABLE, self._clock.now())
                return
        self._no_longer_stranded()
        self._stranded = asyncio.get_running_loop().call_later(self._limits.stranded_s, self._signal, Stranded())

    def _no_longer_stranded(self) -> None:
        """A caller whom a human has saved has the whole time again, should they be stranded once more."""
        if self._stranded is not None:
            self._stranded.cancel()
            self._stranded = None

    async def _after_goodbye(self, asked: GoodbyeAsked) -> None:
        """Hang up, unless the caller has something to add: "wait, one more thing" is not to be hung up on."""
        if asked == self._void:
            return  # it comes twice: once it has been said, and when its time is up
        void = self._state.phase is not Phase.AI
        if not void and await self._floor.customer_spoke_since(asked.at, self._ending.customer_gone):
            log.info("call.goes_on_after_goodbye")
            void = True
        if void:
            self._void = asked
            self._state.ending = False  # the agent may say another
            return
        await self._end_if(Phase.AI, EndedBy.AI, "AGENT_ENDED")

    async def _end_if(self, phase: Phase, by: EndedBy, cause: str) -> None:
        if self._state.phase is phase:
            await self._ending.end(by, cause, self._clock.now())

    async def _leave(self) -> None:
        """Another worker speaks for this call: not a word more, and nothing is ended."""
        self._state.step(Step.ENDED)
