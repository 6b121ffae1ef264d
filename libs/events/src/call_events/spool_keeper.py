"""Brings what processes have left in the spool into the log: after a crash, or when a job ended while Redis was away.

A file whose lock is free has lost its owner. Its records are appended in their order, each under its own id: what was
in the log already is a duplicate, and nothing is doubled however often a keeper is interrupted. Several keepers may
look at one directory: the lock decides.

**No epoch goes with them.** The epoch keeps a paused worker that has lost its call from speaking on. What lies here was
said and heard while the log was away, by a worker that is no more; nobody else can tell of it. It is taken as long as
the call's log is open.

What the log refuses for good (the call has ended or was let go meanwhile, or was never opened), and lines that are torn
or were changed, are kept in ``refused/`` with the reason, counted, and told: a person decides. Nothing is deleted.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import structlog

from call_events import metrics
from call_events.codec import decode
from call_events.errors import AppendRefused, BadEvent, LogUnavailable
from call_events.ports import EventLog
from call_events.spool import Line, Spool, read_lines, sync_directory

log = structlog.get_logger()

REFUSED = "refused"
#: Between two looks at the directory.
LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one look at the spool has done."""

    files: int = 0
    events: int = 0
    refused: int = 0
    #: Files whose owners live, or that wait for the log.
    left: int = 0


class SpoolKeeper:
    """Looks at one spool directory on behalf of a machine."""

    def __init__(self, spool: Spool, events: EventLog) -> None:
        self._spool = spool
        self._log = events

    async def run(self) -> None:
        """Look again and again until cancelled. A disk that cannot be read is told and waited for."""
        told = False
        while True:
            try:
                await self.look()
                told = False
            except OSError as error:
                if not told:
                    log.critical(
                        "spool.cannot_be_read",
                        directory=str(self._spool.directory),
                        error=error.strerror,
                        mend="let the worker's user read and write there; events may wait in it",
                    )
                told = True
            await asyncio.sleep(LOOK_S)

    async def look(self) -> Replayed:
        """Append what is left behind now.

        Raises:
            OSError: the directory cannot be read or written.
        """
        done = Replayed()
        for path in await asyncio.to_thread(self._spool.files):
            with _orphan(path) as is_orphan:
                if not is_orphan:
                    done = Replayed(done.files, done.events, done.refused, done.left + 1)
                    continue
                try:
                    events, refused = await self._replay(path)
                except LogUnavailable:
                    done = Replayed(done.files, done.events, done.refused, done.left + 1)
                    continue
                await asyncio.to_thread(path.unlink)
                done = Replayed(done.files + 1, done.events + events, done.refused + refused, done.left)
                log.info("spool.replayed", file=path.name, events=events, refused=refused)
        await asyncio.to_thread(self._measure)
        return done

    async def _replay(self, path: Path) -> tuple[int, int]:
        """Append one file's records; how many were appended (or there already), and how many were refused."""
        events = 0
        refused: list[tuple[Line, str]] = []
        for line in await asyncio.to_thread(lambda: list(read_lines(path))):
            why = await self._append(line)
            if why is None:
                events += 1
            else:
                refused.append((line, why))
        metrics.SPOOL_REPLAYED.inc(events)
        if refused:
            await asyncio.to_thread(self._keep_aside, path, refused)
            metrics.SPOOL_REFUSED.inc(len(refused))
            log.critical(
                "spool.refused",
                file=path.name,
                events=len(refused),
                why=sorted({why for _, why in refused}),
                mend=f"they are kept in {self._spool.directory / REFUSED}; read there why, and decide",
            )
        return events, len(refused)

    async def _append(self, line: Line) -> str | None:
        """Append one record; why not, if it can never be."""
        if not line.whole:
            return "the line is torn or was changed"
        try:
            await self._log.append(decode(line.raw), first_wins=True)
        except BadEvent as error:
            return f"it is no event: {error}"
        except AppendRefused as error:
            return f"the log refuses it: {type(error).__name__}"
        return None

    def _keep_aside(self, path: Path, refused: list[tuple[Line, str]]) -> None:
        """Written whole before the spool file goes; a second time after a crash it replaces the first."""
        aside = self._spool.directory / REFUSED
        aside.mkdir(mode=0o700, exist_ok=True)
        part, final = aside / f"{path.stem}.part", aside / f"{path.stem}.jsonl"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for line, why in refused:
                file.write(orjson.dumps({"why": why, "raw": line.raw.decode("utf-8", "replace")}) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(final)
        sync_directory(aside)

    def _measure(self) -> None:
        files = self._spool.files()
        metrics.SPOOL_FILES.set(len(files))
        metrics.SPOOL_BYTES.set(self._spool.size())
        metrics.SPOOL_ASIDE.set(len(list((self._spool.directory / REFUSED).glob("*.jsonl"))))


@contextmanager
def _orphan(path: Path) -> Iterator[bool]:
    """Holds the file's lock if nobody else does; false if somebody does, or if it has gone meanwhile."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another keeper may have finished with it before we had the lock, and its owner begun another of that name.
        is_orphan = os.fstat(file).st_ino == path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        is_orphan = False
    try:
        yield is_orphan
    finally:
        os.close(file)
