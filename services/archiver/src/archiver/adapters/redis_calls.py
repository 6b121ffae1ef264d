"""``ports.FinishedCalls``, ``ports.Leaving`` and ``ports.Bookmark`` on the log in Redis."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from archiver.domain.ripeness import GroupProgress
from archiver.ports import SEALED, Going
from call_archive.erasure import GROUP
from call_archive.errors import SealRefused
from call_archive.head import HEAD_KEY
from call_archive.seal import FinishedCall, finished_call
from call_events import keys
from call_events.admin import Admin
from call_events.claims import read_receipt
from call_events.codec import decode
from call_events.entries import Entry, script_entries
from call_events.errors import BadEvent
from call_events.ids import CallId, call_id
from call_events.runner import ScriptRunner

#: Entries in one answer.
_PAGE = 1000
#: Calls of one shard that a sweep looks at.
_MOST_PER_SHARD = 10_000
#: Of this group for one call: that its end was seen, that it is sealed, and what a person may have decided.
_LAST_RECEIPTS = 10


class RedisCalls:
    """What the archiver asks of the log besides consuming it."""

    def __init__(self, admin: Admin, runner: ScriptRunner, *, groups: Sequence[str], grace_s: int) -> None:
        """Asks nothing yet.

        Args:
            admin: of the log.
            runner: of the same process.
            groups: that must have finished with a call before it is sealed.
            grace_s: seconds that Redis keeps a call after it was let go.
        """
        self._admin = admin
        self._runner = runner
        self._groups = tuple(groups)
        self._grace_s = grace_s
        #: Every group that reads the log, as far as is known.
        self._reading: Sequence[str] = []

    async def progress(self, call: CallId) -> Sequence[GroupProgress]:
        """See ``ports.FinishedCalls``."""
        states = [await self._admin.state(group, call) for group in self._groups]
        return [
            GroupProgress(
                group=state.group,
                cursor=state.cursor,
                parked=state.parked is not None,
                busy=state.worker is not None or state.wake_at is not None or state.due,
            )
            for state in states
        ]

    async def read(self, call: CallId) -> FinishedCall:
        """See ``ports.FinishedCalls``."""
        entries = await self._all(keys.call_keys(call).stream)
        receipts: Mapping[str, Sequence[Entry]] = {
            group: await self._all(keys.group_keys(group, call).receipts) for group in self._groups
        }
        if not entries:
            raise SealRefused(f"call {call}: its log is gone from Redis")
        return await asyncio.to_thread(finished_call, call, entries, receipts)

    async def _all(self, stream: str) -> list[Entry]:
        found: list[Entry] = []
        start = "-"
        while True:
            (answer,) = await self._runner.ask(("XRANGE", stream, start, "+", "COUNT", _PAGE))
            page = script_entries(answer)
            found += page
            if len(page) < _PAGE:
                return found
            start = f"({page[-1][0].decode()}"

    async def let_go(self, call: CallId) -> Going:
        """See ``ports.Leaving``."""
        call_id(call)  # the set of live calls may have been written past the scripts
        receipts, closed = await self._runner.ask(
            ("XREVRANGE", keys.group_keys(GROUP, call).receipts, "+", "-", "COUNT", _LAST_RECEIPTS),
            ("HEXISTS", keys.call_keys(call).dedupe, "#closed"),
        )
        if not closed and not await self._is_gone(call):
            return Going.OPEN
        if not any(read_receipt(fields[b"r"]).outcome == SEALED for _, fields in script_entries(receipts)):
            return Going.WAITS  # also one that a person has let this group pass over: nothing else holds it
        answer = await self._admin.retire(call, groups=await self._all_groups(), grace_s=self._grace_s)
        return Going.GONE if answer == "OK" else Going.WAITS

    async def _is_gone(self, call: CallId) -> bool:
        at = keys.call_keys(call)
        (place,) = await self._runner.ask(("ZSCORE", at.gone, call))
        return place is not None

    async def _all_groups(self) -> Sequence[str]:
        if not self._reading:
            self._reading = sorted({*await self._admin.groups(), *self._groups, GROUP})
        return self._reading

    async def waits_for(self, call: CallId) -> Sequence[str]:
        """See ``ports.Leaving``."""
        tail = await self._admin.tail(call)
        states = [await self._admin.state(group, call) for group in await self._all_groups()]
        return [
            state.group
            for state in states
            if state.cursor != tail or state.parked is not None or state.wake_at is not None or state.due
        ]

    async def remaining(self) -> Sequence[CallId]:
        """See ``ports.Leaving``."""
        self._reading = []  # looked up again: there may be a new one
        found: list[CallId] = []
        for tag in keys.TAGS:
            (answer,) = await self._runner.ask(("ZRANGE", keys.live(tag), 0, _MOST_PER_SHARD - 1))
            found += [CallId(call.decode("utf-8", "backslashreplace")) for call in answer]
        return found

    async def last_at(self, call: CallId) -> datetime | None:
        """See ``ports.Leaving``."""
        stream = keys.call_keys(call).stream
        (answer,) = await self._runner.ask(("XREVRANGE", stream, "+", "-", "COUNT", 1))
        for _, fields in script_entries(answer):
            try:
                return decode(fields.get(b"e", b"")).time
            except BadEvent:
                return None
        return None


class RedisBookmark:
    """How far retention has come, beside the head of the chain: whoever begins a new archive deletes one key."""

    def __init__(self, runner: ScriptRunner) -> None:
        self._runner = runner

    async def get(self) -> int:
        """See ``ports.Bookmark``."""
        (answer,) = await self._runner.ask(("HGET", HEAD_KEY, "kept"))
        return int(answer or 0)

    async def set(self, number: int) -> None:
        """See ``ports.Bookmark``."""
        await self._runner.ask(("HSET", HEAD_KEY, "kept", number))
