"""Legs that have vanished without a reason, and how long they have to come back.

A restart of livekit-server throws everybody out, this worker too, and each comes back by itself, some seconds apart.
So the time counts only while we are in the room ourselves: whoever is away sees nobody return.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime


class Absences:
    """The legs that are missing now."""

    def __init__(self, patience_s: float, on_given_up: Callable[[str, datetime], None]) -> None:
        """``on_given_up`` is told the identity, and when the leg was last seen."""
        self._patience_s = patience_s
        self._on_given_up = on_given_up
        self._last_seen: dict[str, datetime] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._away = False

    def __contains__(self, identity: str) -> bool:
        """Whether that leg is missing and may be back in a moment."""
        return identity in self._last_seen

    def begin(self, identity: str, last_seen: datetime) -> None:
        """A leg has vanished."""
        if identity not in self._last_seen:
            self._last_seen[identity] = last_seen
            self._count(identity)

    def end(self, identity: str) -> bool:
        """A leg is there again, or known to be gone; whether it was missing."""
        if timer := self._timers.pop(identity, None):
            timer.cancel()
        return self._last_seen.pop(identity, None) is not None

    def pause(self) -> None:
        """We are out of the room ourselves."""
        self._away = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def resume(self) -> None:
        """We are back: everybody who is missing has the whole time from now."""
        self._away = False
        for identity in self._last_seen:
            self._count(identity)

    def close(self) -> None:
        """Wait for nobody any more."""
        for identity in list(self._last_seen):
            self.end(identity)

    def _count(self, identity: str) -> None:
        if not self._away and identity not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[identity] = loop.call_later(self._patience_s, self._give_up, identity)

    def _give_up(self, identity: str) -> None:
        last_seen = self._last_seen[identity]
        self.end(identity)
        self._on_given_up(identity, last_seen)
