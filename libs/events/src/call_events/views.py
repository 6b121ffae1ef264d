"""What handlers are given: the events and receipts of the calls in hand, kept between claims.

A call stream never changes, it only grows, so what was read once need not be read again. Receipts are written only by
the group's holder: they are still right if nobody else has claimed the call since, which the epoch tells (one claim,
one step).
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from call_events import keys
from call_events.claims import Claim, Held, read_receipt
from call_events.entries import Entry, decode_entry, seq_of
from call_events.ids import CallId
from call_events.ports import AnyEvent, CallView, Receipt
from call_events.runner import translated

_PAGE = 500


@dataclass(slots=True)
class Known:
    """What this process knows of one call."""

    call: CallId
    epoch: int
    events: list[AnyEvent] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)

    def extend(self, entries: Iterable[Entry]) -> None:
        """Take new entries in; those already known are not decoded again."""
        for entry_id, fields in entries:
            seq = seq_of(entry_id)
            if seq > len(self.events):
                self.events.append(decode_entry(self.call, seq, fields.get(b"e", b"")))

    def view(self, held: Held) -> CallView:
        """The view for the next question to the handler."""
        return CallView(
            call=self.call,
            events=tuple(self.events),
            cursor=held.cursor,
            receipts=tuple(self.receipts),
            attempts=held.attempts,
            memory=self.memory,
        )


class Views:
    """A bounded memory of calls, least recently claimed first to go."""

    def __init__(self, redis: Redis, *, group: str, max_events: int) -> None:
        self._redis = redis
        self._group = group
        self._max_events = max_events
        self._calls: OrderedDict[CallId, Known] = OrderedDict()
        self._size = 0

    async def load(self, call: CallId, claim: Claim) -> Known:
        """All that can be seen of a call just claimed.

        Raises:
            LogUnavailable: Redis could not be asked.
        """
        known = self._take(call)
        if known is None or known.epoch + 1 != claim.epoch or len(known.events) < claim.cursor:
            known = Known(call, claim.epoch)
            if claim.epoch > 1:  # nobody of the group has held it before: there is nothing that could be read
                try:
                    await self._read_history(known, claim.cursor)
                except (RedisError, OSError) as error:
                    raise translated(error) from error
        known.epoch = claim.epoch
        known.extend(claim.entries)
        return known

    def keep(self, known: Known) -> None:
        """Remember a call that was released in good order."""
        self.forget(known.call)
        self._calls[known.call] = known
        self._size += len(known.events) + 1
        while self._size > self._max_events and self._calls:
            _, dropped = self._calls.popitem(last=False)
            self._size -= len(dropped.events) + 1

    def forget(self, call: CallId) -> None:
        """Somebody else may have gone on with this call."""
        self._take(call)

    def _take(self, call: CallId) -> Known | None:
        known = self._calls.pop(call, None)
        if known is not None:
            self._size -= len(known.events) + 1
        return known

    async def _read_history(self, known: Known, cursor: int) -> None:
        at = keys.group_keys(self._group, known.call)
        while len(known.events) < cursor:
            page: Any = await self._redis.xrange(at.stream, f"0-{len(known.events) + 1}", f"0-{cursor}", count=_PAGE)
            if not page:
                break
            known.extend(page)
        after = "-"
        while True:
            page = await self._redis.xrange(at.receipts, after, "+", count=_PAGE)
            known.receipts += [read_receipt(fields[b"r"]) for _, fields in page]
            if len(page) < _PAGE:
                return
            after = f"({page[-1][0].decode()}"
