"""A call as one HTML file: no network, no script, every value escaped, for what callers say is hostile input.

The page is made for a browser, for paper, and for somebody who was not there: the lanes show who spoke when, the list
tells what happened with every utterance at its place, and what is missing or came late is marked where it belongs.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import metadata, resources

from call_events import catalogue as c
from call_events.fold import CallState, fold
from call_events.ports import AnyEvent
from call_events.terminal import plain
from callweave.page.events import rows
from callweave.page.lanes import Bar, Lane, lanes
from callweave.page.tables import tables
from callweave.proof.findings import Finding
from callweave.proof.reconcile import reconcile
from callweave.proof.verify import proved, verify
from callweave.shown import moment
from callweave.sources.record import Record

#: The chart grows beyond the window for calls longer than some minutes, and is then scrolled.
_PIXELS_A_SECOND = 5
_WIDEST_PX = 30_000
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)

_LEGEND_OF_BARS = """<p class="legend">A bar is an utterance from beginning to end; dashed: there is no text; shaded: in
the call, or has the floor; hatched: failed. Each bar leads to its event in the list.</p>"""
_LEGEND_OF_EVENTS = """<p class="legend">Each utterance stands where it began, however late its text came. <b>in
CCM</b>: it has taken the message; <b>not sent</b>: there was nothing to send, with the reason.</p>"""

#: Nothing may be loaded from anywhere, and nothing may run.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(record: Record, *, until: int | None = None) -> str:
    """The whole file.

    Args:
        record: a call that has events.
        until: only the events up to this number.
    """
    events = [event for event in record.events if until is None or event.seq <= until]
    state = fold(events)
    findings = [*verify(record), *reconcile(record)[0]]
    drawn, length_s = lanes(events) if events else ([], 1.0)
    style = (resources.files("callweave.page") / "style.css").read_text(encoding="utf-8")
    body = "\n".join(
        [
            *_head(record, events, state, until),
            *_proof(record, findings),
            "<h2>Who spoke when</h2>",
            *_chart(drawn, length_s),
            "<h2>What happened</h2>",
            _LEGEND_OF_EVENTS,
            '<ol class="events">',
            *rows(record, events),
            "</ol>",
            *tables(state),
            _footer(record),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n'
        f"<title>Call {shown(record.call)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def shown(text: object) -> str:
    """Any value as text of a page: one line, nothing a browser obeys or that turns the direction of reading."""
    return escape(plain(str(text)), quote=True)


def _head(record: Record, events: Sequence[AnyEvent], state: CallState, until: int | None) -> Iterator[str]:
    yield f"<h1>Call {shown(record.call)}</h1>"
    part = f"As it stood after event {until} of {len(record.entries)}. " if until is not None else ""
    yield f'<p class="lead">{part}{shown(_standing(state))}</p>'
    started = events[0].data if events else None
    facts: list[tuple[str, object]] = []
    if isinstance(started, c.CallStarted):
        facts += [
            ("began", moment(events[0].time)),
            ("direction", started.direction),
            ("customer", started.customer.number or "number withheld"),
            ("customer's id", started.customer.customer_id or "not known"),
            ("dialled", started.dialled_number or "not known"),
            ("service line", f"{started.profile}, {started.language}"),
        ]
    facts += [("events", len(events)), ("utterances", len(state.utterances))]
    if state.transfers:
        facts.append(("transfers", ", ".join(one.stage for one in state.transfers)))
    yield '<dl class="facts">'
    yield from (f"<div><dt>{shown(name)}</dt><dd>{shown(value)}</dd></div>" for name, value in facts)
    yield "</dl>"


def _standing(state: CallState) -> str:
    if state.ended_by is None:
        return f"The call is open; responsible for talking to the customer: {state.owner}."
    return f"Ended by {state.ended_by} ({state.cause}) after {(state.duration_ms or 0) / 1000:.1f} s."


def _proof(record: Record, findings: Sequence[Finding]) -> Iterator[str]:
    yield "<h2>Is it all there?</h2>"
    yield '<ul class="findings">'
    if not any(finding.is_fault for finding in findings):
        yield f'<li class="proved">Complete and in order: {shown(proved(record))}</li>'
    for finding in findings:
        yield (
            f'<li class="{finding.level}"><b>{shown(finding.code)}</b> at {shown(finding.place)}: '
            f"{shown(finding.text)}</li>"
        )
    yield "</ul>"


def _chart(drawn: Sequence[Lane], length_s: float) -> Iterator[str]:
    if not drawn:
        yield "<p>Nothing was said.</p>"
        return
    wide = min(_WIDEST_PX, round(length_s * _PIXELS_A_SECOND))
    yield '<div class="chart" role="group" aria-label="Who spoke when; the list below tells the same">'
    yield f'<div class="inner" style="--wide:{wide}px">'
    yield f'<div class="name axis-name">seconds</div><div class="axis">{"".join(_ticks(length_s, wide))}</div>'
    for lane in drawn:
        bars = "".join(_bar(bar, length_s) for bar in lane.bars)
        yield f'<div class="name">{shown(lane.name)}</div><div class="track {lane.kind}">{bars}</div>'
    yield "</div></div>"
    yield _LEGEND_OF_BARS


def _ticks(length_s: float, wide: int) -> Iterable[str]:
    most = max(8, wide // 110)
    step = next((step for step in _STEPS if length_s / step <= most), _STEPS[-1])
    for at in range(0, int(length_s) + 1, step):
        if at <= length_s * 0.97 or at == 0:
            yield f'<span style="left:{_percent(at, length_s)}">{at}</span>'


def _bar(bar: Bar, length_s: float) -> str:
    width = _percent(min(bar.end_s, length_s) - min(bar.start_s, length_s), length_s)
    marks = " ".join((bar.kind, *bar.marks))
    title = shown(f"{bar.start_s:.1f} to {bar.end_s:.1f} s: {bar.text}")
    style = f"left:{_percent(min(bar.start_s, length_s), length_s)};width:{width}"
    return f'<a class="bar {marks}" style="{style}" href="#e{bar.seq}" title="{title}" aria-label="{title}"></a>'


def _percent(part_s: float, length_s: float) -> str:
    return f"{max(0.0, part_s) * 100 / length_s:.3f}%"


def _footer(record: Record) -> str:
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    head = f", chain head {record.head}" if record.head else ""
    return (
        f"<footer>Written by callweave {shown(metadata.version('callweave'))} at {made} from the {record.where} copy "
        f"of the call{shown(head)}. Times are seconds since the call began. This page holds what people said: treat "
        "it as such.</footer>"
    )
