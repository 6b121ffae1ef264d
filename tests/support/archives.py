"""Finished calls to seal, and an archive in memory's stead: a directory of its own for each test."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from call_archive.archive import Archive
from call_archive.chain import Chain
from call_archive.directory import DirectoryStore
from call_archive.model import LinkedCall
from call_archive.ports import Head
from call_archive.seal import FinishedCall, finished_call, linked, seal
from call_archive.signing import Signer
from call_events.claims import write_receipt
from call_events.codec import encode
from call_events.entries import Entry
from call_events.ids import CallId
from call_events.ports import Receipt
from call_events.testing import START, ManualClock, ended, said, speaking, started

BY = "archiver/test"


@dataclass
class RememberedHead:
    """``ports.HeadKeeper`` in memory."""

    head: Head | None = None

    async def newest(self) -> Head | None:
        """See ``ports.HeadKeeper``."""
        return self.head

    async def advance(self, head: Head) -> None:
        """See ``ports.HeadKeeper``."""
        if self.head is None or head.number > self.head.number:
            self.head = head


def entries_of(call: CallId, utterances: int = 2) -> list[Entry]:
    """A call from its beginning to its end, as redis-py gives it; always the same bytes."""
    events = [started(call)]
    for number in range(utterances):
        events += [speaking(call, f"u{number}"), said(call, f"u{number}", f"sentence number {number}")]
    events.append(ended(call))
    named = [event.model_copy(update={"id": f"{call}-{seq}"}) for seq, event in enumerate(events, 1)]
    return [(b"0-%d" % seq, {b"e": encode(event)}) for seq, event in enumerate(named, 1)]


def receipts_of(count: int) -> list[Entry]:
    """What a group has done about the first so many events."""
    return [
        (b"%d-0" % (1_700_000_000_000 + seq), {b"r": write_receipt(Receipt(seq, "delivered", {"status": 202}))})
        for seq in range(1, count + 1)
    ]


def finished(call: CallId, utterances: int = 2) -> FinishedCall:
    """A call that can be sealed."""
    entries = entries_of(call, utterances)
    return finished_call(call, entries, {"ccm": receipts_of(len(entries)), "transfer": receipts_of(1)})


@dataclass
class Site:
    """An archive with one writer."""

    root: Path
    signer: Signer | None = None
    clock: ManualClock = field(default_factory=lambda: ManualClock(START + timedelta(hours=1)))
    keeper: RememberedHead = field(default_factory=RememberedHead)

    def __post_init__(self) -> None:
        self.store = DirectoryStore(self.root)
        self.archive = Archive(self.store)
        self.chain = Chain(self.store, self.keeper, self.clock, by=BY, signer=self.signer)

    async def seal(self, *calls: str, utterances: int = 2) -> list[LinkedCall]:
        """Seal some calls, and link each on its own, a minute after the one before."""
        done = []
        for call in calls:
            sealed, _ = await seal(self.store, finished(CallId(call), utterances), by=BY, at=self.clock.now())
            done.append(linked(sealed))
            await self.chain.add(calls=[done[-1]])
            self.clock.advance(60)
        return done
