"""What only a directory has: half-written files, and a disk that is full."""

import errno
import os
import time
from pathlib import Path

import pytest

from call_archive.directory import DirectoryStore
from call_archive.errors import StoreUnavailable


class FullDisk(DirectoryStore):
    """Every write ends as on a disk without room."""

    def _part(self, content: bytes) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{len(content)} bytes")


async def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"refuses calls/ab/one: the disk is full: make room") as full:
        await FullDisk(tmp_path).create("calls/ab/one", b"content")
    assert full.value.retry
    assert not await DirectoryStore(tmp_path).exists("calls/ab/one")


async def test_what_a_killed_process_left_half_written_is_swept_and_what_is_being_written_is_not(
    tmp_path: Path,
) -> None:
    parts = tmp_path / ".part"
    parts.mkdir()
    (parts / "old").write_bytes(b"personal")
    (parts / "new").write_bytes(b"on its way")
    os.utime(parts / "old", (time.time() - 7200,) * 2)

    await DirectoryStore(tmp_path).check()

    assert [path.name for path in parts.iterdir()] == ["new"]
    assert await DirectoryStore(tmp_path).names("") == []
