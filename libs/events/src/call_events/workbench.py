"""Tokens and slots of one worker: which calls it holds, which wait for a slot, and which doorbells belong to them."""

import asyncio
from collections.abc import Awaitable, Callable

from call_events.held import Held
from call_events.ids import CallId

Work = Callable[[Held], Awaitable[None]]


def is_told_to_end() -> bool:
    """Whether this task has been cancelled.

    Endless loops ask: redis-py may answer a cancelled read as if nothing was.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Workbench:
    """At most ``slots`` calls at once; a call's doorbells are gathered with it, so that a call is never held twice."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._waiting: dict[CallId, dict[str, None]] = {}
        self._tasks: dict[CallId, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._closed = False
        self.held: dict[CallId, Held] = {}
        #: Set while there is room for more tokens.
        self.room = asyncio.Event()
        self.room.set()
        #: Set while nothing is in hand.
        self.empty = asyncio.Event()
        self.empty.set()

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot."""
        return len(self._waiting)

    @property
    def free(self) -> int:
        """Slots nobody has asked for."""
        return max(0, self._slots - len(self.held) - len(self._waiting))

    def offer(self, token: str, call: CallId) -> None:
        """Take a doorbell. After :meth:`close` it is left pending, for :meth:`Upkeep.hand_back`."""
        if self._closed:
            return
        held = self.held.get(call)
        if held is None:
            self._waiting.setdefault(call, {})[token] = None
            self._update()
        elif token != held.token:
            held.later[token] = None

    def close(self) -> None:
        """Start nothing more."""
        self._closed = True
        self._waiting.clear()
        self._update()

    def abandon(self) -> None:
        """Cancel what is still in hand."""
        for task in self._tasks.values():
            task.cancel()

    async def run(self, work: Work, tasks: asyncio.TaskGroup) -> None:
        """Give every waiting call a slot as one gets free, until closed."""
        while not self._closed:
            while self._waiting and len(self.held) < self._slots:
                call = next(iter(self._waiting))
                first, *later = self._waiting.pop(call)
                held = Held(call, first, later=dict.fromkeys(later))
                self.held[call] = held
                self._tasks[call] = tasks.create_task(self._work(work, held), name="drain")
            self._update()
            self._changed.clear()
            await self._changed.wait()

    async def _work(self, work: Work, held: Held) -> None:
        try:
            await work(held)
        finally:
            del self.held[held.call], self._tasks[held.call]
            if held.later and not self._closed:
                self._waiting[held.call] = held.later  # came after the last word with the server: they need another
            self._update()

    def _update(self) -> None:
        self._changed.set()
        for event, condition in ((self.room, self.free > 0 and not self._closed), (self.empty, not self.held)):
            if condition:
                event.set()
            else:
                event.clear()
