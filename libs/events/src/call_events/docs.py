"""Writes docs/events.md and docs/schemas/ from the catalogue: ``python -m call_events.docs [--check] DIRECTORY``.

With ``--check`` nothing is written; the exit code is 1 if a file there is missing, stale or left over.
"""

import argparse
import inspect
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import orjson

from call_events.envelope import EventData
from call_events.registry import CLOSING_TYPE, OPENING_TYPE, SCHEMAS, UPCASTERS

_HEAD = """# Events

<!-- Generated from libs/events/src/call_events/catalogue by `./dev docs`; do not edit. -->

Every event is a CloudEvents 1.0 JSON object in the one field `e` of an entry of its call's stream. The entry's id is
the place in the call (`0-7` is number 7). Around `data` stand `specversion`, `id` (the idempotency key, all the way
to CCM), `source` (`/calls/<call id>`), `type`, `subject` (the call id), `time`, `datacontenttype`, `dataschema`,
`producer`, and where known `causationid`, `correlationid` and `traceparent`. Published schemas are not edited: a
changed meaning is a new version, and old ones are lifted on reading.
"""


def render() -> dict[str, str]:
    """File name → content of everything generated."""
    files = {"events.md": _catalogue()}
    for wire_type, schema in SCHEMAS.items():
        document = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"/schemas/{wire_type}.json",
            **schema.model_json_schema(),
        }
        files[f"schemas/{wire_type}.json"] = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"
    return files


def stale(directory: Path) -> list[str]:
    """What is missing, differs, or lies there though no event of that name exists.

    The schemas of older versions stay as they were published: events in logs and archives name them.
    """
    files = render()
    published = {f"schemas/{wire_type}.json" for wire_type in UPCASTERS}
    wrong = [name for name, text in files.items() if _read(directory / name) != text]
    lost = [name for name in published if not (directory / name).exists()]
    left_over = {f"schemas/{path.name}" for path in (directory / "schemas").glob("*.json")} - set(files) - published
    return sorted([*wrong, *lost, *left_over])


def write(directory: Path) -> None:
    """Write everything and remove what no longer belongs."""
    for name in set(stale(directory)) - set(render()):
        (directory / name).unlink(missing_ok=True)
    for name, text in render().items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m call_events.docs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is stale")
    options = parser.parse_args(arguments)
    if not options.check:
        write(options.directory)
        return 0
    wrong = stale(options.directory)
    for name in wrong:
        print(f"{options.directory / name} is stale; write it again with: ./dev docs", file=sys.stderr)
    return 1 if wrong else 0


def _catalogue() -> str:
    rows = ["| type | what happened |", "|---|---|"]
    sections: list[str] = []
    for wire_type, schema in sorted(SCHEMAS.items(), key=lambda item: _order(item[0])):
        rows.append(f"| [`{wire_type}`](#{wire_type.replace('.', '')}) | {_first_sentence(schema)} |")
        sections.append(_section(wire_type, schema))
    return "\n".join([_HEAD, *rows, "", *sections])


def _order(wire_type: str) -> tuple[str, int, str]:
    """Subjects together; within one the opening event first and the closing one last."""
    return (wire_type.split(".", maxsplit=1)[0], {OPENING_TYPE: 0, CLOSING_TYPE: 2}.get(wire_type, 1), wire_type)


def _section(wire_type: str, schema: type[EventData]) -> str:
    lines = [f"## {wire_type}", "", inspect.getdoc(schema) or "", "", "| field | type | |", "|---|---|---|"]
    lines += _fields(schema, prefix="")
    return "\n".join([*lines, "", f"[JSON Schema](schemas/{wire_type}.json)", ""])


def _fields(schema: type[EventData], *, prefix: str) -> list[str]:
    rows: list[str] = []
    for name, field in schema.model_fields.items():
        note = "" if field.is_required() else "optional"
        rows.append(f"| `{prefix}{name}` | {_type(field.annotation)} | {note} |")
        for part in _parts(field.annotation):
            rows += _fields(part, prefix=f"{prefix}{name}.")
    return rows


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {UnionType, Union}:
        return " or ".join(_type(one) for one in arguments if one is not type(None))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(f"`{value}`" for value in annotation)
    if origin is dict or _parts(annotation):
        return "object"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, "time")


def _parts(annotation: Any) -> list[type[EventData]]:
    if isinstance(annotation, type) and issubclass(annotation, EventData):
        return [annotation]
    return [part for argument in get_args(annotation) for part in _parts(argument)]


def _first_sentence(schema: type[EventData]) -> str:
    text = " ".join((inspect.getdoc(schema) or "").split())
    return text.split(". ")[0].removesuffix(".") + "."


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    raise SystemExit(main())
