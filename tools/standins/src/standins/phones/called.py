"""A telephone that is called: what its owner has decided beforehand, and how it rings until that is due."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from standins.exchange.handset import Final, Invitation
from standins.phones.changes import Changes
from standins.phones.port import REFUSAL_AFTER_S


@dataclass(frozen=True)
class _Manner:
    """How a phone behaves when it is called: whether it rings, and what it answers after how long (None: never)."""

    rings: bool
    status: int | None = None
    after_s: float = 0.0
    since: float = 0.0


class Called(ABC):
    """The half of a `Phone` that is called; the other half says whether it is free, and begins the call."""

    def __init__(self, number: str) -> None:
        self._number = number
        self._changes = Changes()
        self._manner = _Manner(rings=True)
        self._rang_at: list[float] = []
        self._headers: Mapping[str, str] = {}
        self._ringing = False

    @property
    def number(self) -> str:
        """See `Phone.number`."""
        return self._number

    @abstractmethod
    def _is_engaged(self) -> bool:
        """Whether the phone is in a call of its own, or dials one."""

    @abstractmethod
    def _begin(self) -> None:
        """Forget the last call: a new one is taken."""

    async def _until(self, condition: Callable[[], bool], timeout_s: float, failing: str) -> None:
        await self._changes.until(condition, timeout_s, f"phone {self.number} {failing}")

    def answer(self, after_s: float = 0.0) -> None:
        """See `Phone.answer`."""
        self._behave(rings=True, status=200, after_s=after_s)

    def decline(self, after_s: float = REFUSAL_AFTER_S) -> None:
        """See `Phone.decline`."""
        self.refuse(603, after_s)

    def busy(self, after_s: float = REFUSAL_AFTER_S) -> None:
        """See `Phone.busy`."""
        self.refuse(486, after_s)

    def unavailable(self, after_s: float = REFUSAL_AFTER_S) -> None:
        """See `Phone.unavailable`."""
        self.refuse(480, after_s)

    def not_found(self, after_s: float = REFUSAL_AFTER_S) -> None:
        """See `Phone.not_found`."""
        self.refuse(404, after_s)

    def refuse(self, status: int, after_s: float = REFUSAL_AFTER_S) -> None:
        """See `Phone.refuse`."""
        self._behave(rings=True, status=status, after_s=after_s)

    def ring_out(self) -> None:
        """See `Phone.ring_out`."""
        self._behave(rings=True, status=None)

    def vanish(self) -> None:
        """See `Phone.vanish`."""
        self._behave(rings=False, status=None)

    def _behave(self, *, rings: bool, status: int | None, after_s: float = 0.0) -> None:
        self._manner = _Manner(rings, status, after_s, time.monotonic())
        self._changes.tell()

    @property
    def ringing(self) -> bool:
        """See `Phone.ringing`."""
        return self._ringing

    @property
    def rang_at(self) -> tuple[float, ...]:
        """See `Phone.rang_at`."""
        return tuple(self._rang_at)

    @property
    def invited_headers(self) -> Mapping[str, str]:
        """See `Phone.invited_headers`."""
        return self._headers

    async def wait_ringing(self, timeout_s: float = 20.0) -> float:
        """See `Phone.wait_ringing`."""
        await self._until(lambda: self._ringing, timeout_s, "did not ring")
        return self._rang_at[-1]

    async def wait_ringing_stopped(self, timeout_s: float = 20.0) -> float:
        """See `Phone.wait_ringing_stopped`."""
        await self._until(lambda: not self._ringing, timeout_s, "did not stop ringing")
        return time.monotonic()

    async def invited(self, invitation: Invitation) -> Final:
        """See `Handset.invited`."""
        if self._is_engaged() or self._ringing:
            return Final(486, "Busy Here")
        self._headers = dict(invitation.headers)
        began = time.monotonic()
        try:
            while True:
                changed = self._changes.next
                manner = self._manner
                if manner.rings and not self._ringing:
                    self._ringing = True
                    self._rang_at.append(time.monotonic())
                    self._changes.tell()
                    await invitation.ring()
                    continue  # ringing took a moment; the owner may have decided meanwhile
                if manner.status is None:
                    await changed.wait()
                    continue
                due = max(began, manner.since) + manner.after_s
                try:
                    async with asyncio.timeout(due - time.monotonic()):
                        await changed.wait()
                except TimeoutError:
                    if manner.status == 200:
                        self._begin()
                    return Final(manner.status)
        finally:
            self._ringing = False
            self._changes.tell()
