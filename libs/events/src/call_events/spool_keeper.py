"""Brings what processes have left in the spool into the log: after a crash, or when a job ended while Redis was away.

A file whose lock is free has lost its owner. Its records are appended in their order, each under its own id: what was
in the log already is a duplicate, and nothing is doubled however often a keeper is interrupted. Several keepers may
look at one directory: the lock decides.

**Who may still write.** If nobody but the worker that left the file has spoken for the call, the keeper takes the right
to speak for it, with a lease that is over at once, and everything is appended as its owner. If another worker has
spoken for it since (also one whose lease has run out in an outage, who is about to renew it), that one decides how the
call goes on and when it ends; of what lies here only what tells of the past is appended (what was said, done and used
while the log was away, which nobody else can tell), and not what would act upon a call that is another's.

**Bequests.** A process that ends would take its journal along (``call_events.journal``): what the log acknowledged in
the last ten seconds, and what a server that takes over after it may lack. So it leaves that here, and the keeper
appends it again ten seconds later, by id: nearly always it is all there. It carries no epoch: it was accepted once.

What the log refuses for good (the call has ended or was let go meanwhile, or was never opened), and lines that are torn
or were changed, are kept in ``refused/`` with the reason, counted, and told: a person decides. Nothing is deleted.
"""

import asyncio
import fcntl
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import orjson
import structlog

from call_events import metrics
from call_events.codec import decode, wire_type
from call_events.errors import AppendRefused, BadEvent, LogUnavailable, StaleOwner
from call_events.ids import CallId
from call_events.journal import KEEP_S
from call_events.ports import AnyEvent, EventLog
from call_events.spool import Line, Spool, read_lines, sync_directory
from call_events.telling import way

log = structlog.get_logger()

T = TypeVar("T")

REFUSED = "refused"
#: Types, by the beginning of their names, that tell of the past and change nothing of how a call goes on.
_OF_THE_PAST = ("utterance.", "tool.", "usage.")
#: An epoch that nobody has: what carries it is taken only if it is there already.
_NOBODYS = 0
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

    def __init__(self, spool: Spool, events: EventLog, *, bequests_after_s: float = KEEP_S) -> None:
        """``bequests_after_s``: how old a bequest must be; by then the log's server has it for good, or is another."""
        self._spool = spool
        self._log = events
        self._bequests_after_s = bequests_after_s
        #: Files that could not be replayed.
        self._told: set[str] = set()

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
                brought = await self._tried(path, self._replay(path))
                if brought is None:
                    done = Replayed(done.files, done.events, done.refused, done.left + 1)
                    continue
                events, refused = brought
                await asyncio.to_thread(path.unlink)
                done = Replayed(done.files + 1, done.events + events, done.refused + refused, done.left)
                log.info("spool.replayed", file=path.name, events=events, refused=refused)
        for path in await asyncio.to_thread(partial(self._spool.bequests, min_age_s=self._bequests_after_s)):
            if await self._tried(path, self._execute(path)) is not None:
                await asyncio.to_thread(partial(path.unlink, missing_ok=True))
        await asyncio.to_thread(self._measure)
        return done

    async def _tried(self, path: Path, bringing: Coroutine[Any, Any, T]) -> T | None:
        """What came of a file; nothing if it cannot be brought into the log now. Told once for each file, but not of a
        log that is away: that is nobody's fault.

        Raises:
            OSError: the directory cannot be read or written.
        """
        try:
            return await bringing
        except OSError:
            raise
        except LogUnavailable:
            return None
        except Exception as error:  # noqa: BLE001 - the keeper's edge: one file's trouble stays that file's
            self._tell(path, error)
            return None

    def _tell(self, path: Path, error: Exception) -> None:
        if path.name in self._told:
            return
        self._told.add(path.name)
        log.error(
            "spool.cannot_be_replayed",
            file=path.name,
            error=type(error).__name__,
            way=way(error),
            mend="the keys of the call that the file is named after are not what they must be; it is tried again",
        )

    async def _execute(self, path: Path) -> dict[str, int]:
        """Append again what the log's server may have forgotten since."""
        counts = dict.fromkeys(("restored", "there", "refused"), 0)
        for line in await asyncio.to_thread(_lines, path):
            if line.whole:
                counts[await self._again(line.raw)] += 1
        for result, count in counts.items():
            metrics.JOURNAL_REPLAYED.labels(result).inc(count)
        if counts["restored"] or counts["refused"]:
            log.warning("spool.bequest_executed", file=path.name, **counts)
        return counts

    async def _again(self, raw: bytes) -> str:
        try:
            appended = await self._log.append(decode(raw), first_wins=True)
        except (AppendRefused, BadEvent):
            return "refused"
        return "there" if appended.duplicate else "restored"

    async def _replay(self, path: Path) -> tuple[int, int]:
        """Append one file's records; how many were appended (or there already), and how many were refused."""
        events = 0
        refused: list[tuple[Line, str]] = []
        right = _Right(self._log)
        for line in await asyncio.to_thread(_lines, path):
            why = await right.append(line)
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


class _Right:
    """Appends one file's records, with whatever right there is."""

    def __init__(self, events: EventLog) -> None:
        self._log = events
        self._asked = False
        #: Absent: the call is another worker's.
        self._epoch: int | None = None

    async def append(self, line: Line) -> str | None:
        """Append one record; why not, if it can never be.

        Raises:
            LogUnavailable: the log, or the call, cannot be had yet.
        """
        if not line.whole:
            return "the line is torn or was changed"
        try:
            event = decode(line.raw)
        except BadEvent as error:
            return f"it is no event: {error}"
        if not self._asked:
            await self._ask(event)
        try:
            return await self._write(event)
        except AppendRefused as error:
            return f"the log refuses it: {type(error).__name__}"

    async def _write(self, event: AnyEvent) -> str | None:
        if self._epoch is not None:
            try:
                await self._log.append(event, epoch=self._epoch, first_wins=True)
            except StaleOwner:  # somebody has taken the call over just now
                self._epoch = None
            else:
                return None
        is_past = wire_type(event).startswith(_OF_THE_PAST)
        try:
            await self._log.append(event, epoch=None if is_past else _NOBODYS, first_wins=True)
        except StaleOwner:
            return "another worker speaks for the call"
        return None

    async def _ask(self, event: AnyEvent) -> None:
        if await self._log.owner(event.call) not in {None, event.producer}:
            self._asked = True
            return
        try:
            self._epoch = (await self._log.own(event.call, event.producer, lease_ms=0)).epoch
        except StaleOwner as refusal:
            if refusal.holder == event.producer:  # the lease of the worker that has gone is not over yet
                raise LogUnavailable("the lease of the worker that left these events is not over yet") from refusal
        self._asked = True


async def bequeath(spool: Spool, events: EventLog, call: CallId) -> None:
    """Leave what the log took of a call lately to the spool's keeper, as the last thing this process does for it.

    Only where there is a keeper, as beside a voice worker's jobs: else the file stays until one comes.
    """
    if not (recent := events.recent(call)):
        return
    try:
        await asyncio.to_thread(spool.of(call).bequeath, recent)
    except OSError as error:  # the log has them: nothing is lost yet
        log.warning("spool.cannot_bequeath", call=call, events=len(recent), error=error.strerror)


def _lines(path: Path) -> list[Line]:
    try:
        return list(read_lines(path))
    except FileNotFoundError:  # another keeper was quicker
        return []


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
