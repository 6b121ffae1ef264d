"""An archive that was written with format 1 is read and proved for ever. Never write it anew: that is the point."""

from pathlib import Path

from call_archive.archive import Archive
from call_archive.directory import DirectoryStore
from call_archive.findings import Code
from call_archive.ports import Head
from call_archive.signing import load_verifier
from call_archive.verify import ChainReport, verify_archive
from call_events.fold import fold
from call_events.ids import CallId

RECORDED = Path(__file__).parents[2] / "recorded" / "archive-1"
#: As it was remembered outside when this was recorded.
HEAD = Head(4, "00c99a8983108af0c795d8378e639b11a366f543e1326180c1636901bb6a8a00")


async def test_it_is_proved() -> None:
    report = ChainReport()
    found = verify_archive(
        Archive(DirectoryStore(RECORDED / "archive")),
        known_head=HEAD,
        verifier=load_verifier(RECORDED / "public.pem"),
        report=report,
    )
    findings = [(one.code, one.call) async for one in found]
    assert findings == [(Code.REMOVED, "call-2"), (Code.UNDECODABLE, "call-3")]
    assert (report.links, report.newest, list(report.calls)) == (4, HEAD, ["call-1", "call-2", "call-3"])


async def test_it_is_replayed() -> None:
    archive = Archive(DirectoryStore(RECORDED / "archive"))
    sealed = await archive.load(CallId("call-1"))
    state = fold(sealed.decoded())
    assert [one.text for one in state.utterances] == ["sentence number 0", "sentence number 1", "sentence number 2"]
    assert (state.cause, state.seq) == ("CLIENT_INITIATED", 8)
    assert sealed.manifest.receipts == {"ccm": 8, "transfer": 1}
    assert (await archive.header(CallId("call-1"))).summary.number == "+15550100"


async def test_what_was_no_event_is_given_back_as_it_was() -> None:
    sealed = await Archive(DirectoryStore(RECORDED / "archive")).load(CallId("call-3"))
    assert sealed.events[1].fields == {b"e": b"\xff no json"}
    assert sealed.events[2].fields.keys() == {b"e", b"x"}
