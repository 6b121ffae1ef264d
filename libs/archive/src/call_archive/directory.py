"""``ports.Store`` in a directory.

A file appears under its name whole and on the disk, or not at all: it is written and synced under another name, then
linked to its own, which fails if the name is taken; then the folder is synced. The file system must know hard links
(any of Linux does; FAT and some network shares do not). Half-written files of a killed process lie in ``.part/`` and
are swept.
"""

import asyncio
import errno
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from call_archive.errors import AlreadyThere, NotThere, StoreUnavailable
from call_archive.paths import CALLS

T = TypeVar("T")

_PARTS = ".part"
#: Nobody takes so long to write a file.
_STALE_S = 3600.0


class DirectoryStore:
    """Everything under one directory, which must exist: a disk that is not mounted is no empty archive."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def url(self) -> str:
        """See ``ports.ReadStore``."""
        return str(self._root)

    async def read(self, path: str, *, first: int | None = None) -> bytes:
        """See ``ports.ReadStore``."""
        return await self._asked(path, lambda: _read(self._root / path, first))

    async def exists(self, path: str) -> bool:
        """See ``ports.ReadStore``."""
        return await self._asked(path, (self._root / path).is_file)

    async def names(self, folder: str) -> Sequence[str]:
        """See ``ports.ReadStore``."""
        return await self._asked(folder, lambda: _names(self._root / folder))

    async def create(self, path: str, content: bytes) -> None:
        """See ``ports.Store``."""
        await self._asked(path, lambda: self._create(path, content))

    async def remove(self, path: str) -> bool:
        """See ``ports.Store``."""
        return await self._asked(path, lambda: _remove(self._root / path))

    async def check(self) -> None:
        """Try whether files can be made here, and sweep what killed processes have left half-written.

        Raises:
            StoreUnavailable: they cannot; the text says why.
        """
        await self._asked(CALLS, self._try_and_sweep)

    async def _asked(self, path: str, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(self._whole, work)
        except FileNotFoundError as error:
            raise NotThere(f"{path}: nothing is kept there") from error
        except FileExistsError as error:
            raise AlreadyThere(f"{path}: something is kept there already") from error
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            mend = "the disk is full: make room" if full else f"{error.strerror or error}"
            raise StoreUnavailable(f"the archive at {self.url} refuses {path}: {mend}") from error

    def _whole(self, work: Callable[[], T]) -> T:
        if not self._root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "there is no such directory; create or mount it")
        return work()

    def _create(self, path: str, content: bytes) -> None:
        target = self._root / path
        if target.exists():
            raise FileExistsError(errno.EEXIST, "exists")
        _make_folder(self._root, target.parent)
        part = self._part(content)
        try:
            os.link(part, target)
            _sync_folder(target.parent)
        finally:
            part.unlink(missing_ok=True)

    def _part(self, content: bytes) -> Path:
        folder = self._root / _PARTS
        folder.mkdir(exist_ok=True)
        part = folder / secrets.token_hex(8)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return part

    def _try_and_sweep(self) -> None:
        self._part(b"").unlink()
        for part in (self._root / _PARTS).iterdir():
            if part.stat().st_mtime < time.time() - _STALE_S:
                part.unlink(missing_ok=True)


def _read(path: Path, first: int | None) -> bytes:
    with path.open("rb") as file:
        return file.read() if first is None else file.read(first)


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name + "/" * e.is_dir() for e in entries if not e.name.startswith("."))
    except FileNotFoundError:
        return []


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    _sync_folder(path.parent)
    return True


def _make_folder(root: Path, folder: Path) -> None:
    """With all between, each synced into the one above: else a crash may lose the folder and the file in it."""
    if folder == root or folder.is_dir():
        return
    _make_folder(root, folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
