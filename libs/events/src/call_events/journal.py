"""What one process has appended lately, and which server said that it has it.

A server that takes over after a fail-over, or comes back after a power cut, may have forgotten its last second:
replicas and append-only files lag behind the answers. So a producer keeps what it appended for ten seconds, and appends
it again, by id and in order, where it was not acknowledged. What the new server has after all is a duplicate to it.

An entry is let go only after its server has answered *anything* ten seconds later: while nobody answers, time does not
count, for what was written last is what is missing when somebody else answers at last.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from call_events import metrics
from call_events.ids import CallId
from call_events.records import Record

#: An append-only file is synced every second, a replica is some milliseconds behind, or the one second that
#: ``min-replicas-max-lag`` allows. Ten times that.
KEEP_S = 10.0
#: Some 40,000 events; at full speed that is less than ten seconds, and what goes early is counted.
MAX_BYTES = 32 * 1024 * 1024
#: What Python needs for an entry beside the event's bytes.
_OVERHEAD = 500
#: How often the clock is looked at for what may go, and the gauge is set: each costs as much as keeping an event does.
_LOOK_S = 0.1
#: So much goes at once for want of room, for the same reason.
_EVICTED_AT_ONCE = 1 / 64


class Entry:
    """An event that ``server`` has acknowledged at ``at``."""

    __slots__ = ("at", "gone", "record", "server", "unknown_since")

    def __init__(self, record: Record, server: str, at: float) -> None:
        self.record = record
        self.server = server
        self.at = at
        self.gone = False
        self.unknown_since: float | None = None

    @property
    def size(self) -> int:
        """Bytes it takes here."""
        return len(self.record.raw) + _OVERHEAD


class Journal:
    """Acknowledged events in the order of their acknowledgement, by call and by server."""

    def __init__(
        self, *, keep_s: float = KEEP_S, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keep_s = keep_s
        self._max_bytes = max_bytes
        self._clock = clock
        #: In the order in which the call's events were appended, which a replay keeps.
        self._calls: defaultdict[CallId, deque[Entry]] = defaultdict(deque)
        #: Oldest first. An entry that has moved to another server's is skipped here.
        self._servers: defaultdict[str, deque[Entry]] = defaultdict(deque)
        self._bytes = 0
        self._entries = self._published = 0
        self._look_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, record: Record, server: str) -> None:
        """``server`` has just said that it has this event."""
        now = self._clock()
        entry = Entry(record, server, now)
        self._calls[record.call].append(entry)
        self._servers[server].append(entry)
        self._bytes += len(record.raw) + _OVERHEAD
        self._entries += 1
        if now >= self._look_at:
            self._look(server, now)
        if self._bytes > self._max_bytes:
            self._evict(server)

    def heard(self, server: str) -> None:
        """``server`` has just answered: what it acknowledged long ago is safe there."""
        self._look(server, self._clock())

    def owes(self, call: CallId, server: str) -> bool:
        """Whether ``server`` may not know all that was appended to the call lately."""
        entries = self._calls.get(call)
        return entries is not None and (entries[0].server != server or entries[-1].server != server)

    def owed(self, call: CallId, server: str) -> Sequence[Entry]:
        """What ``server`` may not know, in order."""
        return [entry for entry in self._calls.get(call, ()) if entry.server != server]

    def of(self, call: CallId) -> Sequence[Record]:
        """All it holds of a call, in order."""
        return [entry.record for entry in self._calls.get(call, ())]

    def calls(self) -> Sequence[CallId]:
        """The calls it holds something of."""
        return list(self._calls)

    def move(self, entry: Entry, server: str) -> None:
        """``server`` has the entry now: it keeps its place in its call and its ten seconds begin anew."""
        before = entry.server
        entry.server, entry.at = server, self._clock()
        entry.unknown_since = None
        self._servers[server].append(entry)
        self._tidy(before)

    def awaits_beginning(self, entry: Entry) -> bool:
        """A server does not know the entry's call: whether another producer may still bring its beginning there."""
        now, since = self._clock(), entry.unknown_since
        if since is None:
            since = now
            for one in self._calls[entry.record.call]:  # they all wait for the same beginning
                one.unknown_since = now
        return now - since < self._keep_s

    def drop(self, entry: Entry) -> None:
        """Forget an entry."""
        if entry.gone:
            return
        entry.gone = True
        self._bytes -= entry.size
        self._entries -= 1
        entries = self._calls[entry.record.call]
        if entries[0] is entry:
            entries.popleft()
        else:
            entries.remove(entry)
        if not entries:
            del self._calls[entry.record.call]
        self._tidy(entry.server)

    def _tidy(self, server: str) -> None:
        """A server that has gone is never heard again: let go of what another has by now."""
        entries = self._servers.get(server)
        while entries and (entries[0].gone or entries[0].server != server):
            entries.popleft()
        if not entries:
            self._servers.pop(server, None)

    def _look(self, server: str, now: float) -> None:
        self._look_at = now + _LOOK_S
        entries, before = self._servers.get(server), now - self._keep_s
        while entries and (entries[0].gone or entries[0].server != server or entries[0].at < before):
            entry = entries.popleft()
            if entry.server == server:
                self.drop(entry)
        if not entries:
            self._servers.pop(server, None)
        metrics.JOURNAL_ENTRIES.inc(self._entries - self._published)
        self._published = self._entries

    def _evict(self, server: str) -> None:
        """Make room: what ``server`` has longest goes first, what others have only if that is not enough."""
        enough, evicted = self._max_bytes * (1 - _EVICTED_AT_ONCE), 0
        for name in (server, *(one for one in self._servers if one != server)):
            entries = self._servers[name]
            while entries and self._bytes > enough:
                entry = entries.popleft()
                if entry.server == name and not entry.gone:
                    self.drop(entry)
                    evicted += 1
        metrics.JOURNAL_EVICTED.inc(evicted)
