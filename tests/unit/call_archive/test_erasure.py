"""Content can be removed; the proof that it was there stays, and nobody can undo it or mistake it for a loss."""

from pathlib import Path

import pytest

from call_archive.chain import Chain
from call_archive.erasure import erase, remove
from call_archive.errors import ErasureRefused, NotThere, StoreUnavailable
from call_archive.findings import Code, Finding
from call_archive.model import Removal
from call_archive.paths import call_path
from call_archive.seal import seal
from call_archive.verify import ChainReport, verify_archive
from call_events.ids import CallId
from support.archives import BY, Site, finished

CALL = CallId("call-2")


class FakeLiveLog:
    """``LiveLog``: what became of a call in Redis."""

    def __init__(self, *, busy: bool = False) -> None:
        self.busy = busy
        self.forgotten: list[CallId] = []

    async def forget(self, call: CallId) -> bool:
        """See ``LiveLog``."""
        if self.busy:
            raise ErasureRefused(f"call {call}: group ccm has not finished with it")
        self.forgotten.append(call)
        return True


def everything_in(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())


async def findings(site: Site) -> list[Finding]:
    return [one async for one in verify_archive(site.archive, known_head=site.keeper.head)]


async def test_an_erased_call_is_gone_and_told_as_removed_not_as_missing(tmp_path: Path) -> None:
    site, log = Site(tmp_path), FakeLiveLog()
    await site.seal("call-1", CALL, "call-3")

    link = await erase(site.store, site.chain, log, CALL, by="dpo", note="REQ-2026/17")

    assert link is not None
    assert not (tmp_path / call_path(CALL)).exists()
    assert log.forgotten == [CALL]
    found = await findings(site)
    assert [(one.code, one.call, one.is_fault) for one in found] == [(Code.REMOVED, CALL, False)]
    assert "by dpo (request, REQ-2026/17); link 4 proves it" in found[0].text
    report = ChainReport()
    assert [one async for one in verify_archive(site.archive, report=report)] == found
    assert list(report.calls) == ["call-1", CALL, "call-3"]


async def test_what_stays_tells_nothing_of_the_content(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal(CALL)
    await erase(site.store, site.chain, FakeLiveLog(), CALL, by="dpo")

    left = everything_in(tmp_path)
    for personal in (b"sentence", b"+15550100", b"sip_100", b"salt"):
        assert personal not in left


async def test_erasing_again_finishes_what_was_left_undone(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (linked,) = await site.seal(CALL)
    await site.chain.add(removed=[Removal(call=CALL, object=linked.object, why="request", by="dpo")])  # then it died
    assert [one.code for one in await findings(site)] == [Code.STILL_THERE]

    assert await erase(site.store, site.chain, FakeLiveLog(), CALL, by="dpo") is not None

    assert [one.code for one in await findings(site)] == [Code.REMOVED]
    assert await erase(site.store, site.chain, FakeLiveLog(), CALL, by="dpo") is None, "there is nothing left to do"


async def test_a_damaged_file_can_be_erased_and_the_proof_names_what_was_sealed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal(CALL)
    (tmp_path / call_path(CALL)).write_bytes(b"damaged")

    await erase(site.store, site.chain, FakeLiveLog(), CALL, by="dpo")

    assert [one.code for one in await findings(site)] == [Code.REMOVED]


async def test_a_call_that_redis_still_needs_is_not_erased(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal(CALL)
    with pytest.raises(ErasureRefused, match="has not finished"):
        await erase(site.store, site.chain, FakeLiveLog(busy=True), CALL, by="dpo")
    assert await findings(site) == []


async def test_a_call_without_a_link_is_not_erased_yet(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await seal(site.store, finished(CALL), by=BY, at=site.clock.now())
    with pytest.raises(ErasureRefused, match="no link names it yet"):
        await erase(site.store, site.chain, FakeLiveLog(), CALL, by="dpo")


async def test_an_unknown_call_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        await erase(Site(tmp_path).store, Site(tmp_path).chain, FakeLiveLog(), CALL, by="dpo")


@pytest.mark.parametrize(
    ("by", "note"),
    [("dpo", "+15550100"), ("dpo", "customer 4711471"), ("dpo", "x" * 81), ("dpo", "a\nb"), ("", ""), ("dpo", "ä“”")],
)
async def test_a_note_that_could_hold_personal_data_is_refused(tmp_path: Path, by: str, note: str) -> None:
    site = Site(tmp_path)
    await site.seal(CALL)
    with pytest.raises(ErasureRefused, match="stay in the chain for ever"):
        await erase(site.store, site.chain, FakeLiveLog(), CALL, by=by, note=note)


async def test_a_file_that_goes_without_a_link_is_missing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal("call-1", CALL)
    (tmp_path / call_path(CALL)).unlink()
    assert [(one.code, one.call) for one in await findings(site)] == [(Code.OBJECT_MISSING, CALL)]


async def test_a_removal_that_the_chain_cannot_mean_is_told_of(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal("call-1")
    await remove(site.store, site.chain, [Removal(call=CALL, object="1" * 64, why="request", by="nobody")])
    assert [(one.code, one.call) for one in await findings(site)] == [(Code.NOT_LINKED, CALL)]


async def test_a_removed_call_that_is_sealed_again_is_told_of(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal(CALL)
    await erase(site.store, site.chain, FakeLiveLog(), CALL, by="dpo")
    await site.seal(CALL)
    assert {one.code for one in await findings(site)} == {Code.LINKED_TWICE, Code.STILL_THERE}


async def test_a_store_that_fails_in_between_leaves_the_promise_in_the_chain(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    site = Site(tmp_path / "archive")
    await site.seal(CALL)

    class Unmounted(Chain):
        """The link is written, then the disk is gone."""

        async def add(self, **what: object) -> object:  # type: ignore[override]
            """See ``Chain``."""
            link = await site.chain.add(**what)  # type: ignore[arg-type]
            (tmp_path / "archive").rename(tmp_path / "gone")
            return link

    chain = Unmounted(site.store, site.keeper, site.clock, by=BY)
    with pytest.raises(StoreUnavailable):
        await erase(site.store, chain, FakeLiveLog(), CALL, by="dpo")
    (tmp_path / "gone").rename(tmp_path / "archive")
    assert [one.code for one in await findings(site)] == [Code.STILL_THERE]
