"""What handlers are given: the events and receipts of the calls in hand, kept between claims.

**What stays true.** The events of a call never change and its receipts are only added to. So what was read once need
not be read again, whoever has had the call in between: a claim brings the events after the cursor, and what else is
lacking is read from the last event and the last receipt known, *those included*. If they are not there any more, the
log is another one (an emptied server, a replica that had fallen behind), and all is read anew.

**When nothing need be read.** Receipts are written only by the group's holder, and every claim raises the epoch by one.
If this claim is the one after ours, the cursor stands where we left it, and our last commit was answered, then nobody
has written what we do not know. An answer that was lost, a fenced commit, a handler cut short: all of them leave the
call *unsettled*, and an unsettled call is caught up with as if another worker had had it.

**What handlers remember** follows from events and receipts that were in views they were given, so it stays true as long
as these do. It may also follow from receipts of an answer that was never committed; hence an unsettled call's memory is
emptied.

**When memory runs out** (``ConsumerOptions.cached_bytes``) calls nobody has asked for in a minute go first. Then calls
are picked at random: of the least recently used, when every call comes round in turn, each would be the one needed
next, so that a little too many calls would cost as much as no memory at all. And a picked call first loses its events'
bytes, which one cheap read brings back, and only when no call has any left what was worked out from them: to decode
and fold a call again costs five times as much as to read it.
"""

import random
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from call_events.claims import Claim, GroupClaims, read_receipt, write_receipt
from call_events.codec import peek
from call_events.entries import Entry, decode_entry, seq_of
from call_events.errors import LogDamaged, LogUnavailable
from call_events.growing import Decoded, Growing
from call_events.held import Held
from call_events.ids import CallId
from call_events.ports import AnyEvent, CallView, Clock, Receipt
from call_events.registry import CLOSING_TYPE

#: Decoded events over all calls, 2 to 3.4 KB each: what the calls in hand look at, twice over.
_DECODED = 1024
#: Reckoned for what a handler remembers of an event (the bridge: some 150 bytes), and for the frame of a call.
_DERIVED_BYTES = 200
_CALL_BYTES = 2000
#: A call that nobody has asked for so long may wait for a while yet, or another worker has finished it.
_IDLE_S = 60.0


class _AnotherLogError(Exception):
    """What is known is not what is in the log."""


@dataclass(slots=True)
class Known:
    """What this process knows of one call."""

    call: CallId
    events: Growing[AnyEvent]
    receipts: Growing[Receipt]
    #: So many events are known to be there, also when their bytes have been let go.
    tail: int = 0
    last_receipt: bytes | None = None
    memory: dict[str, Any] = field(default_factory=dict)
    #: Of our last claim, and where the cursor stood then.
    epoch: int = 0
    cursor: int = 0
    #: Nothing was written under that claim that is not in ``receipts``, and ``memory`` follows from what is.
    settled: bool = True
    #: The handler was shown so much in a turn that is not committed; 0 = none.
    given: int = 0
    #: Of the views this belongs to; see ``forget_all``.
    generation: int = 0
    #: Monotonic seconds.
    used_at: float = 0.0

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return self.events.size + self.receipts.size + self.tail * _DERIVED_BYTES + _CALL_BYTES

    @property
    def is_finished(self) -> bool:
        """The log has ended and the group is at its end: nobody will be asked about this call again."""
        if not 0 < self.cursor == self.tail == len(self.events):
            return False
        last = peek(self.events.raw(self.tail))
        return last is not None and last[0] == CLOSING_TYPE

    def extend(self, entries: Iterable[Entry]) -> None:
        """Take events in; those known already are compared.

        Raises:
            _AnotherLogError: they are others, or some are missing before them.
        """
        for entry_id, fields in entries:
            seq, raw, there = seq_of(entry_id), fields.get(b"e", b""), len(self.events)
            if seq == there + 1:
                self.events.append(raw)
            elif seq > there or self.events.raw(seq) != raw:
                raise _AnotherLogError
        self.tail = max(self.tail, len(self.events))

    def go_on(self, entries: Iterable[Entry]) -> None:
        """Take in what came while the call was in hand.

        Raises:
            LogDamaged: it does not follow.
        """
        try:
            self.extend(entries)
        except _AnotherLogError:
            raise self.damaged() from None

    def damaged(self) -> LogDamaged:
        """What is told of a log in which the next event is missing."""
        return LogDamaged(f"the log lacks event {len(self.events) + 1}")

    def extend_receipts(self, entries: Sequence[Entry]) -> None:
        """Take receipts in, which begin with the last one known.

        Raises:
            _AnotherLogError: they do not.
        """
        if self.last_receipt is not None:
            if not entries or entries[0][0] != self.last_receipt:
                raise _AnotherLogError
            entries = entries[1:]
        for entry_id, fields in entries:
            read_receipt(fields[b"r"])  # one that cannot be read is found here, not somewhere in a handler
            self.receipts.append(fields[b"r"])
            self.last_receipt = entry_id

    def view(self, held: Held) -> CallView:
        """The view for the next question to the handler; unsettled until its answer is committed."""
        self.settled = False
        return CallView(
            call=self.call,
            events=self.events.so_far(),
            cursor=held.cursor,
            receipts=self.receipts.so_far(),
            attempts=held.attempts,
            memory=self.memory,
        )

    def committed(self, held: Held, receipts: Iterable[Receipt]) -> None:
        """The log has the answer."""
        for receipt in receipts:
            self.receipts.append(bytes(memoryview(write_receipt(receipt))))  # a copy: orjson's own holds 4 KB
        self.last_receipt = held.last_receipt or self.last_receipt
        self.cursor = held.cursor
        self.settled = True
        self.given = 0


class Views:
    """A bounded memory of calls."""

    def __init__(self, claims: GroupClaims, *, clock: Clock, max_bytes: int, dice: random.Random | None = None) -> None:
        """``dice`` picks who loses its bytes; give one that is seeded to see the same again."""
        self._claims = claims
        self._dice = dice or random.Random()  # noqa: S311 - no secret
        self._clock = clock
        self._max_bytes = max_bytes
        self._decoded: Decoded[AnyEvent] = Decoded(_DECODED)
        #: The one asked for longest ago is first.
        self._calls: OrderedDict[CallId, Known] = OrderedDict()
        #: Of these, the ones that have their events' bytes.
        self._with_events: dict[CallId, Known] = {}
        self._size = 0
        self._generation = 0

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return self._size

    async def load(self, call: CallId, claim: Claim) -> Known:
        """All that can be seen of a call just claimed.

        Raises:
            LogUnavailable: Redis could not be asked.
            LogDamaged: events are missing.
        """
        known = self._take(call)
        if known is None or claim.epoch <= known.epoch:
            known = self._unknown(call)
        try:
            await self._catch_up(known, claim)
        except _AnotherLogError:
            known = self._unknown(call)
            try:
                await self._catch_up(known, claim)
            except _AnotherLogError:
                raise known.damaged() from None
        except LogUnavailable:
            self.keep(known)
            raise
        known.epoch, known.cursor, known.settled = claim.epoch, claim.cursor, True
        return known

    def keep(self, known: Known) -> bool:
        """Remember a call that is in hand no more, however that ended; false = what was known of it is worth nothing.

        That is so after :meth:`forget_all`.
        """
        self.forget(known.call)
        if known.generation != self._generation:
            return False
        if known.is_finished:
            return True
        known.used_at = self._clock.monotonic()
        self._calls[known.call] = known
        if len(known.events):
            self._with_events[known.call] = known
        self._size += known.size
        while self._size > self._max_bytes and self._calls:
            self._shrink()
        return True

    def forget(self, call: CallId) -> None:
        """Drop all that is known of a call."""
        self._take(call)

    def forget_all(self) -> None:
        """Another server answers: its log need not have what is known, nor have it at the same numbers.

        Calls in hand are forgotten as they come back.
        """
        self._generation += 1
        self._calls.clear()
        self._with_events.clear()
        self._size = 0

    def _unknown(self, call: CallId) -> Known:
        events: Growing[AnyEvent] = Growing(self._decoded.keeping(partial(decode_entry, call, told=set())))
        return Known(call, events, Growing(lambda _, raw: read_receipt(raw)), generation=self._generation)

    def _take(self, call: CallId) -> Known | None:
        known = self._calls.pop(call, None)
        self._with_events.pop(call, None)
        if known is not None:
            self._size -= known.size
        return known

    async def _catch_up(self, known: Known, claim: Claim) -> None:
        if not known.settled:
            known.memory.clear()
        is_next = known.settled and (known.epoch + 1, known.cursor) == (claim.epoch, claim.cursor)
        last = max(claim.cursor, known.tail)
        caught_up = is_next and len(known.events) >= last
        while not caught_up:
            before = len(known.events)
            events, receipts = await self._claims.catch_up(
                known.call, first=max(1, before), last=last, receipts_from=known.last_receipt
            )
            known.extend(events)
            known.extend_receipts(receipts)
            if before == len(known.events) < last:
                raise _AnotherLogError
            caught_up = len(known.events) >= last and len(receipts) <= self._claims.max_events
        known.extend(claim.entries)

    def _shrink(self) -> None:
        oldest = next(iter(self._calls.values()))
        if self._clock.monotonic() - oldest.used_at > _IDLE_S:
            self.forget(oldest.call)
            return
        picked = self._dice.choice(list((self._with_events or self._calls).values()))
        if not self._with_events:
            self.forget(picked.call)
            return
        del self._with_events[picked.call]
        self._size -= picked.events.size
        picked.events.clear()
