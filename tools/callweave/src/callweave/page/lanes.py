"""Who did what when, laid out beside each other. Pure: events in, lanes out; times are seconds since the call began."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from call_events import catalogue as c
from call_events.ports import AnyEvent
from call_events.timeline import agent_names, spoken

TRANSFER, TOOLS = "transfer", "tools"


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that lasted, or a moment (``end_s`` = ``start_s``)."""

    seq: int
    start_s: float
    end_s: float
    text: str
    #: ``speech``, ``leg``, ``floor``, ``transfer``, ``tool``.
    kind: str
    #: ``interrupted``, ``no-text``, ``open``, ``failed`` …
    marks: tuple[str, ...] = ()


@dataclass(slots=True)
class Lane:
    """One party, or one kind of thing that happened."""

    name: str
    #: ``customer``, ``ai``, ``human``, ``supervisor``, ``transfer``, ``tools``.
    kind: str
    bars: list[Bar] = field(default_factory=list)


_ORDER = ("customer", "ai", "human", "supervisor", TRANSFER, TOOLS)


def lanes(events: Sequence[AnyEvent]) -> tuple[list[Lane], float]:
    """The lanes in the order in which they are shown, and how long the call is in them, at least one second."""
    drawing = _Drawing(events)
    for event in events:
        draw = _DRAW.get(type(event.data))
        if draw is not None:
            draw(drawing, event, event.data)
    drawing.finish()
    shown = sorted(drawing.lanes.values(), key=lambda lane: _ORDER.index(lane.kind))
    return [lane for lane in shown if lane.bars], drawing.length_s


class _Drawing:
    """The lanes while they are drawn."""

    def __init__(self, events: Sequence[AnyEvent]) -> None:
        self.start = events[0].time
        self.names = agent_names(events)
        self.lanes: dict[tuple[str, str], Lane] = {}
        self.length_s = max(1.0, *(self.at(event.time) for event in events))
        self.texts = {e.data.utterance_id: e.data for e in events if isinstance(e.data, c.UtteranceCompleted)}
        self.ends = {
            e.data.utterance_id: self.at(e.data.ended_at) for e in events if isinstance(e.data, c.UtteranceEnded)
        }
        self.dropped = {e.data.utterance_id: e for e in events if isinstance(e.data, c.UtteranceDiscarded)}
        self.people = {
            e.data.human.identity: e.data.human.name for e in events if isinstance(e.data, c.TransferConnected)
        }
        self.legs: dict[str, AnyEvent] = {}
        self.floor: AnyEvent | None = None
        self.transfers: dict[str, AnyEvent] = {}

    def at(self, moment: Any) -> float:
        return max(0.0, round(float((moment - self.start).total_seconds()), 3))

    def lane(self, kind: str, name: str) -> Lane:
        return self.lanes.setdefault((kind, name), Lane(name, kind))

    def party(self, role: c.Role, identity: str, name: str = "") -> Lane:
        if role is c.Role.CUSTOMER:
            return self.lane("customer", "Customer")
        return self.lane(role.value, name or self.people.get(identity, identity))

    def finish(self) -> None:
        """What has begun and never ended lasts to the end of what is known."""
        for event in list(self.legs.values()):
            _leg_ends(self, event, event.data, self.length_s, "open")
        self.give_floor(None, self.length_s)
        for transfer in list(self.transfers):
            _transfer_ends(self, transfer, self.length_s, "open", "open")

    def give_floor(self, event: AnyEvent | None, at_s: float) -> None:
        before, self.floor = self.floor, event
        if before is not None:
            name = _floor_name(before)
            self.lane("ai", name).bars.append(
                Bar(before.seq, self.at(before.time), at_s, f"{name} has the floor", "floor")
            )


def _floor_name(event: AnyEvent) -> str:
    data = event.data
    return data.name if isinstance(data, c.AgentActivated) else getattr(data, "to_name", "AI")


def _speaks(drawing: _Drawing, event: AnyEvent, data: c.UtteranceStarted) -> None:
    said, dropped = drawing.texts.get(data.utterance_id), drawing.dropped.get(data.utterance_id)
    start = drawing.at(data.started_at)
    end = drawing.at(said.ended_at) if said else drawing.ends.get(data.utterance_id, start)
    reason = dropped.data.reason if dropped is not None and isinstance(dropped.data, c.UtteranceDiscarded) else None
    text = spoken(said.text if said else None, interrupted=bool(said and said.interrupted), discarded=reason)
    marks = (*(("interrupted",) if said and said.interrupted else ()), *(() if said else ("no-text",)))
    lane = drawing.party(data.speaker.role, data.speaker.identity, data.speaker.name)
    lane.bars.append(Bar(event.seq, start, max(start, end), f"{data.speaker.name}: {text}", "speech", marks))


def _joined(drawing: _Drawing, event: AnyEvent, data: c.LegJoined) -> None:
    drawing.legs[data.identity] = event


def _left(drawing: _Drawing, event: AnyEvent, data: c.LegLeft) -> None:
    joined = drawing.legs.get(data.identity)
    if joined is not None:
        _leg_ends(drawing, joined, joined.data, drawing.at(event.time))


def _leg_ends(drawing: _Drawing, joined: AnyEvent, data: Any, end_s: float, *marks: str) -> None:
    drawing.legs.pop(data.identity, None)
    if data.role is c.Role.AI:  # the AI's leg is one for all its agents; who has the floor tells more
        return
    text = f"{data.role} is in the call"
    lane = drawing.party(data.role, data.identity)
    lane.bars.append(Bar(joined.seq, drawing.at(joined.time), end_s, text, "leg", marks))


def _floor(drawing: _Drawing, event: AnyEvent, _data: Any) -> None:
    drawing.give_floor(event, drawing.at(event.time))


def _tool(drawing: _Drawing, event: AnyEvent, data: c.ToolCalled) -> None:
    end = drawing.at(event.time)
    text = f"{drawing.names.get(data.agent, data.agent)}: {data.name} → {data.outcome}"
    start = max(0.0, end - data.duration_ms / 1000)
    marks = () if data.outcome == "ok" else ("failed",)
    drawing.lane(TOOLS, "Tools").bars.append(Bar(event.seq, start, end, text, "tool", marks))


def _requested(drawing: _Drawing, event: AnyEvent, data: c.TransferRequested) -> None:
    drawing.transfers[data.transfer_id] = event


def _connected(drawing: _Drawing, event: AnyEvent, data: c.TransferConnected) -> None:
    drawing.give_floor(None, drawing.at(event.time))
    _transfer_ends(drawing, data.transfer_id, drawing.at(event.time), "connected", f"{data.human.name} answered")


def _failed(drawing: _Drawing, event: AnyEvent, data: c.TransferFailed) -> None:
    _transfer_ends(drawing, data.transfer_id, drawing.at(event.time), "failed", f"failed: {data.outcome}")


def _cancelled(drawing: _Drawing, event: AnyEvent, data: c.TransferCancelled) -> None:
    _transfer_ends(drawing, data.transfer_id, drawing.at(event.time), "failed", f"cancelled ({data.cause})")


def _transfer_ends(drawing: _Drawing, transfer: str, end_s: float, mark: str, outcome: str) -> None:
    asked = drawing.transfers.pop(transfer, None)
    if asked is None or not isinstance(asked.data, c.TransferRequested):
        return
    text = f"transfer to {asked.data.destination}: {outcome}"
    bar = Bar(asked.seq, drawing.at(asked.time), end_s, text, "transfer", (mark,))
    drawing.lane(TRANSFER, "Transfer").bars.append(bar)


_DRAW: dict[type, Callable[[_Drawing, AnyEvent, Any], None]] = {
    c.UtteranceStarted: _speaks,
    c.LegJoined: _joined,
    c.LegLeft: _left,
    c.AgentActivated: _floor,
    c.AgentHandedOff: _floor,
    c.ToolCalled: _tool,
    c.TransferRequested: _requested,
    c.TransferConnected: _connected,
    c.TransferFailed: _failed,
    c.TransferCancelled: _cancelled,
}
