"""Many calls, one after the other: which are looked at, and which should be there and are not."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from call_archive.findings import Code as ArchiveCode
from call_archive.head import RedisHead
from call_archive.ports import Head
from call_archive.verify import ChainReport
from call_events.codec import wire_type
from call_events.ids import CallId
from call_events.registry import CLOSING_TYPE
from callweave.proof.findings import Code, Finding, found
from callweave.proof.reconcile import reconcile
from callweave.proof.verify import compare, proved, verify
from callweave.sources.opening import Calls, UnknownCall
from callweave.sources.record import Record, Where


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about one call, or about the chain."""

    call: str | None
    findings: Sequence[Finding]
    #: One line for when there is no fault; empty where another line says it.
    proved: str

    @property
    def is_sound(self) -> bool:
        """No fault was found."""
        return not any(finding.is_fault for finding in self.findings)


async def named(calls: Calls, wanted: Sequence[CallId]) -> AsyncIterator[Verdict]:
    """These calls, wherever they are: of one that is in both places, both copies and whether they are the same.

    Raises:
        UnknownCall: one of them is nowhere, and was never removed.
    """
    for call in wanted:
        copies = await _copies(calls, call)
        if not copies:
            yield await _absent(calls, call)
            continue
        for record in copies:
            yield _verdict(record)
        if len(copies) == 2:
            yield Verdict(call, compare(*copies), f"{call}: the live and the archived copy are the same, byte for byte")


async def _copies(calls: Calls, call: CallId) -> list[Record]:
    loaded = [await source.load(call) for source in calls.sources]
    return [record for record in loaded if record is not None]


async def _absent(calls: Calls, call: CallId) -> Verdict:
    removal = await calls.archive.removal(call) if calls.archive is not None else None
    if removal is not None:
        return Verdict(call, [removal], "")
    if calls.live is not None and await calls.live.has_let_go(call):
        return Verdict(call, [_missing(call, calls)], "")
    if calls.archive is not None and await calls.archive.is_linked(call):
        return await _gone(calls, call)
    await calls.load(call)
    raise UnknownCall(f"no place has call {call}")


def _missing(call: CallId, calls: Calls) -> Finding:
    where = "in the archive" if calls.archive is not None else "here, and no archive is named (--archive)"
    return found(Code.CALL_MISSING, call, "the log", f"the log has let it go, and it is not {where}")


def _verdict(record: Record) -> Verdict:
    findings = verify(record)
    return Verdict(record.call, findings, proved(record) if record.entries else "")


async def by_day(calls: Calls, day: date) -> AsyncIterator[Verdict]:
    """The live calls that began on a day (UTC), and those that were sealed on it."""
    begin = datetime.combine(day, time(), UTC)
    if calls.live is not None and calls.only is not Where.ARCHIVE:
        async for call, opened in calls.live.ids():
            if opened < begin.timestamp():
                break
            if opened < (begin + timedelta(days=1)).timestamp():
                record = await calls.live.load(call)
                if record is not None:
                    yield _verdict(record)
    if calls.archive is not None and calls.only is not Where.LIVE:
        async for linked_on, one in calls.archive.linked_calls(until=day):
            if linked_on < day:
                break
            record = await calls.archive.load(one.call)
            yield _verdict(record) if record is not None else await _gone(calls, one.call)
        for finding in await calls.archive.chain_faults():
            yield Verdict(None, [finding], "")


async def _remembered(calls: Calls) -> Head | None:
    return await RedisHead(calls.redis).newest() if calls.redis is not None else None


async def _gone(calls: Calls, call: CallId) -> Verdict:
    assert calls.archive is not None
    removal = await calls.archive.removal(call)
    lost = found(Code.CALL_MISSING, call, "the archive", "the chain names it, and its sealed file is gone")
    return Verdict(call, [removal or lost], "")


async def live_verdicts(calls: Calls) -> AsyncIterator[Verdict]:
    """Every call in the log."""
    if calls.live is None or calls.only is Where.ARCHIVE:
        return
    async for call, _ in calls.live.ids():
        record = await calls.live.load(call)
        if record is not None:
            yield _verdict(record)
    if calls.archive is None and calls.only is None and (unseen := [call async for call in calls.live.gone()]):
        text = f"the log has let go of {len(unseen)}, and no archive is named"
        yield Verdict(None, [found(Code.CALLS_UNSEEN, None, "the log", text)], "")


async def archive_verdicts(calls: Calls) -> AsyncIterator[Verdict]:
    """The chain and every call it names; then the calls that the log has let go and that are nowhere."""
    if calls.archive is None or calls.only is Where.LIVE:
        return
    report = ChainReport()
    known = await _remembered(calls)
    faulty: set[str | None] = set()
    async for finding in calls.archive.prove(report, known):
        if finding.is_fault or finding.code == "removed":
            faulty.add(finding.call)
        yield Verdict(finding.call, [finding], "")
    for call, linked in report.calls.items():
        if call not in faulty:
            line = f"{call}: {linked.last} events, 1 … {linked.last}, chain head {linked.head[:12]}… (archive)"
            yield Verdict(call, [], line)
    if calls.live is not None:
        async for call in calls.live.gone():
            if call not in report.calls:
                yield Verdict(call, [_missing(call, calls)], "")
    if report.newest is not None and known is None:
        yield Verdict(None, [found(Code.END_UNPROVEN, None, "the chain", "no remembered head to compare with")], "")
    if report.newest is not None and None not in faulty:
        newest = report.newest
        links = f"{report.links} link{'' if report.links == 1 else 's'}, {len(report.calls)} calls"
        yield Verdict(None, [], f"chain: {links}, newest link {newest.number} is {newest.digest[:12]}…")


async def reconciled(calls: Calls, wanted: Sequence[CallId]) -> AsyncIterator[Verdict]:
    """These calls, or all: the log against its receipts, and against the archive where both have the call.

    Raises:
        UnknownCall: one of those asked for is nowhere.
    """
    if wanted:
        for call in wanted:
            yield await _reconciled(calls, call)
        return
    async for verdict in _all_reconciled(calls):
        yield verdict


async def _all_reconciled(calls: Calls) -> AsyncIterator[Verdict]:
    seen = set[CallId]()
    if calls.archive is not None and calls.only is not Where.LIVE:
        async for _, one in calls.archive.linked_calls():
            if one.call not in seen:
                seen.add(one.call)
                yield await _reconciled(calls, one.call)
    if calls.live is not None and calls.only is not Where.ARCHIVE:
        async for call, _ in calls.live.ids():
            if call not in seen:
                seen.add(call)
                yield await _reconciled(calls, call)
        async for call in calls.live.gone():
            if call not in seen and calls.archive is not None:
                yield await _reconciled(calls, call)
    if calls.archive is not None and calls.only is not Where.LIVE:
        for finding in await calls.archive.chain_faults():
            yield Verdict(None, [finding], "")


async def _reconciled(calls: Calls, call: CallId) -> Verdict:
    copies = await _copies(calls, call)
    if not copies:
        return await _absent(calls, call)
    first = copies[0]
    if not first.entries:
        return Verdict(call, verify(first), "")
    findings, tally = reconcile(first)
    findings = [*_against(copies), *findings]
    parts = [f"{len(first.entries)} events in the {first.where} copy; CCM: {tally.text}"]
    if len(copies) == 2:
        findings += compare(*copies)
        parts.append("archive: the same bytes")
    elif first.where is Where.LIVE and calls.archive is not None and wire_type(first.events[-1]) == CLOSING_TYPE:
        findings.append(found(Code.NOT_ARCHIVED, call, "the archive", "the call has ended and is not sealed yet"))
    return Verdict(call, findings, f"{call}: {'; '.join(parts)}; no difference")


def _against(copies: Sequence[Record]) -> list[Finding]:
    """What speaks against the archive's copy: one that was replaced agrees with itself."""
    against = [one for record in copies if record.where is Where.ARCHIVE for one in record.findings if one.is_fault]
    # Beside the live log a file may wait for its link: the bytes are compared anyhow.
    return [one for one in against if len(copies) == 1 or one.code != ArchiveCode.NOT_LINKED]
