"""I11: whatever is done to a sealed call or to the chain afterwards, verification finds it."""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from call_archive.archive import Archive
from call_archive.directory import DirectoryStore
from call_archive.errors import BadObject
from call_archive.findings import Finding
from call_archive.links import read_link
from call_archive.ports import Head
from call_archive.sealed import read_sealed
from call_archive.verify import verify_archive
from support.archives import Site

CALLS = ("call-1", "call-2", "call-3", "call-4")


class Sealed:
    """Four calls and their links, made once; every example gets a copy to spoil."""

    def __init__(self, root: Path) -> None:
        self.root = root
        site = Site(root)
        asyncio.run(self._fill(site))
        assert site.keeper.head is not None
        self.head: Head = site.keeper.head
        self.files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
        self.calls = [path for path in self.files if path.parts[0] == "calls"]

    @staticmethod
    async def _fill(site: Site) -> None:
        for count, call in enumerate(CALLS, 1):
            await site.seal(call, utterances=count)


@pytest.fixture(scope="module")
def sealed() -> Iterator[Sealed]:
    with tempfile.TemporaryDirectory(prefix="callweave-archive-") as root:
        yield Sealed(Path(root))


async def _verify(root: Path, head: Head) -> list[Finding]:
    found = verify_archive(Archive(DirectoryStore(root)), known_head=head)
    return [finding async for finding in found]


def findings(sealed: Sealed, root: Path) -> list[Finding]:
    return asyncio.run(_verify(root, sealed.head))


class Spoiled:
    """A copy of the archive for the time of one example."""

    def __init__(self, sealed: Sealed) -> None:
        self._sealed = sealed

    def __enter__(self) -> Path:
        self._folder = Path(tempfile.mkdtemp(prefix="callweave-spoiled-"))
        shutil.copytree(self._sealed.root, self._folder, dirs_exist_ok=True)
        return self._folder

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)


def faults_in(sealed: Sealed, root: Path) -> list[Finding]:
    return [finding for finding in findings(sealed, root) if finding.is_fault]


def test_what_nobody_touched_is_proved(sealed: Sealed) -> None:
    assert findings(sealed, sealed.root) == []


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_byte_is_found(sealed: Sealed, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sealed.files))
    content = bytearray((sealed.root / path).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))

    with Spoiled(sealed) as root:
        (root / path).write_bytes(content)
        assert faults_in(sealed, root)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_that_was_cut_short_is_found(sealed: Sealed, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sealed.files))
    content = (sealed.root / path).read_bytes()

    with Spoiled(sealed) as root:
        (root / path).write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        assert faults_in(sealed, root)


def test_a_file_that_is_gone_is_found(sealed: Sealed) -> None:
    """Each of them: every call, and every link, the last one too."""
    for path in sealed.files:
        with Spoiled(sealed) as root:
            (root / path).unlink()
            assert faults_in(sealed, root), path


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_line_that_was_dropped_doubled_moved_or_changed_is_found(sealed: Sealed, data: st.DataObject) -> None:
    """Also if the file is well packed again: nothing depends on the compression's checksums."""
    path = data.draw(st.sampled_from(sealed.calls))
    packed = (sealed.root / path).read_bytes()
    text = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True).read()
    lines = text.splitlines()
    before = list(lines)
    at = data.draw(st.integers(0, len(lines) - 1))
    match data.draw(st.sampled_from(["drop", "double", "swap", "change"])):
        case "drop":
            del lines[at]
        case "double":
            lines.insert(at, lines[at])
        case "swap":
            other = data.draw(st.integers(0, len(lines) - 1).filter(lambda one: one != at))
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            where = data.draw(st.integers(0, len(lines[at]) - 1))
            lines[at] = lines[at][:where] + b"7" + lines[at][where + 1 :]
    if lines == before:
        return

    packer = zstandard.ZstdCompressor(write_checksum=True)
    with Spoiled(sealed) as root:
        body = b"\n".join(lines[1:]) + b"\n"
        (root / path).write_bytes(packer.compress(lines[0] + b"\n") + packer.compress(body))
        assert faults_in(sealed, root)


def test_two_calls_that_changed_places_are_found(sealed: Sealed) -> None:
    first, second = random.Random(7).sample(sealed.calls, 2)
    with Spoiled(sealed) as root:
        one, other = (root / first).read_bytes(), (root / second).read_bytes()
        (root / first).write_bytes(other)
        (root / second).write_bytes(one)
        codes = {finding.code for finding in faults_in(sealed, root)}
    assert {"misplaced", "object-edited"} <= codes


def test_a_call_that_was_put_in_without_a_link_is_found(sealed: Sealed) -> None:
    with Spoiled(sealed) as root, tempfile.TemporaryDirectory() as elsewhere:
        asyncio.run(Site(Path(elsewhere)).seal("forged"))
        shutil.copytree(Path(elsewhere) / "calls", root / "calls", dirs_exist_ok=True)
        assert [finding.code for finding in faults_in(sealed, root)] == ["not-linked"]


def test_a_whole_archive_that_was_written_anew_is_found_by_what_is_remembered_outside(sealed: Sealed) -> None:
    with tempfile.TemporaryDirectory() as elsewhere:
        asyncio.run(Site(Path(elsewhere)).seal(*CALLS))
        codes = [finding.code for finding in faults_in(sealed, Path(elsewhere))]
    assert codes == ["link-edited"]


PIECES = st.sampled_from(
    [
        *(
            b'{"seq":1,"e":{}}',
            b'{"seq":1,"e":',
            b'{"seq":"x","fields":[]}',
            b'{"seq":1,"fields":7}',
            b"[]",
            b"null",
            b"",
        ),
        *(b'{"group":"ccm","entry":"1-0","r":{}}', b'{"group":"\\ud800","entry":"1-0","r":1}', b'{"manifest":{}}'),
        *(b'{"manifest":', b'{"fields":[[1,2]],"seq":1}', b'{"group":"a","entry":"x","fields":[]}'),
        b'{"seq":' + b"9" * 5000 + b',"e":1}',
    ]
)


@settings(max_examples=200, deadline=None)
@given(lines=st.lists(PIECES | st.binary(max_size=60), max_size=8), whole=st.booleans())
def test_whatever_stands_in_a_file_is_told_and_stops_nobody(sealed: Sealed, lines: list[bytes], whole: bool) -> None:
    path = sealed.calls[0]
    header = zstandard.ZstdDecompressor().decompressobj().decompress((sealed.root / path).read_bytes())
    body = b"\n".join(lines) + b"\n"
    packed = zstandard.compress(header) + zstandard.compress(body)
    with pytest.raises(BadObject):
        read_sealed(packed if whole else body, path=str(path))
    with pytest.raises(BadObject):
        read_link(body, path="chain/000/000/000000001.jsonl")
