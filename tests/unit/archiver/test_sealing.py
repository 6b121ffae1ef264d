"""When the archiver waits, what it seals, and what it does when it cannot."""

from datetime import timedelta
from pathlib import Path

import pytest
from blockbuster import BlockBuster
from structlog.testing import capture_logs

from archiver.domain.ripeness import GroupProgress
from archiver.handlers.sealing import Sealing
from archiver.ports import ENDED_SEEN, SEALED
from call_archive.errors import StoreUnavailable
from call_archive.model import LinkedCall, StoredLink
from call_events.codec import decode
from call_events.consumer import ParkCall
from call_events.ids import CallId
from call_events.ports import AnyEvent, CallView, Endpoint, Receipt
from call_events.testing import speaking, started, view
from support.archives import BY, Site, entries_of
from unit.archiver.fakes import FakeCalls, FakeGauges, at

CALL = CallId("call-1")
SETTLE = timedelta(seconds=30)


def events() -> list[AnyEvent]:
    return [decode(fields[b"e"]) for _, fields in entries_of(CALL)]


class Bench:
    """The handler with everything around it."""

    def __init__(self, root: Path, *groups: GroupProgress) -> None:
        self.site = Site(root)
        self.calls = FakeCalls(list(groups) or [at("ccm"), at("transfer")])
        self.gauges = FakeGauges()
        self.let_go: list[CallId] = []
        self.links = 0
        self.handler = Sealing(
            self.site.store,
            self,
            self.calls,
            self.gauges,
            self.site.clock,
            by=BY,
            settle=SETTLE,
            let_go=self.let_go.append,
        )

    async def link(self, sealed: LinkedCall) -> StoredLink:
        """See ``ports.Linker``."""
        self.links += 1
        return await self.site.chain.add(calls=[sealed])

    def seen(self, ago_s: float = 60) -> CallView:
        """The whole call, whose end was seen so many seconds ago."""
        when = self.site.clock.now() - timedelta(seconds=ago_s)
        return view(CALL, events(), 5, [Receipt(6, ENDED_SEEN, {"at": when.isoformat()})])


async def test_a_call_that_goes_on_is_followed_and_nothing_else(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    progress = await bench.handler(view(CALL, [started(CALL), speaking(CALL, "u1")], 1))
    assert (progress.through, progress.wake_at, progress.receipts) == (2, None, ())
    assert not await bench.site.archive.has(CALL)


async def test_the_end_must_have_been_in_the_log_for_a_while(tmp_path: Path) -> None:
    """Longer than producers look back after a fail-over."""
    bench = Bench(tmp_path)
    first = await bench.handler(view(CALL, events(), 0))
    now = bench.site.clock.now()
    assert (first.through, first.wake_at, first.endpoint) == (5, now + SETTLE, Endpoint.NOT_ASKED)
    assert [(one.seq, one.outcome) for one in first.receipts] == [(6, ENDED_SEEN)]

    bench.site.clock.advance(29)
    again = await bench.handler(view(CALL, events(), 5, first.receipts))
    assert (again.through, again.wake_at) == (5, now + SETTLE)

    bench.site.clock.advance(1)
    done = await bench.handler(view(CALL, events(), 5, first.receipts))
    assert (done.through, done.wake_at, [one.outcome for one in done.receipts]) == (6, None, [SEALED])
    assert done.endpoint is Endpoint.SERVED


async def test_a_settled_call_is_sealed_linked_and_let_go(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    progress = await bench.handler(bench.seen())
    sealed = await bench.site.archive.load(CALL)
    (link,) = [stored async for stored in bench.site.archive.links()]
    assert [one.object for one in link.link.calls] == [sealed.digest]
    assert progress.receipts[0].detail["link"] == 1
    assert progress.receipts[0].detail["object"] == sealed.digest
    assert bench.let_go == [CALL]
    assert bench.gauges.told == ["sealed"]
    assert bench.gauges.size == sealed.size


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (at("ccm", 5), "waits: group"),
        (at("ccm", 6, busy=True), "waits: group"),
        (at("ccm", 3, parked=True), "waits: parked"),
        (at("ccm", 6, parked=True), "waits: parked"),
        (at("ccm", 0), "waits: group"),
    ],
)
async def test_it_waits_until_every_group_has_finished(tmp_path: Path, other: GroupProgress, told: str) -> None:
    bench = Bench(tmp_path, at("transfer"), other)
    progress = await bench.handler(bench.seen())
    assert progress.through == 5
    assert progress.wake_at is not None
    assert progress.wake_at > bench.site.clock.now()
    assert bench.gauges.told == [told]
    assert not await bench.site.archive.has(CALL)
    assert bench.let_go == []


async def test_it_looks_seldom_at_what_has_waited_long_and_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, at("ccm", 3, parked=True), at("transfer"))
    with capture_logs() as lines:
        progress = await bench.handler(bench.seen(ago_s=86_400))
    assert progress.wake_at == bench.site.clock.now() + timedelta(minutes=10)
    assert [(line["event"], line["groups"]) for line in lines] == [("archive.waits_for_a_parked_call", ("ccm",))]


async def test_a_group_that_does_not_come_is_named_after_a_minute(tmp_path: Path) -> None:
    bench = Bench(tmp_path, at("ccm"), at("transfer", 0))
    with capture_logs() as lines:
        await bench.handler(bench.seen(ago_s=61))
    assert [(line["event"], line["groups"]) for line in lines] == [("archive.waits_for_a_group", ("transfer",))]


async def test_an_earlier_attempt_is_finished_and_its_link_found(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.handler(bench.seen())
    again = await bench.handler(bench.seen())
    assert bench.links == 1
    assert again.through == 6
    assert bench.gauges.told == ["sealed", "sealed again"]


async def test_a_log_that_is_not_whole_is_parked_with_the_reason(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.calls.refused = "call call-1: its log event 5: event 4 is missing before it"
    with pytest.raises(ParkCall, match=r"cannot be sealed: call call-1: .*event 4 is missing"):
        await bench.handler(bench.seen())
    assert bench.gauges.told == ["refused"]
    assert bench.handler.store_serves


async def test_a_store_that_does_not_serve_is_told_of_and_the_call_stays(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    bench = Bench(tmp_path / "archive")
    (tmp_path / "archive").rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable) as failed:
        await bench.handler(bench.seen())
    assert failed.value.retry
    assert (bench.gauges.told, bench.handler.store_serves, bench.let_go) == (["store failed"], False, [])

    (tmp_path / "away").rename(tmp_path / "archive")
    assert (await bench.handler(bench.seen())).through == 6
    assert bench.handler.store_serves


async def test_sealing_holds_up_no_other_call(tmp_path: Path, no_blocking: BlockBuster) -> None:
    """Disks are slow: whatever waits for one does so in a thread."""
    bench = Bench(tmp_path)
    assert (await bench.handler(bench.seen())).through == 6
    assert (await bench.handler(bench.seen())).through == 6


async def test_nobody_says_anything_personal_in_log_lines_or_receipts(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with capture_logs() as lines:
        progress = await bench.handler(bench.seen())
    text = f"{lines}{progress.receipts}"
    for personal in ("sentence", "+15550100", "sip_100"):
        assert personal not in text
