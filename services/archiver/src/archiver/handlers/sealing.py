"""The decision about one call, and the steps of sealing it: file, link, commit. Each may be repeated.

    wait      until every required group has finished and the end has settled
    seal      create-only; a file that is there already is read and must hold the same
    link      found if an earlier attempt has made it, else made
    commit    by the consumer, with a receipt; only then may Redis let the call go

Whoever dies between two steps leaves the call's stream whole, and its lease runs out: the next worker begins again.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from archiver.domain.ripeness import NotYet, Wait, not_yet
from archiver.ports import ENDED_SEEN, SEALED, FinishedCalls, Gauges, Linker
from call_archive.archive import Archive
from call_archive.errors import ArchiveError, SealRefused
from call_archive.model import SealedCall, StoredLink
from call_archive.paths import call_path
from call_archive.ports import Store
from call_archive.seal import linked, seal
from call_events.codec import wire_type
from call_events.consumer import ParkCall
from call_events.ids import CallId
from call_events.ports import CallView, Clock, Endpoint, Progress, Receipt
from call_events.registry import CLOSING_TYPE

log = structlog.get_logger()

#: Other groups may take so long before anybody is told, in seconds.
_PATIENCE_S = 60.0


class Sealing:
    """``call_events.ports.Handler`` of the group ``archive``."""

    def __init__(
        self,
        store: Store,
        linker: Linker,
        calls: FinishedCalls,
        gauges: Gauges,
        clock: Clock,
        *,
        by: str,
        settle: timedelta,
        let_go: Callable[[CallId], None],
    ) -> None:
        """Nothing is asked before the first call.

        Args:
            store: the archive's.
            linker: see ``ports``.
            calls: see ``ports``.
            gauges: see ``ports``.
            clock: for waits and times.
            by: this archiver, for manifests.
            settle: how long the end of a call must have been in the log.
            let_go: told of every call that will be committed as sealed.
        """
        self._store = store
        self._archive = Archive(store)
        self._linker = linker
        self._calls = calls
        self._gauges = gauges
        self._clock = clock
        self._by = by
        self._settle = settle
        self._let_go = let_go
        #: The store answered at the last attempt.
        self.store_serves = True

    async def __call__(self, view: CallView) -> Progress:
        """See ``call_events.ports.Handler``."""
        last = len(view.events)
        if last == 0 or wire_type(view.events[-1]) != CLOSING_TYPE or view.cursor == last:
            return Progress(through=last, endpoint=Endpoint.NOT_ASKED)
        now = self._clock.now()
        seen_at = _ended_seen_at(view, last)
        if seen_at is None:
            receipt = Receipt(last, ENDED_SEEN, {"at": now.isoformat()})
            return _later(last, now + self._settle, receipt)
        groups = await self._calls.progress(view.call)
        wait = not_yet(groups, last=last, ended_seen_at=seen_at, settle=self._settle, now=now)
        if wait is not None:
            self._tell(wait, age_s=(now - seen_at).total_seconds())
            return _later(last, wait.until)
        receipt = await self._seal(view.call, last, ended_at=view.events[-1].time)
        self._let_go(view.call)
        return Progress(through=last, receipts=(receipt,))

    async def _seal(self, call: CallId, last: int, *, ended_at: datetime) -> Receipt:
        try:
            finished = await self._calls.read(call)
            sealed, created = await seal(self._store, finished, by=self._by, at=self._clock.now())
            link = await self._link(sealed, created=created)
        except SealRefused as error:
            self._gauges.refused()
            raise ParkCall(f"cannot be sealed: {error}") from error
        except ArchiveError:
            self.store_serves = False
            self._gauges.store_failed()
            raise
        self.store_serves = True
        since_end_s = (self._clock.now() - ended_at).total_seconds()
        self._gauges.sealed(seconds_since_end=since_end_s, size=sealed.size, again=not created)
        log.info("archive.sealed", events=last, bytes=sealed.size, link=link.link.number, again=not created)
        return Receipt(last, SEALED, {"path": call_path(call), "object": sealed.digest, "link": link.link.number})

    async def _link(self, sealed: SealedCall, *, created: bool) -> StoredLink:
        one = linked(sealed)
        found = None if created else await self._archive.find_link(one, since=sealed.manifest.sealed_at)
        return found or await self._linker.link(one)

    def _tell(self, wait: NotYet, *, age_s: float) -> None:
        self._gauges.waits(wait.wait)
        if wait.wait is Wait.PARKED:
            log.warning(
                "archive.waits_for_a_parked_call",
                groups=wait.groups,
                age_s=round(age_s),
                mend="the call stays in Redis until then: callweave parked tells why, callweave unpark gives it back",
            )
        elif wait.wait is Wait.GROUP and age_s > _PATIENCE_S:
            log.info(
                "archive.waits_for_a_group", groups=wait.groups, age_s=round(age_s)
            )  # the sweep warns once for all


def _later(last: int, at: datetime, *receipts: Receipt) -> Progress:
    return Progress(through=last - 1, wake_at=at, receipts=receipts, endpoint=Endpoint.NOT_ASKED)


def _ended_seen_at(view: CallView, last: int) -> datetime | None:
    for receipt in view.receipts:
        if receipt.outcome == ENDED_SEEN and receipt.seq == last:
            return datetime.fromisoformat(receipt.detail["at"])
    return None
