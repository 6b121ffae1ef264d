"""The state at the end, as tables."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from html import escape

from call_events.fold import CallState
from call_events.terminal import plain

_NUMBERS = {"at", "until", "asked at", "attempts", "ms", "tokens in", "tokens out", "events", "joined", "left", "event"}


def tables(state: CallState) -> Iterator[str]:
    """Everything the fold knows that the list of events does not show at a glance."""
    yield "<h2>The state at the end</h2>"
    start = state.started_at
    yield from _table(
        "Legs",
        ("role", "identity", "joined", "left", "why"),
        (
            (leg.role, leg.identity, _at(leg.joined_at, start), _at(leg.left_at, start), leg.reason or "is there")
            for leg in state.legs
        ),
    )
    yield from _table(
        "Transfers",
        ("destination", "stage", "asked at", "attempts", "human", "outcome"),
        (
            (
                one.destination,
                one.stage,
                _at(one.requested_at, start),
                one.attempts,
                one.human.name if one.human else "",
                one.outcome or "",
            )
            for one in state.transfers
        ),
    )
    yield from _table(
        "Tools",
        ("event", "agent", "tool", "outcome", "ms"),
        ((one.seq, one.agent, one.name, one.outcome, one.duration_ms) for one in state.tools),
    )
    yield from _table(
        "Used",
        ("model", "tokens in", "tokens out"),
        ((model, one.input_tokens, one.output_tokens) for model, one in state.usage.items()),
    )
    yield from _table("Events", ("type", "events"), state.counts.items())


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    body = list(rows)
    if not body:
        return
    yield f'<h3>{title}</h3><div class="wide"><table><thead><tr>'
    yield "".join(f"<th{_kind(column)}>{column}</th>" for column in columns) + "</tr></thead><tbody>"
    for row in body:
        cells = zip(columns, row, strict=True)
        yield (
            "<tr>" + "".join(f"<td{_kind(column)}>{escape(plain(str(cell)))}</td>" for column, cell in cells) + "</tr>"
        )
    yield "</tbody></table></div>"


def _kind(column: str) -> str:
    return ' class="num"' if column in _NUMBERS else ""


def _at(moment: datetime | None, start: datetime | None) -> str:
    return "" if moment is None else f"{(moment - (start or moment)).total_seconds():.1f} s"
