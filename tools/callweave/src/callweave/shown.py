"""Words that several commands use. Pure."""

from collections.abc import Sequence
from datetime import datetime

from call_events import catalogue as c
from call_events.call_state import CallState
from call_events.ports import AnyEvent
from call_events.terminal import plain


def moment(at: datetime) -> str:
    """Date and time where the reader is, and the zone, for it may be read elsewhere."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def heading(events: Sequence[AnyEvent]) -> str:
    """Which call this is, on one line."""
    first = events[0]
    if not isinstance(first.data, c.CallStarted):
        return f"{first.call}: its beginning is not in the log"
    started = first.data
    parts = (
        f"began {moment(first.time)}",
        started.direction,
        f"customer {started.customer.number or 'without a number'}",
        f"dialled {started.dialled_number}" if started.dialled_number else "dialled number not known",
        f"profile {started.profile}",
    )
    return plain(f"{first.call}: {', '.join(parts)}")


def row(state: CallState) -> tuple[str, ...]:
    """One call in the list of calls."""
    cells = (
        str(state.call),
        moment(state.started_at) if state.started_at else "?",
        f"{state.duration_ms / 1000:.1f} s" if state.duration_ms is not None else "",
        "open" if state.is_open else "ended",
        str(state.owner),
        state.agent or "",
        str(state.seq),
        str(len(state.utterances)),
        ", ".join(str(t.stage) for t in state.transfers),
    )
    return tuple(map(plain, cells))
