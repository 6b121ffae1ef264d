"""The demo's last page: the call's events, CCM's messages, the verdict, the times, the recordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from call_events import catalogue as c
from call_events.ports import AnyEvent
from call_events.terminal import plain
from call_events.timeline import STYLES, timeline
from standins.demo import verdict
from standins.demo.scenario import Played
from standins.demo.verdict import Delivery, Finding
from standins.phones import Phone

#: The human says the first word a second after picking up: sound before that is the AI's.
AI_OR_NOBODY_S = 0.9


@dataclass(frozen=True, slots=True)
class Times:
    """Measured, in seconds."""

    call_to_answer: float
    call_to_first_sound: float
    request_to_dial: float | None
    pick_up_to_connected: float | None
    request_to_connected: float | None
    connected_to_silent: float | None


def judge(
    events: Sequence[AnyEvent], deliveries: Sequence[Delivery] | None, played: Played, *, scripted: bool
) -> list[Finding]:
    """Everything that was promised about this call. ``deliveries`` None: CCM is a real one that cannot be asked."""
    findings = [
        verdict.numbers_have_no_gap(events),
        verdict.every_utterance_is_settled(events),
        verdict.happened(
            events,
            "the AI handed over once, and a human was brought in once",
            c.AgentHandedOff,
            c.TransferRequested,
            c.TransferConnected,
            c.TransferCompleted,
        ),
    ]
    if scripted:
        findings += [
            verdict.said_is_logged(events, c.Role.CUSTOMER, played.said_by_customer),
            verdict.said_is_logged(events, c.Role.HUMAN, played.said_by_human),
        ]
    if deliveries is not None:
        findings += [
            verdict.delivered_in_order(deliveries),
            verdict.delivered_completely(events, deliveries),
            verdict.held_while_open(events, deliveries),
        ]
    return findings


def times(events: Sequence[AnyEvent], played: Played, *, wall_minus_monotonic: float, silent_at: float | None) -> Times:
    """The times of the call; the phones' are monotonic, the log's wall clock."""

    def at(schema: type) -> float | None:
        found = [e.time.timestamp() - wall_minus_monotonic for e in events if isinstance(e.data, schema)]
        return found[0] if found else None

    requested, dialling, connected = at(c.TransferRequested), at(c.TransferDialing), at(c.TransferConnected)
    return Times(
        call_to_answer=played.answered_at - played.called_at,
        call_to_first_sound=played.first_sound_at - played.called_at,
        request_to_dial=_between(requested, dialling),
        pick_up_to_connected=_between(played.human_picked_up_at, connected),
        request_to_connected=_between(requested, connected),
        connected_to_silent=None if connected is None or silent_at is None else max(0.0, silent_at - connected),
    )


def last_ai_sound(customer: Phone, played: Played) -> float | None:
    """Monotonic end of the AI's last sound at the caller's ear; None if nothing was heard at all."""
    ends = [end for _, end in customer.recording.sounds() if end <= played.human_picked_up_at + AI_OR_NOBODY_S]
    return ends[-1] if ends else None


def _between(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else second - first


def print_report(
    console: Console,
    *,
    events: Sequence[AnyEvent],
    deliveries: Sequence[Delivery] | None,
    findings: Sequence[Finding],
    measured: Times | None,
    recordings: Sequence[Path],
    messages: Path | None,
) -> None:
    """The whole page."""
    _heading(console, "The call, as the log tells it")
    for line in timeline(events, everything=True):
        console.print(Text(f"{line.seq:>4}  {line.at_s:>7.2f} s  {line.who:<12} {line.text}", style=STYLES[line.kind]))
    if deliveries is not None:
        _heading(console, "CCM's messages, in the order in which it got them")
        for count, one in enumerate(deliveries, start=1):
            intent = f" [{one.intent}]" if one.intent else ""
            console.print(Text(f"{count:>4}  #{one.seq:<3} {plain(f'{one.sender:<24}{intent} {one.text}')}"))
    if measured is not None:
        _heading(console, "Measured")
        console.print(_times_table(measured))
    _heading(console, "Checked")
    for finding in findings:
        mark = Text("  ok  ", style="bold green") if finding.holds else Text("  NO  ", style="bold red")
        console.print(mark + Text(finding.promise) + Text(f"  ({finding.seen})" if finding.seen else "", style="dim"))
    _heading(console, "Listen and look")
    for path in recordings:
        console.print(Text(f"  {path}   left: said, right: heard"))
    if messages is not None:
        console.print(Text(f"  {messages}   what CCM got, as JSON"))


def _times_table(measured: Times) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in (
        ("call → answer", measured.call_to_answer),
        ("call → first AI audio at the caller's ear", measured.call_to_first_sound),
        ("transfer.requested → the human's phone is dialled", measured.request_to_dial),
        ("transfer.requested → human connected (the phone rang meanwhile)", measured.request_to_connected),
        ("human picks up → transfer.connected", measured.pick_up_to_connected),
        ("transfer.connected → AI silent", measured.connected_to_silent),
    ):
        table.add_row(f"  {name}", "not seen" if value is None else f"{value * 1000:.0f} ms")
    return table


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))
