"""How one process appends: in order within a call, not too much at once, and again where a new server may lack it.

* **Turns.** Appends of one call never overtake each other: each waits for the answer to the one before it, also while
  that one is being repeated. Different calls never wait for each other.
* **Back-pressure.** Only so many appends are on their way at once; whoever comes then waits.
* **The journal** (``call_events.journal``). What was appended in the last ten seconds is appended again, by id and in
  its order, before the call's next event goes to a server other than the one which acknowledged it. So a fail-over to a
  replica that lagged behind, or a server that comes back without its last second, loses nothing, and no event of this
  process overtakes one that was forgotten. Of calls that say nothing more :meth:`Appender.keep_journal` takes care.

What is appended again carries no epoch: it was accepted once, from its owner. The ownership itself may have been
forgotten as well; then it is renewed first, unless the new server has given it to somebody else.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import structlog
from redis.exceptions import RedisError

from call_events import keys, metrics
from call_events.errors import LogUnavailable, ServerChanged, StaleOwner
from call_events.ids import CallId
from call_events.journal import Entry, Journal
from call_events.patience import until_deadline
from call_events.ports import Ownership
from call_events.records import Record
from call_events.runner import ScriptRunner

log = structlog.get_logger()

#: Appends on their way at once, of all calls: more than one server works off in a tenth of a second helps nobody.
MAX_IN_FLIGHT = 2048
#: How often a server is listened to while it may still forget something.
_LISTEN_S = 1.0
#: After a change of server no call is ended for so long: other producers bring what was forgotten first, which an ended
#: call would refuse them. They listen every second.
_SETTLE_S = 2.5
#: At once, when the server changes between the question who it is and the append.
_CHANGES = 3
#: What a server that cannot be asked just now is told by.
_AWAY = (LogUnavailable, RedisError, OSError)
#: The event is in the log.
_STORED = frozenset({b"OK", b"DUP"})


class _Turn:
    """Whose append to a call is on its way, and how many want to follow."""

    __slots__ = ("lock", "wanted")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.wanted = 0


class _Owned(NamedTuple):
    """A right to speak that ``server`` has granted."""

    worker: str
    lease_ms: int
    epoch: int
    server: str | None


class _Change:
    """The last change of server; by itself, so that the runner, which is told, does not keep the appender alive."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self._at = -math.inf

    def tell(self) -> None:
        """The server has changed just now."""
        self._at = time.monotonic()
        self.heard.set()

    async def settled(self) -> None:
        """Until the change is a while ago."""
        await asyncio.sleep(max(0.0, self._at + _SETTLE_S - time.monotonic()))


class Appender:
    """Appends of one process."""

    def __init__(
        self,
        runner: ScriptRunner,
        *,
        deadline_s: float,
        journal: Journal | None = None,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._runner = runner
        self._deadline_s = deadline_s
        self._journal = Journal() if journal is None else journal
        self._turns: dict[CallId, _Turn] = {}
        self._owned: dict[CallId, _Owned] = {}
        self._room = asyncio.Semaphore(max_in_flight)
        self._change = _Change()
        runner.on_change(self._change.tell)

    async def append(self, record: Record, expected_tail: int | None, epoch: int | None) -> tuple[bytes, int]:
        """What append.lua answers.

        Raises:
            LogUnavailable: not known to be stored.
            StaleOwner: the right to speak has gone to somebody else.
        """
        turn = self._queue_up(record.call)
        metrics.APPEND_WAITING.inc()
        try:
            async with turn.lock, self._room:
                ask = partial(self._append, record, expected_tail, epoch)
                return await until_deadline(ask, self._deadline_s)
        finally:
            metrics.APPEND_WAITING.dec()
            self._leave(record.call, turn)

    async def own(self, call: CallId, worker: str, lease_ms: int, epoch: int | None) -> Ownership:
        """Take or renew the right to speak.

        Raises:
            LogUnavailable, StaleOwner: it was not granted.
        """
        return await until_deadline(partial(self._own, call, worker, lease_ms, epoch), self._deadline_s)

    def recent(self, call: CallId) -> Sequence[bytes]:
        """See ``ports.EventLog.recent``."""
        return [record.raw for record in self._journal.of(call)]

    async def keep_journal(self) -> None:
        """Append again what a new server lacks of calls that say nothing more; until cancelled.

        While the journal holds anything its servers are listened to, so that a change is noticed though nothing is
        appended, and so that what they have kept for ten seconds is let go.
        """
        while True:
            self._change.heard.clear()
            try:
                async with asyncio.timeout(_LISTEN_S):
                    await self._change.heard.wait()
            except TimeoutError:
                pass
            if self._journal:
                await self._listen()

    async def _listen(self) -> None:
        """Ask who is there, shard by shard, and bring what they lack. No shard or call waits for another's trouble."""
        calls: dict[str, list[CallId]] = {}
        for call in self._journal.calls():
            calls.setdefault(keys.call_keys(call).bell, []).append(call)
        async with asyncio.TaskGroup() as tasks:
            for bell, theirs in calls.items():
                tasks.create_task(self._listen_at(bell, theirs), name="journal-shard")

    async def _listen_at(self, bell: str, calls: Sequence[CallId]) -> None:
        try:
            await self._runner.meet(bell)
        except _AWAY as error:  # nobody answers, so no time counts: the next round asks again
            log.debug("journal.cannot_listen", error=type(error).__name__)
            return
        server = self._runner.server_of(bell)
        if server is None:
            return
        self._journal.heard(server)
        async with asyncio.TaskGroup() as tasks:
            for call in calls:
                if self._journal.owes(call, server) and call not in self._turns:  # else an append on its way does it
                    tasks.create_task(self._bring(call), name="journal-call")

    async def _bring(self, call: CallId) -> None:
        turn = self._queue_up(call)
        try:
            async with turn.lock, self._room:
                server = await self._server(call)
                if server is not None and self._journal.owes(call, server):
                    await self._restore(call, server)
        except _AWAY as error:
            log.debug("journal.cannot_restore", call=call, error=type(error).__name__)
        finally:
            self._leave(call, turn)

    def _queue_up(self, call: CallId) -> _Turn:
        turn = self._turns.get(call)
        if turn is None:
            turn = self._turns[call] = _Turn()
        turn.wanted += 1
        return turn

    def _leave(self, call: CallId, turn: _Turn) -> None:
        turn.wanted -= 1
        if not turn.wanted:
            del self._turns[call]

    async def _append(self, record: Record, expected_tail: int | None, epoch: int | None) -> tuple[bytes, int]:
        at, closes = keys.call_keys(record.call), record.mode == "close"
        args = _args(record, expected_tail, epoch)
        for _ in range(_CHANGES):
            server = self._runner.server_of(at.bell) or await self._meet(at.bell)
            try:
                if server is not None and self._journal.owes(record.call, server):
                    await self._restore(record.call, server)
                if epoch is not None:
                    await self._own_again(record.call, epoch, server)
                if closes:
                    await self._change.settled()
                answer: Any = await self._runner.run("append", at.for_append, args, server=server)
            except ServerChanged:
                continue
            result, number = answer
            if server is not None and result in _STORED:
                self._journal.add(record, server)
            if closes:
                self._owned.pop(record.call, None)
            return result, number
        raise LogUnavailable("the server changes again and again; nothing was appended")

    async def _restore(self, call: CallId, server: str) -> None:
        """Append again, in their order, what ``server`` may not know of the call."""
        counts: dict[str, int] = {}
        for entry in self._journal.owed(call, server):
            result = await self._restored(entry, server)
            counts[result] = counts.get(result, 0) + 1
            metrics.JOURNAL_REPLAYED.labels(result).inc()
        if counts.get("restored"):
            log.warning("journal.restored", call=call, events=counts["restored"], there=counts.get("there", 0))
        if counts.get("refused"):
            log.critical(
                "journal.refused",
                call=call,
                events=counts["refused"],
                mend="the new server has ended or never known this call; compare callweave verify with the archive",
            )

    async def _restored(self, entry: Entry, server: str) -> str:
        if entry.record.mode == "close":
            await self._change.settled()
        at, args = keys.call_keys(entry.record.call), _args(entry.record, None, None)
        answer: Any = await self._runner.run("append", at.for_append, args, server=server)
        result = answer[0]
        if result in _STORED:
            self._journal.move(entry, server)
            return "restored" if result == b"OK" else "there"
        if result == b"UNKNOWN" and self._journal.awaits_beginning(entry):
            raise LogUnavailable("the new server lacks the call's beginning; whoever appended that brings it again")
        self._journal.drop(entry)
        return "there" if result == b"OTHER" and entry.record.first_wins else "refused"

    async def _own_again(self, call: CallId, epoch: int, server: str | None) -> None:
        """The right to speak was granted by a server that is gone: ask this one before it refuses us for no reason."""
        owned = self._owned.get(call)
        if owned is not None and owned.epoch == epoch and owned.server != server:
            await self._own(call, owned.worker, owned.lease_ms, epoch)

    async def _own(self, call: CallId, worker: str, lease_ms: int, epoch: int | None) -> Ownership:
        server = await self._server(call)
        args = (worker, lease_ms, "" if epoch is None else epoch)
        answer = await self._runner.run("own", (keys.call_keys(call).worker,), args, server=server)
        if answer[0] < 0:
            self._owned.pop(call, None)
            refusal = StaleOwner(f"call {call} belongs to worker {answer[1].decode()}; stop speaking for it and leave")
            refusal.holder = answer[1].decode()
            raise refusal
        self._owned[call] = _Owned(worker, lease_ms, answer[0], server)
        return Ownership(epoch=answer[0])

    async def _server(self, call: CallId) -> str | None:
        bell = keys.call_keys(call).bell
        return self._runner.server_of(bell) or await self._meet(bell)

    async def _meet(self, bell: str) -> str | None:
        """Run-id of the server that has the shard now; absent where that is just being decided: a slot that moves key
        by key, and nobody asked before. What goes there then is bound to no server, and not journalled."""
        await self._runner.meet(bell)
        return self._runner.server_of(bell)


def _args(record: Record, expected_tail: int | None, epoch: int | None) -> Sequence[str | bytes | int]:
    return (
        record.id,
        record.raw,
        record.call,
        record.mode,
        "" if expected_tail is None else expected_tail,
        "" if epoch is None else epoch,
        record.producer,
    )
