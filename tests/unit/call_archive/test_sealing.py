"""A call becomes a file, byte for byte, or is refused with the reason."""

import base64
import hashlib
from pathlib import Path

import orjson
import pytest
import zstandard

from call_archive.archive import Archive
from call_archive.checks import check_events
from call_archive.errors import BadObject, NotThere, SealRefused
from call_archive.findings import Code
from call_archive.model import StoredEvent
from call_archive.paths import call_path
from call_archive.seal import finished_call, seal
from call_archive.sealed import MOST_BYTES, head_of, read_sealed
from call_archive.verify import verify_call
from call_events import catalogue as c
from call_events.codec import encode
from call_events.entries import Entry
from call_events.ids import CallId
from call_events.testing import AI, ended, event, said, speaking, started
from support.archives import BY, Site, entries_of, finished

CALL = CallId("call-1")


def codes(events: list[StoredEvent], call: CallId = CALL) -> list[Code]:
    return [finding.code for finding in check_events(call, events, place="its log")]


def stored(entries: list[Entry]) -> list[StoredEvent]:
    return [StoredEvent(int(entry_id[2:]), fields) for entry_id, fields in entries]


def text_of(path: Path) -> list[bytes]:
    return zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True).read().splitlines()


async def test_the_file_is_lines_of_json_that_hold_the_very_bytes(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal(CALL)

    lines = text_of(tmp_path / call_path(CALL))
    wire = [orjson.loads(line) for line in lines]
    raw = [fields[b"e"] for _, fields in entries_of(CALL)]
    assert wire[0]["format"] == "callweave.call.v1"
    assert [line["seq"] for line in wire[1:7]] == [1, 2, 3, 4, 5, 6]
    assert lines[1] == b'{"seq":1,"e":' + raw[0] + b"}"
    assert [line["group"] for line in wire[7:-1]] == ["ccm"] * 6 + ["transfer"]
    assert wire[-1]["manifest"]["receipts"] == {"ccm": 6, "transfer": 1}
    sealed = await site.archive.load(CALL)
    assert [one.raw for one in sealed.events] == raw
    assert [one.seq for one in sealed.decoded()] == [1, 2, 3, 4, 5, 6]


async def test_what_is_no_json_or_no_event_is_kept_as_it_was(tmp_path: Path) -> None:
    entries = entries_of(CALL)
    entries[1] = (b"0-2", {b"e": b"\xff\x00 not json"})
    entries[2] = (b"0-3", {b"e": b'{"a":\n1}'})
    entries[3] = (b"0-4", {b"e": b"{}", b"other": b"\n"})
    site = Site(tmp_path)

    await seal(site.store, finished_call(CALL, entries, {}), by=BY, at=site.clock.now())

    sealed = await site.archive.load(CALL)
    assert [(b"0-%d" % one.seq, dict(one.fields)) for one in sealed.events] == entries
    line = orjson.loads(text_of(tmp_path / call_path(CALL))[2])
    assert base64.b64decode(line["fields"][0][1]) == b"\xff\x00 not json"
    assert {one.code for one in await verify_call(site.archive, CALL)} == {Code.UNDECODABLE}


async def test_the_header_tells_what_a_call_can_be_found_by(tmp_path: Path) -> None:
    events = [
        started(CALL, customer=c.Customer(identity="sip_1", number="+15550111", customer_id="4711")),
        event(CALL, c.AgentActivated(agent="generic", name="Generic AI")),
        event(CALL, c.AgentActivated(agent="billing", name="Billing AI")),
        speaking(CALL, "u1", speaker=AI),
        said(CALL, "u1", "Hello", speaker=AI),
        ended(CALL),
    ]
    entries: list[Entry] = [(b"0-%d" % seq, {b"e": encode(one)}) for seq, one in enumerate(events, 1)]
    site = Site(tmp_path)
    await seal(site.store, finished_call(CALL, entries, {}), by=BY, at=site.clock.now())

    header = await site.archive.header(CALL)

    summary = header.summary
    assert (summary.number, summary.customer_id, summary.agents) == ("+15550111", "4711", ("generic", "billing"))
    assert (summary.profile, summary.ended_by, summary.cause) == ("contact-centre", "customer", "CLIENT_INITIATED")
    assert (header.opened_at, header.closed_at) == (events[0].time, events[-1].time)


async def test_a_long_header_is_read_too(tmp_path: Path) -> None:
    """Random letters do not pack: it is longer than what is read at first."""
    number = "".join(f"{ord(one):x}" for one in base64.b85encode(bytes(range(256)) * 40).decode()[::7])
    entries = entries_of(CALL)
    entries[0] = (b"0-1", {b"e": encode(started(CALL, profile=number * 3))})
    site = Site(tmp_path)
    await seal(site.store, finished_call(CALL, entries, {}), by=BY, at=site.clock.now())
    assert (await site.archive.header(CALL)).summary.profile == number * 3


@pytest.mark.parametrize(
    ("gone", "code"),
    [((0,), Code.GAP), ((2,), Code.GAP), ((5,), Code.NOT_CLOSED), ((0, 1, 2, 3, 4, 5), Code.NOT_CLOSED)],
)
def test_a_log_that_lacks_something_is_not_sealed(gone: tuple[int, ...], code: Code) -> None:
    entries = [one for number, one in enumerate(entries_of(CALL)) if number not in gone]
    assert code in codes(stored(entries))
    with pytest.raises(SealRefused, match=r"^call call-1: "):
        finished_call(CALL, entries, {})


def test_numbering_faults_have_their_names() -> None:
    one, two, three, four, five, six = stored(entries_of(CALL))
    assert codes([one, two, two, three, four, five, six])[0] is Code.DOUBLE
    assert codes([one, three, two, four, five, six])[:2] == [Code.GAP, Code.ORDER]
    assert codes([one, two, three, four, six, StoredEvent(7, five.fields)]) == [
        Code.GAP,
        Code.NOT_CLOSED,
        Code.NOT_CLOSED,
    ]
    again = StoredEvent(6, two.fields)
    assert codes([one, two, three, four, five, again, StoredEvent(7, six.fields)]) == [Code.EVENT_TWICE]


def test_an_event_of_another_call_is_named() -> None:
    entries = entries_of(CALL)
    entries[1] = (b"0-2", {b"e": encode(speaking("call-2", "u0"))})
    assert codes(stored(entries)) == [Code.FOREIGN_EVENT]


def test_an_entry_that_the_script_did_not_write_is_refused() -> None:
    entries = entries_of(CALL)
    entries[3] = (b"1764000000000-0", entries[3][1])
    with pytest.raises(SealRefused, match="not written by the log's own script"):
        finished_call(CALL, entries, {})


async def test_sealing_twice_writes_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    first, created = await seal(site.store, finished(CALL), by=BY, at=site.clock.now())
    again, created_again = await seal(site.store, finished(CALL), by="archiver/2", at=site.clock.now())
    assert (created, created_again) == (True, False)
    assert again == first


async def test_another_content_under_the_same_name_is_refused_and_both_are_kept(tmp_path: Path) -> None:
    site = Site(tmp_path)
    first, _ = await seal(site.store, finished(CALL), by=BY, at=site.clock.now())
    with pytest.raises(SealRefused, match="another content"):
        await seal(site.store, finished(CALL, utterances=3), by=BY, at=site.clock.now())
    assert await site.archive.load(CALL) == first


async def test_two_files_of_one_content_have_nothing_in_common(tmp_path: Path) -> None:
    """The salt: digests that stay behind tell nothing about what was said."""
    heads = set()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        site = Site(tmp_path / name)
        call = finished(CALL)
        sealed, _ = await seal(site.store, call, by=BY, at=site.clock.now())
        heads.add(sealed.manifest.head)
    assert len(heads) == 2


def test_the_chain_over_the_lines_is_the_published_one() -> None:
    """Auditors compute it with their own tools, so it never changes."""
    salt, head = bytes(range(32)), bytes(32)
    for line in (b"one", b"two"):
        head = hashlib.sha256(head + hashlib.sha256(salt + line).digest()).digest()
    assert head_of(salt.hex(), [b"one", b"two"]) == head.hex()


async def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with pytest.raises(NotThere):
        await Archive(site.store).load(CALL)
    for content in (b"", b"nonsense", zstandard.compress(b"{}\n"), zstandard.compress(b"no line")):
        with pytest.raises(BadObject):
            read_sealed(content, path="calls/xx/call-1.jsonl.zst")


def test_a_file_that_would_unpack_without_end_is_given_up() -> None:
    bomb = zstandard.compress(bytes(1 << 20)) * ((MOST_BYTES >> 20) + 2)
    with pytest.raises(BadObject, match="no call has so many"):
        read_sealed(bomb, path="calls/xx/call-1.jsonl.zst")
