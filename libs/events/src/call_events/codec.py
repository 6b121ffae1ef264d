"""Event to bytes and back: the only place where events are JSON."""

from datetime import datetime
from typing import Any

import orjson
from pydantic import ValidationError

from call_events.envelope import Event, EventData
from call_events.errors import BadEvent
from call_events.ids import CallId, EventId
from call_events.registry import CannotLift, UnknownData, read_data

#: The longest event, in bytes of JSON. An event has half a KB; the largest that are told at once (kept SIP headers, a
#: tool's arguments, the summary for a human) have a few. The log bears a hundred times that, but not what is out of all
#: proportion: whoever shows a call holds all of it, and of the 64 MiB a worker keeps for all calls this is 1 in 256.
MAX_EVENT_BYTES = 256 * 1024

#: Named once: finding the parametrised class costs as much as filling one in.
_AnyEvent = Event[EventData]


def encode(event: Event[EventData]) -> bytes:
    """CloudEvents 1.0 JSON. The position is not part of it: the stream entry's id is the position.

    Raises:
        BadEvent: it is longer than :data:`MAX_EVENT_BYTES`, or its id begins with ``#``, which marks what in a call's
            dedupe hash is no event. The text names the field and never repeats a value.
    """
    data = event.data
    type_ = wire_type(event)
    wire = {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/calls/{event.call}",
        "type": type_,
        "subject": event.call,
        "time": event.time.isoformat(),
        "datacontenttype": "application/json",
        "dataschema": f"/schemas/{type_}.json",
        "producer": event.producer,
    }
    if event.causation_id is not None:
        wire["causationid"] = event.causation_id
    if event.correlation_id is not None:
        wire["correlationid"] = event.correlation_id
    if event.traceparent is not None:
        wire["traceparent"] = event.traceparent
    raw = orjson.dumps(wire | {"data": data.raw if isinstance(data, UnknownData) else _json(data)})
    if len(raw) > MAX_EVENT_BYTES:
        raise BadEvent(
            f"{type_} to call {event.call}: the event has {len(raw)} bytes of JSON and may have {MAX_EVENT_BYTES}; "
            f"most of it is in {_largest_field(raw, known=not isinstance(data, UnknownData))}"
        )
    if event.id.startswith("#"):
        raise BadEvent(f"{type_} to call {event.call}: an id must not begin with #")
    return raw


def _json(data: EventData) -> orjson.Fragment:
    """Straight to bytes: half the cost of a dict that orjson would have to walk again."""
    return orjson.Fragment(data.__pydantic_serializer__.to_json(data, exclude_none=True))


def _largest_field(raw: bytes, *, known: bool) -> str:
    """Where most of the bytes are: a field of the frame, or of the data if its names are ours."""
    wire = orjson.loads(raw)
    data = wire.pop("data")
    sizes: dict[str, int] = {name: len(orjson.dumps(value)) for name, value in wire.items()}
    sizes |= {f"data.{name}": len(orjson.dumps(value)) for name, value in data.items()} if known else {"data": len(raw)}
    return max(sizes, key=sizes.__getitem__)


def decode(raw: bytes | str, *, seq: int = 0) -> Event[EventData]:
    """Read what :func:`encode` of this or any earlier release has written.

    Args:
        raw: the value of field ``e``.
        seq: the place in the call, from the stream entry's id.

    Raises:
        BadEvent: it is not JSON, lacks a field of the frame, or its data is not of the shape its type promises. The
            text names the field and never repeats a value: values are personal data.
    """
    try:
        wire = orjson.loads(raw)
        return _AnyEvent(
            data=read_data(wire["type"], wire["data"]),
            call=CallId(wire["subject"]),
            producer=wire["producer"],
            id=EventId(wire["id"]),
            time=wire["time"],
            seq=seq,
            causation_id=wire.get("causationid"),
            correlation_id=wire.get("correlationid"),
            traceparent=wire.get("traceparent"),
        )
    except orjson.JSONDecodeError as error:
        raise BadEvent(f"event {seq}: not JSON ({error.msg} at {error.pos})") from None
    except CannotLift as error:
        raise BadEvent(f"event {seq}: {error}") from None
    except (KeyError, TypeError) as error:
        raise BadEvent(f"event {seq}: the frame lacks {error}") from None
    except ValidationError as error:
        where = ", ".join(".".join(map(str, e["loc"])) + f" ({e['type']})" for e in error.errors(include_input=False))
        raise BadEvent(f"event {seq}: bad field {where}") from None


def peek(raw: bytes) -> tuple[str, datetime] | None:
    """Type and time alone, for a seventh of the cost of :func:`decode`; nothing if the bytes do not have them."""
    try:
        wire = orjson.loads(raw)
        at = datetime.fromisoformat(wire["time"])
        return (wire["type"], at) if at.tzinfo is not None else None
    except (ValueError, KeyError, TypeError):
        return None


def as_stored(raw: bytes, *, seq: int) -> dict[str, Any]:
    """What the log holds under a number, nothing lifted and nothing left out, with that number as ``seq``.

    For those who want to see the log itself: bytes that are no JSON object stand under ``undecodable``.
    """
    try:
        wire = orjson.loads(raw)
    except orjson.JSONDecodeError:
        wire = None
    found = wire if isinstance(wire, dict) else {"undecodable": raw.decode("utf-8", "replace")}
    return {"seq": seq} | {name: value for name, value in found.items() if name != "seq"}


def wire_type(event: Event[EventData]) -> str:
    """The type as it stands in the log, also of an event this release does not know."""
    return event.data.wire_type if isinstance(event.data, UnknownData) else event.data.TYPE
