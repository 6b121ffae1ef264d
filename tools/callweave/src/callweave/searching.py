"""Which calls match: by customer, number, time, agent, outcome. Pure but for reading the calls one by one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from call_archive.model import Header, Summary
from call_archive.summary import summary_of
from call_events.ids import CallId
from call_events.terminal import plain
from callweave.shown import moment
from callweave.sources.archived import ArchivedCalls
from callweave.sources.live import LiveCalls
from callweave.sources.opening import Calls
from callweave.sources.record import Where

#: A number is matched from its end; with fewer digits nearly every call would match.
LEAST_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is looked for; everything that is given must hold."""

    #: The customer's id in the company's books, or the identity of their leg.
    customer: str | None = None
    #: Digits at the end of the caller's or the dialled number.
    number: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    #: An AI agent by its key, or a human by name.
    agent: str | None = None
    #: Who ended the call, why, or how a transfer went: ``customer``, ``CLIENT_INITIATED``, ``busy`` …
    outcome: str | None = None

    def fits(self, summary: Summary, opened: datetime | None) -> bool:
        """Whether a call is meant."""
        return (
            self.fits_time(opened)
            and (self.customer is None or self.customer in (summary.customer_id, summary.customer))
            and (self.number is None or any(_ends(of, self.number) for of in (summary.number, summary.dialled_number)))
            and (self.agent is None or _is_one(self.agent, (*summary.agents, *summary.humans)))
            and (self.outcome is None or _is_one(self.outcome, _outcomes(summary)))
        )

    def fits_time(self, opened: datetime | None) -> bool:
        """Whether a call that began then may be meant; one without a time only if no time is asked for."""
        if opened is None:
            return self.since is None and self.until is None
        return (self.since is None or opened >= self.since) and (self.until is None or opened < self.until)


def _ends(number: str | None, wanted: str) -> bool:
    """``030 222`` and ``+49 30 222`` end in the same digits, but for the zero of the trunk."""
    digits = "".join(filter(str.isdecimal, wanted)).lstrip("0")
    return (
        number is not None and len(digits) >= LEAST_DIGITS and "".join(filter(str.isdecimal, number)).endswith(digits)
    )


def _is_one(wanted: str, of: tuple[str, ...]) -> bool:
    return wanted.casefold() in (one.casefold() for one in of)


def _outcomes(summary: Summary) -> tuple[str, ...]:
    ends = [one for one in (summary.ended_by, summary.cause) if one]
    return (*(ends or ["open"]), *(one.outcome for one in summary.transfers))


@dataclass(frozen=True, slots=True)
class Hit:
    """A call that matches."""

    call: CallId
    where: Where
    opened_at: datetime | None
    summary: Summary

    @property
    def line(self) -> str:
        """One line for people, safe on a terminal."""
        summary = self.summary
        who = summary.customer_id or summary.number or summary.customer or "customer not known"
        number = f" {summary.number}" if summary.number and who != summary.number else ""
        ended = f"ended by {summary.ended_by} ({summary.cause})" if summary.ended_by else "open"
        lasted = f" after {summary.duration_ms / 1000:.1f} s" if summary.duration_ms is not None else ""
        parts = [f"{who}{number}", ", ".join((*summary.agents, *summary.humans)) or "no agent", ended + lasted]
        parts += [f"transfer to {one.destination}: {one.outcome}" for one in summary.transfers]
        at = moment(self.opened_at) if self.opened_at else "time not known"
        return plain(f"{at}  {self.call}  {'; '.join(parts)}  [{self.where}]")


async def search(calls: Calls, criteria: Criteria, *, limit: int) -> list[Hit]:
    """The newest calls that match: first those in the log, then those that are only in the archive.

    Holds no more than ``limit`` hits and one call in memory, however many calls there are.
    """
    hits: list[Hit] = []
    there = set[CallId]()
    if calls.live is not None and calls.only is not Where.ARCHIVE:
        async for hit in _live(calls.live, criteria):
            hits.append(hit)
            there.add(hit.call)
            if len(hits) >= limit:
                return hits
    if calls.archive is not None and calls.only is not Where.LIVE:
        async for hit in _archived(calls.archive, criteria):
            if hit.call in there:
                continue
            hits.append(hit)
            if len(hits) >= limit:
                break
    return hits


async def _live(live: LiveCalls, criteria: Criteria) -> AsyncIterator[Hit]:
    async for call, opened in live.ids():
        if criteria.since is not None and opened < criteria.since.timestamp() - _SLACK_S:
            return
        record = await live.load(call)
        if record is None or not record.entries:
            continue
        began, summary = record.events[0].time, summary_of(record.events)
        if criteria.fits(summary, began):
            yield Hit(call, Where.LIVE, began, summary)


#: A call was opened in the log about when it began; events that were spooled come later, never earlier.
_SLACK_S = 5.0


async def _archived(archive: ArchivedCalls, criteria: Criteria) -> AsyncIterator[Hit]:
    async for day, linked in archive.linked_calls():
        if criteria.since is not None and day < criteria.since.astimezone(UTC).date():
            return  # sealed before that, so it had ended before
        if not criteria.fits_time(linked.opened_at):
            continue
        header: Header | None = await archive.header(linked.call)
        if header is not None and criteria.fits(header.summary, header.opened_at):
            yield Hit(linked.call, Where.ARCHIVE, header.opened_at, header.summary)
