"""A call as one file: JSON lines, compressed, and every line bound to all lines before it.

    {"format": "callweave.call.v1", "call": …, "salt": …, "opened_at": …, "closed_at": …, "summary": {…}}
    {"seq":1,"e":<the event, byte for byte>}
    …
    {"group":"ccm","entry":"1764…-0","r":<the receipt, byte for byte>}
    …
    {"manifest": {"call": …, "first": 1, "last": 66, "count": 66, "receipts": {"ccm": 66}, "head": …, …}}

**Bytes.** What Redis held stands here unchanged, so an auditor compares bytes, and any tool that reads JSON lines
reads the file. An entry that would not make one line of JSON (it is none, it has a line break in it, it has other
fields) stands as ``"fields": [[name, value] …]`` in base64.

**Chain.** d(n) = SHA-256(salt ‖ line n), h(0) = 32 zero bytes, h(n) = SHA-256(h(n-1) ‖ d(n)); ``head`` is h after the
last line before the manifest. So no line can be changed, dropped, doubled or moved without changing the head, which
the chain of links holds outside of this file.

**Compression.** zstd with checksums. The header is a frame of its own, so that a search reads only the beginning of a
file.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import orjson
import zstandard
from pydantic import ValidationError

from call_archive.errors import BadObject
from call_archive.findings import Code
from call_archive.model import Header, Manifest, SealedCall, StoredEvent, StoredReceipt
from call_events.ids import CallId

_LEVEL = 9
#: A call of 50,000 events has 25 MB. More is not ours, whatever its few bytes claim to unpack to.
MOST_BYTES = 1 << 30
_CHUNK = 1 << 20
_EVENT = re.compile(rb'\{"seq":(\d{1,18}),"e":(.*)\}', re.DOTALL)
_RECEIPT = re.compile(rb'\{"group":("(?:[^"\\]|\\.)*"),"entry":"(\d{1,20}-\d{1,20})","r":(.*)\}', re.DOTALL)
_ENTRY_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_MANIFEST = b'{"manifest":'

P = TypeVar("P", Header, Manifest)

#: Told of everything that is wrong: code, place in the file, sentence.
Tell = Callable[[Code, str, str], None]


def event_line(event: StoredEvent) -> bytes:
    """One event as one line."""
    start = b'{"seq":%d,' % event.seq
    return start + _value(event.fields, b"e") + b"}"


def receipt_line(receipt: StoredReceipt) -> bytes:
    """One receipt as one line."""
    start = b'{"group":%b,"entry":"%b",' % (orjson.dumps(receipt.group), receipt.entry.encode())
    return start + _value(receipt.fields, b"r") + b"}"


def _value(fields: Mapping[bytes, bytes], name: bytes) -> bytes:
    if set(fields) == {name} and b"\n" not in fields[name] and _is_json(fields[name]):
        return b'"%b":%b' % (name, fields[name])
    pairs = [[base64.b64encode(one).decode() for one in pair] for pair in fields.items()]
    return b'"fields":' + orjson.dumps(pairs)


def _is_json(raw: bytes) -> bool:
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return False
    return True


def head_of(salt: str, lines: Iterable[bytes]) -> str:
    """The chain over the lines, in hex."""
    salted = hashlib.sha256(bytes.fromhex(salt))
    head = bytes(32)
    for line in lines:
        digest = salted.copy()
        digest.update(line)
        head = hashlib.sha256(head + digest.digest()).digest()
    return head.hex()


def digest_of(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def write_sealed(
    header: Header,
    events: Sequence[StoredEvent],
    receipts: Sequence[StoredReceipt],
    manifest_of: Callable[[str], Manifest],
) -> tuple[bytes, Manifest]:
    """The file and its manifest.

    Args:
        header: first line.
        events: in order.
        receipts: group by group, each oldest first.
        manifest_of: makes the manifest that carries this head.
    """
    first = header.model_dump_json(exclude_none=True).encode()
    rest = [*map(event_line, events), *map(receipt_line, receipts)]
    manifest = manifest_of(head_of(header.salt, [first, *rest]))
    last = _MANIFEST + manifest.model_dump_json().encode() + b"}"
    packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    body = b"\n".join([*rest, last]) + b"\n"
    return packer.compress(first + b"\n") + packer.compress(body), manifest


def read_header(start: bytes, *, path: str) -> Header:
    """The header out of a file, or out of the beginning of one.

    Raises:
        BadObject: there is no whole header in it.
    """
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    try:
        line = unpacker.decompress(start)
        if not unpacker.eof:
            raise BadObject(f"{path}: it ends within the header")
        return Header.model_validate_json(line)
    except zstandard.ZstdError as error:
        raise BadObject(f"{path}: it does not begin with a whole zstd frame") from error
    except ValidationError as error:
        raise BadObject(f"{path}: line 1 is no header ({_fields(error)})") from None


def read_sealed(content: bytes, *, path: str) -> SealedCall:
    """The call in a file, if it is all there and its own chain holds.

    Raises:
        BadObject: it is not; the text says where first.
    """
    faults: list[str] = []

    def tell(_code: Code, place: str, text: str) -> None:
        faults.append(f"{place}: {text}")

    sealed = inspect_sealed(content, path=path, tell=tell)
    if sealed is None or faults:
        raise BadObject(faults[0])
    return sealed


def inspect_sealed(content: bytes, *, path: str, tell: Tell) -> SealedCall | None:
    """Read as much as can be read and tell what is wrong; ``None`` without a whole header and manifest."""
    lines = _lines(content, path, tell)
    if not lines:
        return None
    header = _part(Header, lines[0], f"{path} line 1", "header", tell)
    manifest = _manifest(lines, path, tell)
    between = lines[1:] if manifest is None else lines[1:-1]
    events, receipts = _entries(between, path, tell)
    if header is None or manifest is None:
        return None
    if head_of(header.salt, lines[:-1]) != manifest.head:
        tell(Code.CONTENT_EDITED, path, "its lines do not give the head in its manifest: a line was changed or is gone")
    return SealedCall(header, events, receipts, manifest, digest_of(content), len(content))


def _lines(content: bytes, path: str, tell: Tell) -> list[bytes]:
    try:
        text = b"".join(unpacked(content, path))
    except BadObject as error:
        tell(Code.UNREADABLE, path, str(error).removeprefix(f"{path}: "))
        return []
    if not text.endswith(b"\n"):
        tell(Code.UNREADABLE, path, "its last line is cut off")
    return text.removesuffix(b"\n").split(b"\n")


def unpacked(content: bytes, path: str) -> Iterator[bytes]:
    """The lines of a file, a piece at a time.

    Raises:
        BadObject: it is cut off, no zstd, or unpacks to more than any call has.
    """
    total = 0
    while content:
        unpacker = zstandard.ZstdDecompressor().decompressobj()
        try:
            for at in range(0, len(content), _CHUNK):
                piece = unpacker.decompress(content[at : at + _CHUNK])
                total += len(piece)
                if total > MOST_BYTES:
                    raise BadObject(f"{path}: it unpacks to more than {MOST_BYTES} bytes; no call has so many")
                yield piece
                if unpacker.eof:
                    content = unpacker.unused_data + content[at + _CHUNK :]
                    break
        except zstandard.ZstdError as error:
            raise BadObject(f"{path}: it cannot be unpacked as zstd ({error})") from error
        if not unpacker.eof:
            raise BadObject(f"{path}: it is cut off within a zstd frame")


def _manifest(lines: Sequence[bytes], path: str, tell: Tell) -> Manifest | None:
    last = lines[-1]
    if len(lines) < 2 or not (last.startswith(_MANIFEST) and last.endswith(b"}")):
        tell(Code.UNREADABLE, f"{path} line {len(lines)}", "the last line is no manifest: the end of the file is gone")
        return None
    return _part(Manifest, last[len(_MANIFEST) : -1], f"{path} line {len(lines)}", "manifest", tell)


def _part(schema: type[P], line: bytes, place: str, name: str, tell: Tell) -> P | None:
    try:
        return schema.model_validate_json(line)
    except ValidationError as error:
        tell(Code.UNREADABLE, place, f"this is no {name} ({_fields(error)})")
        return None


def _entries(
    lines: Sequence[bytes], path: str, tell: Tell
) -> tuple[tuple[StoredEvent, ...], tuple[StoredReceipt, ...]]:
    events: list[StoredEvent] = []
    receipts: list[StoredReceipt] = []
    for number, line in enumerate(lines, 2):
        found = _entry(line)
        match found:
            case StoredEvent():
                events.append(found)
                if receipts:
                    tell(Code.ORDER, f"{path} line {number}", "an event stands after a receipt")
            case StoredReceipt():
                receipts.append(found)
            case None:
                tell(Code.UNREADABLE, f"{path} line {number}", "this is neither an event nor a receipt")
    return tuple(events), tuple(receipts)


def _entry(line: bytes) -> StoredEvent | StoredReceipt | None:
    if event := _EVENT.fullmatch(line):
        return StoredEvent(int(event[1]), {b"e": event[2]})
    try:
        if receipt := _RECEIPT.fullmatch(line):
            return StoredReceipt(orjson.loads(receipt[1]), receipt[2].decode(), {b"r": receipt[3]})
        wire = orjson.loads(line)
        fields = {base64.b64decode(name, validate=True): base64.b64decode(value) for name, value in wire["fields"]}
        if "seq" in wire:
            return StoredEvent(wire["seq"], fields) if type(wire["seq"]) is int else None
        group, entry = str(wire["group"]), str(wire["entry"])
        return StoredReceipt(group, entry, fields) if _ENTRY_ID.fullmatch(entry) else None
    except (ValueError, KeyError, TypeError):
        return None


def _fields(error: ValidationError) -> str:
    """Which fields and why, never a value."""
    return ", ".join(
        f"{'.'.join(map(str, e['loc'])) or 'line'}: {e['type']}" for e in error.errors(include_input=False)
    )


def entry_event(call: CallId, entry_id: bytes, fields: Mapping[bytes, bytes]) -> StoredEvent:
    """An entry of a call stream as redis-py gives it.

    Raises:
        BadObject: its id was not given by the append script.
    """
    left, _, right = entry_id.partition(b"-")
    if left != b"0" or not right.isdigit():
        raise BadObject(
            f"call {call}: entry {entry_id.decode(errors='replace')} was not written by the log's own script"
        )
    return StoredEvent(int(right), fields)
