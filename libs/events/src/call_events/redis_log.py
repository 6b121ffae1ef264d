"""The event log on Redis Streams: ``ports.EventLog`` for Valkey ≥ 7.2 and Redis ≥ 7.0.

Every change is a script (``call_events.protocol``), every script is safe to repeat with the same key, so a lost
connection is met by asking again. How a process appends, in which order, and what it keeps of it for the case that the
server forgets, stands in ``call_events.appender``.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from call_events import keys, metrics
from call_events.appender import Appender
from call_events.codec import as_stored, wire_type
from call_events.connection import BLOCK_MS, connect
from call_events.entries import Entry, decode_entries, seq_of
from call_events.errors import CallClosed, CallUnknown, IdTaken, StaleOwner, TailMoved
from call_events.ids import CallId
from call_events.patience import FIRST_PAUSE_S, LONGEST_PAUSE_S, until_deadline
from call_events.ports import AnyEvent, Appended, Ownership
from call_events.records import record_of
from call_events.registry import CLOSING_TYPE, OPENING_TYPE
from call_events.runner import ScriptRunner, passes
from call_events.workbench import is_told_to_end

__all__ = ["RedisEventLog", "connect"]

#: Looked up once: finding a label costs more than counting.
_COUNTED = {
    answer: metrics.APPENDS.labels(answer.decode())
    for answer in (b"OK", b"DUP", b"OTHER", b"CLOSED", b"UNKNOWN", b"STALE", b"CONFLICT")
}
_PAGE = 500


class RedisEventLog:
    """All call streams on one Redis."""

    def __init__(self, redis: Redis, *, deadline_s: float = 5.0, runner: ScriptRunner | None = None) -> None:
        """Use ``redis`` (see :func:`connect`); closing it stays the caller's duty.

        Args:
            redis: a client with ``decode_responses`` off.
            deadline_s: how long everything but ``follow`` is asked again while Redis cannot serve; 0 = tried once.
            runner: share one with a consumer of the same process.
        """
        self._redis = redis
        self._deadline_s = deadline_s
        self._appender = Appender(runner or ScriptRunner(redis), deadline_s=deadline_s)

    async def append(
        self,
        event: AnyEvent,
        *,
        expected_tail: int | None = None,
        epoch: int | None = None,
        first_wins: bool = False,
    ) -> Appended:
        """See ``ports.EventLog.append``."""
        began = time.perf_counter()
        record = record_of(event, first_wins=first_wins)
        result, number = await self._appender.append(record, expected_tail, epoch)
        _COUNTED[result].inc()
        metrics.APPEND_SECONDS.observe(time.perf_counter() - began)
        if result == b"OK":
            return Appended(seq=number, duplicate=False)
        if result == b"OTHER" and first_wins:
            return Appended(seq=number, duplicate=True)
        return _not_new(event, result, number)

    async def read(self, call: CallId, *, after: int = 0, limit: int | None = None) -> Sequence[AnyEvent]:
        """See ``ports.EventLog.read``. Reads in pages, so that a long call never holds the server up.

        Raises:
            LogUnavailable: Redis cannot be asked.
        """
        return decode_entries(call, await self._entries(call, after, limit))

    async def stored(self, call: CallId) -> Sequence[dict[str, Any]]:
        """The call as it stands in the log, see ``codec.as_stored``; empty for an unknown call.

        Raises:
            LogUnavailable: Redis cannot be asked.
        """
        return [as_stored(fields.get(b"e", b""), seq=seq_of(at)) for at, fields in await self._entries(call, 0, None)]

    async def follow(self, call: CallId, *, after: int = 0) -> AsyncIterator[AnyEvent]:
        """See ``ports.EventLog.follow``. Blocks on a connection of its own; while Redis is away it waits for it."""
        stream = keys.call_keys(call).stream
        pause = FIRST_PAUSE_S
        while True:
            if is_told_to_end():  # a return would look like the end of the call
                raise asyncio.CancelledError
            try:
                answer = await self._redis.xread({stream: f"0-{after}"}, count=_PAGE, block=BLOCK_MS)
            except (RedisError, OSError) as error:
                if not passes(error):
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
                continue
            pause = FIRST_PAUSE_S
            for event in decode_entries(call, _first_stream(answer)):
                yield event
                after = event.seq
                if wire_type(event) == CLOSING_TYPE:
                    return

    async def own(self, call: CallId, worker: str, *, lease_ms: int, epoch: int | None = None) -> Ownership:
        """See ``ports.EventLog.own``.

        Raises:
            LogUnavailable: Redis could not be asked within the deadline.
        """
        return await self._appender.own(call, worker, lease_ms, epoch)

    async def owner(self, call: CallId) -> str | None:
        """See ``ports.EventLog.owner``.

        Raises:
            LogUnavailable: Redis cannot be asked.
        """

        async def ask() -> Any:
            return await self._redis.hget(keys.call_keys(call).worker, "ow")

        found = await until_deadline(ask, self._deadline_s)
        return None if found is None else found.decode()

    def recent(self, call: CallId) -> Sequence[bytes]:
        """See ``ports.EventLog.recent``."""
        return self._appender.recent(call)

    async def keep_journal(self) -> None:
        """Run beside what appends, until cancelled: see ``appender.Appender.keep_journal``."""
        await self._appender.keep_journal()

    async def calls(self, limit: int = 100) -> Sequence[CallId]:
        """Ids of calls whose log has not been retired, newest first.

        Raises:
            LogUnavailable: Redis cannot be asked.
        """
        shards = await until_deadline(lambda: self._newest(limit), self._deadline_s)
        found = sorted(((float(score), call.decode()) for shard in shards for call, score in shard), reverse=True)
        return [CallId(call) for _, call in found[:limit]]

    async def _entries(self, call: CallId, after: int, limit: int | None) -> list[Entry]:
        entries: list[Entry] = []
        while limit is None or len(entries) < limit:
            count = _PAGE if limit is None else min(_PAGE, limit - len(entries))
            page = await until_deadline(partial(self._page, call, after, count), self._deadline_s)
            entries += page
            if len(page) < count:
                break
            after = seq_of(page[-1][0])
        return entries

    async def _page(self, call: CallId, after: int, count: int) -> Any:
        return await self._redis.xrange(keys.call_keys(call).stream, f"0-{after + 1}", "+", count=count)

    async def _newest(self, limit: int) -> Any:
        async with self._redis.pipeline(transaction=False) as pipe:
            for tag in keys.TAGS:
                pipe.zrange(keys.live(tag), 0, limit - 1, desc=True, withscores=True)
            return await pipe.execute()


def _not_new(event: AnyEvent, result: bytes, number: int) -> Appended:
    what = f"{wire_type(event)} to call {event.call}"
    match result:
        case b"DUP":
            return Appended(seq=number, duplicate=True)
        case b"OTHER":
            raise IdTaken(
                f"cannot append {what}: number {number} of its log is another event with the same id; "
                "give every fact an id of its own, and send a repeat unchanged"
            )
        case b"CLOSED" if number == 0:
            raise CallClosed(f"cannot append {what}: it has ended and been retired; look for it in the archive")
        case b"CLOSED":
            raise CallClosed(f"cannot append {what}: its log ended with number {number}")
        case b"UNKNOWN":
            raise CallUnknown(f"cannot append {what}: it has no log; only {OPENING_TYPE} opens one")
        case b"STALE":
            raise StaleOwner(f"cannot append {what}: a newer worker owns the call; stop speaking for it and leave")
        case _:
            raise TailMoved(f"cannot append {what}: its log already ends with number {number}")


def _first_stream(answer: Any) -> Any:
    """XREAD's answer is a map under RESP3 (each value wrapped once more) and a list of pairs under RESP2."""
    if not answer:
        return []
    if isinstance(answer, dict):
        (value,) = answer.values()
        return value[0] if value and isinstance(value[0], list) else value
    return answer[0][1]
