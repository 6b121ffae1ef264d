"""What the archive needs from outside, named by role. ``directory`` and ``s3`` are stores; both pass one suite."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class ReadStore(Protocol):
    """Reads what is kept. Paths are relative, with ``/``."""

    @property
    def url(self) -> str:
        """For messages: where it is, without any secret."""
        ...

    async def read(self, path: str, *, first: int | None = None) -> bytes:
        """All bytes, or the ``first`` so many.

        Raises:
            NotThere: nothing is kept there.
            StoreUnavailable: it could not be asked.
        """
        ...

    async def exists(self, path: str) -> bool:
        """Whether something is kept there.

        Raises:
            StoreUnavailable: it could not be asked.
        """
        ...

    async def names(self, folder: str) -> Sequence[str]:
        """What is directly in a folder, sorted; folders in it end with ``/``. Empty if there is no such folder.

        Raises:
            StoreUnavailable: it could not be asked.
        """
        ...


class Store(ReadStore, Protocol):
    """Keeps bytes under names and never writes over anything."""

    async def create(self, path: str, content: bytes) -> None:
        """Keep bytes under a new name: whole or not at all, and durable when this returns.

        Raises:
            AlreadyThere: something is kept there, and was not touched.
            StoreUnavailable: not known to be kept; do it again.
        """
        ...

    async def remove(self, path: str) -> bool:
        """Remove it for good; false = it was not there.

        Raises:
            StoreUnavailable: not known to be removed; do it again.
        """
        ...

    async def check(self) -> None:
        """Whether it can be written to and keeps its promises; for the start of a process that writes.

        Raises:
            BadSetting: it does not keep them.
            StoreUnavailable: it cannot be written to; the text says why.
        """
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """The newest link of the chain."""

    number: int
    #: SHA-256 of the link as it is kept, in hex.
    digest: str


class HeadKeeper(Protocol):
    """Remembers the newest link outside of the store, so that a chain that was cut short shows."""

    async def newest(self) -> Head | None:
        """The newest link that was ever told; absent if none was.

        Raises:
            LogUnavailable: could not be asked.
        """
        ...

    async def advance(self, head: Head) -> None:
        """A newer link was written; an older one than is remembered changes nothing.

        Raises:
            LogUnavailable: not known to be remembered.
        """
        ...
