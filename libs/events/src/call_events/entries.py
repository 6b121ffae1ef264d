"""Stream entries to events. Nothing in a log may stop a reader: what cannot be decoded is passed on as such."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import structlog

from call_events import metrics
from call_events.codec import decode
from call_events.envelope import Event, EventData
from call_events.errors import BadEvent
from call_events.ids import CallId, derived_event_id
from call_events.ports import AnyEvent
from call_events.registry import UnknownData

log = structlog.get_logger()

#: The ``wire_type`` of an entry that is no event of ours.
UNDECODABLE = "undecodable"

#: One entry as redis-py gives it: id, fields.
Entry = tuple[bytes, Mapping[bytes, bytes]]


def seq_of(entry_id: bytes) -> int:
    """``0-7`` is number 7."""
    return int(entry_id[2:])


def decode_entry(call: CallId, seq: int, raw: bytes, *, told: set[int] | None = None) -> AnyEvent:
    """One event; bytes that are none become :class:`UnknownData` with ``wire_type`` ``undecodable``.

    It is counted and logged; once only by a reader that may decode an entry again and keeps in ``told`` which it was.
    """
    try:
        return decode(raw, seq=seq)
    except BadEvent as error:
        if told is None or seq not in told:
            metrics.UNDECODABLE.inc()
            log.warning("event.undecodable", call=call, seq=seq, error=str(error))
        if told is not None:
            told.add(seq)
        return Event[EventData](
            data=UnknownData(wire_type=UNDECODABLE, raw={"error": str(error)}),
            call=call,
            producer=UNDECODABLE,
            id=derived_event_id(call, UNDECODABLE, seq),
            time=datetime.fromtimestamp(0, UTC),
            seq=seq,
        )


def decode_entries(call: CallId, entries: Iterable[Entry]) -> list[AnyEvent]:
    """Entries of one call stream, in order."""
    return [decode_entry(call, seq_of(entry_id), fields.get(b"e", b"")) for entry_id, fields in entries]


def script_entries(raw: Iterable[tuple[bytes, list[bytes]]]) -> list[Entry]:
    """Entries as a script returns them (a flat list of fields) in redis-py's shape."""
    return [(entry_id, dict(zip(fields[::2], fields[1::2], strict=True))) for entry_id, fields in raw]
