"""What a person sees while the call runs: every event with its number, and what CCM holds and gets."""

from datetime import datetime

from rich.console import Console
from rich.text import Text

from call_events import catalogue as c
from call_events.ports import AnyEvent
from call_events.terminal import plain
from call_events.timeline import STYLES, agent_names, line_of
from standins.demo.verdict import Delivery

#: Not worth a line while it runs; `callweave timeline CALL --all` shows them.
_QUIET = (c.UtteranceEnded, c.UsageRecorded)


class Screen:
    """Prints as things happen; remembers only what it needs for the next line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start: datetime | None = None
        self._names: dict[str, str] = {}
        self._transfer_open = False
        self._logged = 0
        self._delivered = 0

    def note(self, text: str) -> None:
        """A line about the set-up."""
        self._console.print(Text(f"· {text}", style="dim"))

    def heading(self, text: str) -> None:
        """A line between parts."""
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def event(self, event: AnyEvent) -> None:
        """An event has been appended."""
        self._start = self._start or event.time
        self._names |= agent_names([event])
        self._logged = event.seq
        data = event.data
        if isinstance(data, c.TransferRequested):
            self._transfer_open = True
        if isinstance(data, c.TransferConnected | c.TransferFailed | c.TransferCancelled):
            self._transfer_open = False
        if isinstance(data, _QUIET):
            return
        line = line_of(event, self._start, self._names)
        held = "  (CCM holds)" if self._transfer_open else ""
        self._console.print(
            Text(f"{line.seq:>4}  {line.at_s:>7.2f} s  {line.who:<12} {line.text}", style=STYLES[line.kind])
            + Text(held, style="dim yellow")
        )

    def delivery(self, delivery: Delivery) -> None:
        """CCM has taken a message."""
        self._delivered += 1
        self._console.print(
            Text(
                f"{'':>20}→ CCM {self._delivered:>2}: #{delivery.seq} {plain(f'{delivery.sender}: {delivery.text}')}",
                style="green",
            )
        )
