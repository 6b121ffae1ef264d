"""A CCM, a meter and a consumer for tests of the bridge: no network, no time but the clock's."""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from call_events.catalogue import (
    AgentActivated,
    AgentHandedOff,
    CallEnded,
    DialOutcome,
    DiscardReason,
    EndedBy,
    Human,
    LegLeft,
    Role,
    Speaker,
    TransferCancelled,
    TransferConnected,
    TransferDialing,
    TransferFailed,
    TransferRequested,
    UtteranceDiscarded,
    UtteranceEnded,
)
from call_events.envelope import EventData
from call_events.ids import CallId
from call_events.ports import AnyEvent, CallView, Progress, Receipt
from call_events.testing import START, ManualClock, event
from ccm_bridge.adapters.ccm_schema import CimDialect
from ccm_bridge.domain.conversation import Conversation
from ccm_bridge.domain.delivery import Bounds, Waiting
from ccm_bridge.domain.identity import Sources
from ccm_bridge.domain.message import Message
from ccm_bridge.domain.retry import Backoff, NoAnswer, Reaction, Reply
from ccm_bridge.handlers import ConversationDelivery

CALL = CallId("call-1")
T = TypeVar("T")

BILLING = Speaker(role=Role.AI, name="Billing AI", identity="agent-1", agent="billing")
CUSTOMER = Speaker(role=Role.CUSTOMER, name="Customer", identity="sip_100")
MARIA = Speaker(role=Role.HUMAN, name="Maria Weber", identity="human-d1")

DIALECT = CimDialect(
    connector_id="7c1f0e52-2b9d-4d0e-9c55-0d3a8f6b2e10",
    connector_name="CALLWEAVE_BRIDGE",
    bot_id="66c0ffee12ab34cd56ef7890",
    human_id="3f6a2d1c-90b7-4e0f-8a55-1c2d3e4f5a6b",
)


def at(data: EventData, at_s: float) -> AnyEvent:
    """An event of the one call, with an id of its own that does not change from run to run."""
    return event(CALL, data, at_s=at_s, id=f"{data.TYPE}@{at_s}")


def ended_speaking(utterance: str, at_s: float) -> AnyEvent:
    return at(UtteranceEnded(utterance_id=utterance, ended_at=START + timedelta(seconds=at_s)), at_s)


def discarded(utterance: str, at_s: float, reason: DiscardReason = DiscardReason.TRANSCRIPT_FAILED) -> AnyEvent:
    return at(UtteranceDiscarded(utterance_id=utterance, reason=reason), at_s)


def activated(at_s: float) -> AnyEvent:
    return at(AgentActivated(agent="billing", name="Billing AI"), at_s)


def handed_off(at_s: float) -> AnyEvent:
    data = AgentHandedOff(
        from_agent="billing",
        from_name="Billing AI",
        to_agent="support",
        to_name="Support AI",
        reason="technical",
        context_items=3,
    )
    return at(data, at_s)


def requested(at_s: float, transfer: str = "t1") -> AnyEvent:
    data = TransferRequested(
        transfer_id=transfer, destination="billing-desk", reason="wants a refund", summary="Invoice 7.", agent="billing"
    )
    return at(data, at_s)


def dialing(at_s: float, transfer: str = "t1") -> AnyEvent:
    data = TransferDialing(transfer_id=transfer, attempt=1, dial_id="d1", target="desk-1", identity="human-d1")
    return at(data, at_s)


def connected(at_s: float, transfer: str = "t1") -> AnyEvent:
    data = TransferConnected(
        transfer_id=transfer,
        attempt=1,
        dial_id="d1",
        destination="billing-desk",
        human=Human(identity="human-d1", name="Maria Weber"),
    )
    return at(data, at_s)


def failed(at_s: float, transfer: str = "t1") -> AnyEvent:
    data = TransferFailed(
        transfer_id=transfer, destination="billing-desk", outcome=DialOutcome.NO_ANSWER, reason="Nobody answered"
    )
    return at(data, at_s)


def cancelled(at_s: float, transfer: str = "t1") -> AnyEvent:
    return at(TransferCancelled(transfer_id=transfer, cause="withdrawn"), at_s)


def human_left(at_s: float) -> AnyEvent:
    return at(LegLeft(identity="human-d1", role=Role.HUMAN, reason="CLIENT_INITIATED"), at_s)


def call_ended(at_s: float, by: EndedBy = EndedBy.CUSTOMER) -> AnyEvent:
    return at(CallEnded(ended_by=by, cause="CLIENT_INITIATED", duration_ms=int(at_s * 1000)), at_s)


class ProcessKilledError(Exception):
    """The bridge died at this very moment."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A message CCM has got."""

    message: Message
    body: bytes
    at: datetime


@dataclass
class FakeCcm:
    """``ConversationSink``: takes everything, unless told what to do with the next attempts."""

    clock: ManualClock
    #: What happens at the next attempts: a status, no answer, or a process that dies after CCM has taken the message.
    script: list[int | NoAnswer | type[ProcessKilledError]] = field(default_factory=list)
    #: A time-out whose message CCM has nevertheless taken.
    takes_on_timeout: bool = True
    taken: list[Taken] = field(default_factory=list)
    attempts: list[Message] = field(default_factory=list)

    async def post(self, message: Message) -> Reply:
        """See the port."""
        self.attempts.append(message)
        outcome = self.script.pop(0) if self.script else 202
        took = outcome in (202, ProcessKilledError) or (outcome is NoAnswer.TIMEOUT and self.takes_on_timeout)
        if took:
            self.taken.append(Taken(message, DIALECT.render(message), self.clock.now()))
        if isinstance(outcome, type):
            raise outcome
        return Reply(outcome, excerpt=f"cannot take {message.text!r} of {message.channel.customer}")

    @property
    def shown(self) -> list[Message]:
        """The first of each id, in order of arrival."""
        return list({one.message.id: one.message for one in reversed(self.taken)}.values())[::-1]

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.shown]


@dataclass
class FakeMeter:
    """``DeliveryMeter``."""

    counts: dict[str, int] = field(default_factory=dict)
    ages: list[float] = field(default_factory=list)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def settled(self, reaction: Reaction, message: Message, *, age_s: float, held: bool, first_attempt: bool) -> None:
        self.ages.append(age_s)
        self._count(reaction.value)
        if held:
            self._count("held")
        if not first_attempt:
            self._count("repeated")
        if message.late:
            self._count("late")

    def passed_over(self, reason: str) -> None:
        self._count(f"passed:{reason}")

    def waiting(self, reason: Waiting) -> None:
        self._count(f"waiting:{reason}")

    def hold_timed_out(self) -> None:
        self._count("hold_timed_out")

    def failed(self, reaction: Reaction, reason: str) -> None:
        self._count(f"failed:{reason}")
        self._count(reaction.value)


@dataclass
class World:
    """One call, the bridge's handler, and the consumer's protocol around it: commit or crash, wake or wait."""

    conversation: Conversation = field(
        default_factory=lambda: Conversation(
            customer=Sources.parse("number,call"), service=Sources.parse("dialled,profile")
        )
    )
    bounds: Bounds = field(default_factory=Bounds)
    clock: ManualClock = field(default_factory=ManualClock)
    events: list[AnyEvent] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    cursor: int = 0
    wake_at: datetime | None = None
    meter: FakeMeter = field(default_factory=FakeMeter)
    ccm: FakeCcm = field(init=False)
    handler: ConversationDelivery = field(init=False)
    crashes: int = 0
    #: What the consumer keeps for the handler between turns.
    memory: dict[str, Any] = field(default_factory=dict)
    #: Two bridges share the group, and have the call in turn.
    shared: bool = False
    _other: tuple[ConversationDelivery, dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.ccm = FakeCcm(self.clock)
        self.restart()
        self._other = self.handler, self.memory
        self.restart()

    def restart(self) -> None:
        """A new process: everything that was only in memory is gone."""
        self.memory = {}
        self.handler = ConversationDelivery(
            self.ccm,
            self.clock,
            self.meter,
            conversation=self.conversation,
            bounds=self.bounds,
            backoff=Backoff(),
        )

    def append(self, *events: AnyEvent, run: bool = True) -> None:
        """Let these happen, each at its time, and let the consumer hear of it."""
        for one in events:
            self.until(max(one.time, self.clock.now()), run=run)
            self.events.append(one.model_copy(update={"seq": len(self.events) + 1}))
            if run:
                self.turn()

    def until(self, when: datetime, *, run: bool = True) -> None:
        """Let time pass, with every wake that is due on the way."""
        while run and self.wake_at is not None and self.wake_at <= when:
            self.clock.advance(max(0.0, (self.wake_at - self.clock.now()).total_seconds()))
            self.turn()
        self.clock.advance(max(0.0, (when - self.clock.now()).total_seconds()))

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.until(self.clock.now() + timedelta(seconds=seconds))

    def turn(self) -> None:
        """What the consumer does with a doorbell: ask until there is nothing more to do now."""
        if self.shared:
            (self.handler, self.memory), self._other = self._other, (self.handler, self.memory)
        for _ in range(1000):
            view = CallView(CALL, tuple(self.events), self.cursor, tuple(self.receipts), memory=self.memory)
            try:
                progress = finish(self.handler(view))
            except ProcessKilledError:
                self.crashes += 1
                self.restart()
                continue
            self._commit(progress)
            if self.cursor == len(self.events) or (self.wake_at is not None and self.wake_at > self.clock.now()):
                return
        raise AssertionError("the handler keeps asking to be asked")

    def _commit(self, progress: Progress) -> None:
        assert self.cursor <= progress.through <= len(self.events)
        moved = progress.through > self.cursor
        unfinished = progress.through < len(self.events)
        assert moved or progress.wake_at is not None or not unfinished, "the call would be stranded"
        self.cursor, self.wake_at = progress.through, progress.wake_at
        self.receipts += progress.receipts

    def settle(self, hours: float = 1) -> None:
        """Let enough time pass for everything that is bounded."""
        self.later(hours * 3600)


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never really waits."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waited for something")
