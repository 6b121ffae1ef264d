"""The list of what happened, with each utterance at its place, gaps and late texts marked."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from call_events import catalogue as c
from call_events.ports import AnyEvent, Receipt
from call_events.terminal import plain
from call_events.timeline import Line, agent_names, line_of, timeline
from callweave.proof.findings import numbers
from callweave.proof.reconcile import CCM
from callweave.proof.verify import readable
from callweave.sources.record import Record

#: A text that comes so long after the end of its speech is marked; the bridge waits as long unless told otherwise.
_LATE_S = 5.0
_QUIET = ("leg", "usage")


def rows(record: Record, events: Sequence[AnyEvent]) -> Iterator[str]:
    """One list item for each event that a person reads, and one for each gap."""
    if not events:
        return
    marks = _Marks(record, events)
    names, start = agent_names(events), events[0].time
    by_seq = {event.seq: event for event in events}
    expected = 1
    for event, line in _with_lines(events, by_seq):
        if event.seq > expected:
            missing = numbers(range(expected, event.seq))
            yield f'<li class="gap">Missing from the log: {escape(missing)}</li>'
        expected = event.seq + 1
        if line is None:
            continue
        full = line_of(event, start, names, everything=True)
        yield _row(event, line, full, marks.of(event))


def _with_lines(events: Sequence[AnyEvent], by_seq: dict[int, AnyEvent]) -> Iterator[tuple[AnyEvent, Line | None]]:
    """Every event in order, with its line if it has one of its own in the story."""
    lines: dict[int, Line] = {line.seq: line for line in timeline(events)}
    for event in events:
        yield event, lines.get(event.seq) if by_seq[event.seq] is event else None


def _row(event: AnyEvent, line: Line, full: Line, marks: Iterable[tuple[str, str]]) -> str:
    quiet = " quiet" if line.kind in _QUIET else ""
    shown = "".join(f'<span class="mark{kind}">{escape(plain(text))}</span>' for kind, text in marks)
    more = ""
    if not isinstance(event.data, c.UtteranceStarted) and full.text.startswith(f"{line.text}; "):
        rest = full.text.removeprefix(f"{line.text}; ")
        more = f"<details><summary>more</summary>{escape(rest)}</details>"
    return (
        f'<li id="e{event.seq}" class="{_lane(event)}{quiet}"><a class="n" href="#e{event.seq}">{event.seq}</a>'
        f'<span class="t">{line.at_s:.2f} s</span><span class="who">{escape(line.who)}</span>'
        f'<div class="text">{escape(line.text)}{shown}{more}</div></li>'
    )


def _lane(event: AnyEvent) -> str:
    match event.data:
        case c.UtteranceStarted(speaker=speaker) | c.UtteranceCompleted(speaker=speaker):
            return speaker.role.value
        case c.LegJoined(role=role) | c.LegLeft(role=role):
            return role.value
        case c.AgentActivated() | c.AgentHandedOff():
            return "ai"
        case c.ToolCalled():
            return "tools"
        case c.CallStarted() | c.CallEnded():
            return "other"
        case data:
            return "transfer" if data.TYPE.startswith("transfer.") else "other"


class _Marks:
    """What is remarkable about a place: late, interrupted, what CCM said."""

    def __init__(self, record: Record, events: Sequence[AnyEvent]) -> None:
        self._texts = {e.data.utterance_id: e for e in reversed(events) if isinstance(e.data, c.UtteranceCompleted)}
        self._receipts: dict[int, list[Receipt]] = {}
        for receipt in filter(None, map(readable, record.receipts.get(CCM, ()))):
            self._receipts.setdefault(receipt.seq, []).append(receipt)

    def of(self, event: AnyEvent) -> Iterator[tuple[str, str]]:
        """Kind and text of each mark."""
        if isinstance(event.data, c.UtteranceStarted):
            text = self._texts.get(event.data.utterance_id)
            if text is not None and isinstance(text.data, c.UtteranceCompleted):
                waited = (text.time - text.data.ended_at).total_seconds()
                if waited > _LATE_S:
                    yield " late", f"text came {waited:.1f} s late, with event {text.seq}"
        for receipt in self._receipts.get(event.seq, ()):
            yield _told(receipt)


def _told(receipt: Receipt) -> tuple[str, str]:
    detail = receipt.detail
    match receipt.outcome:
        case "delivered" if detail.get("late"):
            return " late", "CCM: delivered late"
        case "delivered":
            return "", "in CCM"
        case "refused":
            return " bad", f"CCM refused ({detail.get('status', '?')})"
        case "passed_over":
            return "", f"not sent: {detail.get('reason', '?')}"
        case outcome:
            return " bad", f"CCM: {outcome}"
