"""Contents whose time is over go, oldest first; what was erased before is not told twice."""

from datetime import timedelta
from pathlib import Path

from structlog.testing import capture_logs

from archiver.handlers.retention import Retention
from call_archive.errors import ErasureRefused
from call_archive.findings import Code
from call_archive.paths import link_path
from call_archive.verify import verify_archive
from call_events.ids import CallId
from support.archives import BY, Site
from unit.archiver.fakes import FakeBookmark, FakeGauges

DAY = 86_400


class FakeLive:
    """What is still in Redis, and what of it is not finished."""

    def __init__(self, *unfinished: str) -> None:
        self.unfinished = set(unfinished)
        self.forgotten: list[str] = []

    async def forget(self, call: CallId) -> bool:
        if call in self.unfinished:
            raise ErasureRefused(f"call {call}: a group has not finished with it")
        self.forgotten.append(call)
        return True


def retention(site: Site, bookmark: FakeBookmark, gauges: FakeGauges, live: FakeLive | None = None) -> Retention:
    return Retention(
        site.store,
        site.chain,
        bookmark,
        gauges,
        site.clock,
        live=live or FakeLive(),
        keep=timedelta(days=30),
        by=BY,
    )


async def there(site: Site) -> set[str]:
    return {call async for call in site.archive.calls()}


async def test_only_what_is_old_enough_goes_and_the_chain_says_so(tmp_path: Path) -> None:
    site, bookmark, gauges = Site(tmp_path), FakeBookmark(), FakeGauges()
    await site.seal("call-1", "call-2")
    site.clock.advance(20 * DAY)
    await site.seal("call-3")
    assert await retention(site, bookmark, gauges).once() == 0

    site.clock.advance(10 * DAY)
    assert await retention(site, bookmark, gauges).once() == 2

    assert await there(site) == {"call-3"}
    found = [one async for one in verify_archive(site.archive, known_head=site.keeper.head)]
    assert [(one.code, one.call) for one in found] == [(Code.REMOVED, "call-1"), (Code.REMOVED, "call-2")]
    assert "retention" in found[0].text
    assert await retention(site, bookmark, gauges).once() == 0
    assert gauges.told == ["removed 1", "removed 1"]


async def test_a_lost_bookmark_costs_time_only(tmp_path: Path) -> None:
    site, gauges = Site(tmp_path), FakeGauges()
    await site.seal("call-1", "call-2")
    site.clock.advance(31 * DAY)
    assert await retention(site, FakeBookmark(), gauges).once() == 2
    last = await site.archive.last_number()
    assert await retention(site, FakeBookmark(), gauges).once() == 0
    assert await site.archive.last_number() == last


async def test_a_link_that_cannot_be_read_does_not_stop_it(tmp_path: Path) -> None:
    site, gauges = Site(tmp_path), FakeGauges()
    await site.seal("call-1", "call-2", "call-3")
    (tmp_path / link_path(2)).write_bytes(b"damaged")
    site.clock.advance(31 * DAY)
    assert await retention(site, FakeBookmark(), gauges).once() == 2
    assert await there(site) == {CallId("call-2")}


async def test_what_a_group_has_not_finished_with_is_not_called_removed(tmp_path: Path) -> None:
    """Nor does it keep others here: it is looked at again with every round, and what went is not told twice."""
    site, bookmark, gauges, live = Site(tmp_path), FakeBookmark(), FakeGauges(), FakeLive("call-1")
    await site.seal("call-1", "call-2")
    site.clock.advance(31 * DAY)
    with capture_logs() as lines:
        assert await retention(site, bookmark, gauges, live).once() == 1
    waiting = [one for one in lines if one["event"] == "archive.retention_waits_for_call"]
    assert [one["call"] for one in waiting] == ["call-1"]
    assert await there(site) == {"call-1"}
    live.unfinished.clear()
    assert await retention(site, bookmark, gauges, live).once() == 1
    assert (live.forgotten, await there(site)) == (["call-2", "call-1"], set())
