"""Wire name → schema, and the lifting of old versions.

An unknown name is data of a newer release or of somebody else: it becomes :class:`UnknownData`, which consumers
report and pass over. It is never an error and never skipped in silence.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict

from call_events import catalogue
from call_events.envelope import EventData
from call_events.errors import BadEvent


class UnknownData(EventData):
    """The data of an event whose type or version this release does not know, kept as it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    TYPE: ClassVar[str] = "unknown"

    wire_type: str
    raw: dict[str, Any]


class CannotLift(BadEvent):
    """Data of an older version is not what that version promised."""


#: Lifts the data of one published version to the next: ``wire name -> (next wire name, pure function)``. The function
#: is given a copy, answers the next version's data, and may raise what a look into wrong data raises (``KeyError`` …).
Upcasters = Mapping[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]]

SCHEMAS: Mapping[str, type[EventData]] = {
    schema.TYPE: schema
    for schema in (getattr(catalogue, name) for name in catalogue.__all__)
    if isinstance(schema, type) and issubclass(schema, EventData) and not schema.TYPE.startswith("part.")
}

#: Of every version that was ever published and is not the newest; how one is added is told in CONTRIBUTING.md.
UPCASTERS: Upcasters = {}

#: Only this type may open a log, and only that one closes it (design: "Always last: it closes the stream").
OPENING_TYPE = catalogue.CallStarted.TYPE
CLOSING_TYPE = catalogue.CallEnded.TYPE


def unversioned(wire_type: str) -> str:
    """``call.ended`` of ``call.ended.v1``: what stays the same when a new version is published."""
    name, _, version = wire_type.rpartition(".v")
    return name if name and version.isdigit() else wire_type


def read_data(
    wire_type: str,
    raw: dict[str, Any],
    *,
    schemas: Mapping[str, type[EventData]] = SCHEMAS,
    upcasters: Upcasters = UPCASTERS,
) -> EventData:
    """Turn stored data into the newest schema of its kind.

    Raises:
        CannotLift: the data is of an older version, but not of its shape. The text repeats no value.
        pydantic.ValidationError: the type is known, but the data is not of that shape.
    """
    while wire_type in upcasters:
        older, (wire_type, lift) = wire_type, upcasters[wire_type]
        try:
            raw = lift(dict(raw))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise CannotLift(f"{older} cannot be lifted to {wire_type} ({type(error).__name__})") from None
    schema = schemas.get(wire_type)
    if schema is None:
        return UnknownData(wire_type=wire_type, raw=raw)
    return schema.model_validate(raw)
