"""Deliver the conversation of one call, one message at a time.

State is the cursor and the receipts, nothing else: every turn looks at the log, does at most one place, and answers how
far it got. What is kept in memory besides (how often a message has failed) is advice about *when* to try; losing it
costs one early attempt and never a message, a double or the order. Whether CCM serves at all is told to the consumer,
which shows calls while it does not to nobody (``call_events.breaker``).
"""

import json
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

import structlog

from call_events.ports import AnyEvent, CallView, Clock, Endpoint, Progress, Receipt
from call_events.registry import UnknownData
from ccm_bridge.domain.conversation import Conversation
from ccm_bridge.domain.delivery import Bounds, Deliver, Idle, Pass, Wait, next_step
from ccm_bridge.domain.history import DELIVERED, PASSED_OVER, REFUSED, UNFINISHED, History
from ccm_bridge.domain.message import Message
from ccm_bridge.domain.retry import Backoff, NoAnswer, Reaction, Reply, react
from ccm_bridge.ports import ConversationSink, DeliveryMeter

log = structlog.get_logger()

#: Messages with failed attempts that are remembered; beyond, the oldest are tried early.
_REMEMBERED = 20_000
#: From this attempt on a message that CCM keeps failing is an error and no longer a warning.
_ALARMING = 8
#: Under this name the handler's reading of a call is kept in the view's memory.
_HISTORY = "history"


@dataclass(frozen=True, slots=True)
class _Failed:
    """How often a message has failed, and when it may be tried again."""

    attempts: int
    not_before: datetime


class ConversationDelivery:
    """The bridge's handler: what is new in a call becomes messages in CCM."""

    def __init__(
        self,
        sink: ConversationSink,
        clock: Clock,
        meter: DeliveryMeter,
        *,
        conversation: Conversation,
        bounds: Bounds,
        backoff: Backoff,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._meter = meter
        self._conversation = conversation
        self._bounds = bounds
        self._backoff = backoff
        self._failed: OrderedDict[str, _Failed] = OrderedDict()

    async def __call__(self, view: CallView) -> Progress:
        """Send the messages of the next place that has any, if they are due; finish what needs none."""
        history: History = view.memory.setdefault(_HISTORY, History())
        history.follow(view.events, view.receipts)
        return await self._go_on(view, history)

    async def _go_on(self, view: CallView, history: History) -> Progress:
        cursor = view.cursor
        receipts: list[Receipt] = []
        uncommitted = False
        ccm = Endpoint.NOT_ASKED
        while True:
            step = next_step(history, cursor, self._clock.now(), conversation=self._conversation, bounds=self._bounds)
            match step:
                case Idle():
                    return Progress(cursor, receipts=tuple(receipts), endpoint=ccm)
                case Wait():
                    self._meter.waiting(step.reason)
                    return Progress(cursor, step.until, tuple(receipts), ccm)
                case Pass():
                    _report_unknown(view.events[cursor])
                    cursor += 1
                    if step.receipt is not None:
                        receipts.append(step.receipt)
                        history.add(step.receipt)
                        self._passed_over(step.receipt)
                        uncommitted = True
                case Deliver():
                    if uncommitted:
                        # What was decided about earlier places must be durable before a later one is sent: else a crash
                        # could let an earlier text arrive behind it without the mark that it is late.
                        return Progress(cursor, receipts=tuple(receipts), endpoint=ccm)
                    ccm, wake_at = await self._attempt(step, history, receipts)
                    if wake_at is None and len(step.messages) > 1:
                        # One message, one commit: a crash repeats one message and never a whole place.
                        wake_at = self._clock.now()
                    if wake_at is not None:
                        return Progress(cursor, wake_at, tuple(receipts), ccm)
                    cursor += 1
                    uncommitted = True

    async def _attempt(
        self, step: Deliver, history: History, receipts: list[Receipt]
    ) -> tuple[Endpoint, datetime | None]:
        """Try the place's next message, if it may be tried now. Returns when to go on, if CCM did not take it."""
        message = step.messages[0]
        now = self._clock.now()
        before = self._failed.get(message.key)
        if before is not None and now < before.not_before:
            return Endpoint.NOT_ASKED, before.not_before
        if step.hold_timed_out and before is None:
            self._meter.hold_timed_out()
            log.error(
                "hold.timed_out",
                hold_s=self._bounds.hold.total_seconds(),
                mend="the transfer has no outcome in the log; is the transfer-orchestrator running?",
            )
        reply = await self._sink.post(message)
        reaction = react(reply)
        if reaction not in (Reaction.DELIVERED, Reaction.REFUSED):
            return Endpoint.FAILED, self._put_off(message, reply, reaction)
        self._settled(message, reply, reaction, receipts, asked_at=now, held=history.was_held(message.seq))
        return Endpoint.SERVED, None

    def _settled(
        self,
        message: Message,
        reply: Reply,
        reaction: Reaction,
        receipts: list[Receipt],
        *,
        asked_at: datetime,
        held: bool,
    ) -> None:
        failed = self._failed.pop(message.key, None)
        detail: dict[str, object] = {"id": message.id, "event": message.event, "status": reply.status}
        detail |= {"part": message.part} if message.part else {}
        detail |= {"late": True} if message.late else {}
        detail |= {"attempts": failed.attempts + 1} if failed else {}
        if reaction is Reaction.REFUSED:
            detail["reason"] = f"CCM answered {reply.status}: {without_content(reply.excerpt, message)}"
            log.error(
                "message.refused",
                place=message.seq,
                message=message.id,
                status=reply.status,
                answer=without_content(reply.excerpt, message),
                mend="the call goes on without this message; callweave dlq list --group ccm tells what was refused",
            )
        receipts.append(Receipt(message.seq, DELIVERED if reaction is Reaction.DELIVERED else REFUSED, detail))
        age_s = (asked_at - message.sent_at).total_seconds()
        self._meter.settled(reaction, message, age_s=age_s, held=held, first_attempt=failed is None)

    def _put_off(self, message: Message, reply: Reply, reaction: Reaction) -> datetime:
        now = self._clock.now()
        before = self._failed.pop(message.key, None)
        attempts = 1 if before is None else before.attempts + 1
        not_before = now + self._backoff.delay(reply, attempts, message.id)
        self._failed[message.key] = _Failed(attempts, not_before)
        if len(self._failed) > _REMEMBERED:
            self._failed.popitem(last=False)
        reason = reply.status.value if isinstance(reply.status, NoAnswer) else str(reply.status)
        self._meter.failed(reaction, reason)
        say = log.error if reaction is Reaction.MISCONFIGURED or attempts >= _ALARMING else log.warning
        say(
            "message.not_taken",
            place=message.seq,
            message=message.id,
            attempt=attempts,
            answer=reason,
            again_in_s=round((not_before - now).total_seconds(), 3),
            mend="check CCM_URL and CCM_BRIDGE_AUTH; the call's messages wait in the log"
            if reaction is Reaction.MISCONFIGURED
            else "nothing is lost; the call's messages wait in the log until CCM takes them",
        )
        return not_before

    def _passed_over(self, receipt: Receipt) -> None:
        reason = str(receipt.detail["reason"])
        self._meter.passed_over(reason)
        if receipt.outcome == PASSED_OVER and reason == UNFINISHED:
            log.warning("utterance.late", place=receipt.seq, mend="its text is sent, marked late, when it comes")


def _report_unknown(event: AnyEvent) -> None:
    if isinstance(event.data, UnknownData):
        log.warning(
            "event.unknown",
            place=event.seq,
            type=event.data.wire_type,
            mend="it is passed over; a newer release may know it: upgrade the bridge if CCM should see it",
        )


def without_content(excerpt: str, message: Message) -> str:
    """An answer of CCM for logs and receipts: no personal data, should it repeat what it was sent.

    Everything of the message's own is cut out, as it is and as JSON would spell it, and whatever looks like a number.
    """
    texts = (message.text, message.channel.customer, message.sender.name or "")
    words = [
        word
        for text in texts
        for word in (*text.split(), *re.findall(r"\w+", text))
        if len(word) > 3 or not word.isalpha()
    ]
    own = {spelled for part in (*texts, *words) for spelled in (part, *_as_json(part))}
    for part in sorted(own - {""}, key=len, reverse=True):
        # A whole word or text only: "on" must not be cut out of "Conversation".
        excerpt = re.sub(rf"(?<![^\W_]){re.escape(part)}(?![^\W_])", "…", excerpt)
    return re.sub(r"\+?\d(?:[ ().-]{0,2}\d){4,}", "…", " ".join(excerpt.split()))[:300]


def _as_json(text: str) -> tuple[str, str]:
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
