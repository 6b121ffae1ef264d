"""A call as a person reads it: one line for each thing that happened, utterances where they began.

Pure: events in, lines out. The text of an utterance stands at its place, however late it came. A line may be shown on a
terminal as it is: whatever its parts hold, it is one line and has no control characters.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from call_events import catalogue as c
from call_events.codec import wire_type
from call_events.envelope import EventData
from call_events.ports import AnyEvent
from call_events.registry import UnknownData
from call_events.terminal import plain, plain_json

#: Kind of a line → how a terminal shows it (style names as rich knows them).
STYLES = {
    "call": "bold",
    "leg": "dim",
    "agent": "magenta",
    "speech": "",
    "tool": "cyan",
    "transfer": "yellow",
    "usage": "dim",
    "other": "red",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timeline."""

    seq: int
    #: Seconds since the call's first event.
    at_s: float
    #: Who or what: ``customer``, ``Billing AI``, ``transfer`` …
    who: str
    text: str
    #: One of the keys of :data:`STYLES`.
    kind: str


def timeline(events: Sequence[AnyEvent], *, everything: bool = False) -> list[Line]:
    """Lines in log order.

    Args:
        events: the call from number 1.
        everything: also the events that a reader can do without (ends of speech, texts at the place where they were
            written, usage), and of each event what it holds beside the story: arguments, summaries, evidence.
    """
    if not events:
        return []
    texts = {e.data.utterance_id: e.data for e in events if isinstance(e.data, c.UtteranceCompleted)}
    dropped = {e.data.utterance_id: e.data for e in events if isinstance(e.data, c.UtteranceDiscarded)}
    start, names = events[0].time, agent_names(events)
    lines = []
    for event in events:
        data = event.data
        if isinstance(data, c.UtteranceStarted):
            lines.append(_utterance(event, data, texts, dropped, start))
        elif everything or type(data) not in _ONLY_WITH_EVERYTHING:
            lines.append(line_of(event, start, names, everything=everything))
    return lines


def agent_names(events: Iterable[AnyEvent]) -> dict[str, str]:
    """For people to read, by the agents' keys, as far as these events tell."""
    names: dict[str, str] = {}
    for event in events:
        match event.data:
            case c.AgentActivated(agent=agent, name=name):
                names[agent] = name
            case c.AgentHandedOff() as handed:
                names |= {handed.from_agent: handed.from_name, handed.to_agent: handed.to_name}
            case _:
                pass
    return names


def line_of(
    event: AnyEvent, start: datetime, names: Mapping[str, str] | None = None, *, everything: bool = False
) -> Line:
    """One event by itself, as it is shown while the call still runs.

    Args:
        event: what happened.
        start: the time of the call's first event.
        names: see :func:`agent_names`; an agent that is not among them is told by its key.
        everything: also what the event holds beside the story.
    """
    data = event.data
    told = (_WORDS | _ONLY_WITH_EVERYTHING).get(type(data))
    who, text, kind = (
        told(data) if told is not None else ("?", f"{wire_type(event)} (not known to this release)", "other")
    )
    if isinstance(data, c.ToolCalled | c.UsageRecorded):
        who = (names or {}).get(who, who)
    if everything and (more := _DETAILS.get(type(data))) is not None:
        text = "; ".join(filter(None, (text, *more(data))))
    return _line(event, start, who, text, kind)


def _line(event: AnyEvent, start: datetime, who: str, text: str, kind: str) -> Line:
    return Line(event.seq, _seconds(event.time, start), plain(who), plain(text), kind)


def _seconds(moment: datetime, start: datetime) -> float:
    return round((moment - start).total_seconds(), 3)


def _utterance(
    event: AnyEvent,
    data: c.UtteranceStarted,
    texts: dict[str, c.UtteranceCompleted],
    dropped: dict[str, c.UtteranceDiscarded],
    start: datetime,
) -> Line:
    said, discarded = texts.get(data.utterance_id), dropped.get(data.utterance_id)
    text = spoken(
        said.text if said else None,
        interrupted=said is not None and said.interrupted,
        discarded=discarded.reason if discarded else None,
    )
    return _line(event, start, data.speaker.name, text, "speech")


def spoken(text: str | None, *, interrupted: bool, discarded: c.DiscardReason | None) -> str:
    """An utterance's words as they are shown to people, or why there are none."""
    if text is not None:
        return f"“{text}”" + (" — interrupted" if interrupted else "")
    return f"(no text: {discarded})" if discarded else "(text not yet known)"


Words = tuple[str, str, str]


def _of(schema: type[EventData], words: Callable[..., Words]) -> tuple[type[EventData], Callable[..., Words]]:
    return schema, words


_WORDS: dict[type[EventData], Callable[..., Words]] = dict(
    [
        _of(
            c.CallStarted,
            lambda d: ("call", f"started, {d.direction}, profile {d.profile}, language {d.language}", "call"),
        ),
        _of(
            c.CallEnded,
            lambda d: ("call", f"ended by {d.ended_by} ({d.cause}) after {d.duration_ms / 1000:.1f} s", "call"),
        ),
        _of(c.LegJoined, lambda d: (str(d.role), "joined", "leg")),
        _of(c.LegLeft, lambda d: (str(d.role), f"left ({d.reason})", "leg")),
        _of(c.AgentActivated, lambda d: (d.name, "has the floor", "agent")),
        _of(c.AgentHandedOff, lambda d: (d.from_name, f"hands over to {d.to_name}: {d.reason}", "agent")),
        _of(
            c.ToolCalled,
            lambda d: (
                d.agent,
                f"tool {d.name} → {d.outcome}{f' ({d.detail})' if d.detail else ''} in {d.duration_ms} ms",
                "tool",
            ),
        ),
        _of(c.TransferRequested, lambda d: ("transfer", f"requested to {d.destination}: {d.reason}", "transfer")),
        _of(c.TransferDialing, lambda d: ("transfer", f"dialling {d.target} (attempt {d.attempt})", "transfer")),
        _of(c.TransferRinging, lambda _: ("transfer", "the phone rings", "transfer")),
        _of(
            c.TransferAttemptFailed,
            lambda d: (
                "transfer",
                f"{d.target}: {d.outcome}{f' (SIP {d.sip_status})' if d.sip_status else ''}",
                "transfer",
            ),
        ),
        _of(c.TransferConnected, lambda d: ("transfer", f"{d.human.name} is on the line", "transfer")),
        _of(c.TransferFailed, lambda d: ("transfer", f"failed: {d.outcome}. {d.reason}", "transfer")),
        _of(c.TransferCancelled, lambda d: ("transfer", f"cancelled ({d.cause})", "transfer")),
        _of(c.TransferCompleted, lambda _: ("transfer", "the AI has left the conversation", "transfer")),
    ]
)

_ONLY_WITH_EVERYTHING: dict[type[EventData], Callable[..., Words]] = dict(
    [
        _of(c.UtteranceEnded, lambda d: ("speech", f"end of {d.utterance_id}", "speech")),
        _of(c.UtteranceStarted, lambda d: (d.speaker.name, "begins to speak", "speech")),
        _of(
            c.UtteranceCompleted,
            lambda d: (d.speaker.name, spoken(d.text, interrupted=d.interrupted, discarded=None), "speech"),
        ),
        _of(c.UtteranceDiscarded, lambda d: ("speech", f"no text of {d.utterance_id}: {d.reason}", "speech")),
        _of(
            c.UsageRecorded,
            lambda d: (
                d.agent or "speech-to-text",
                f"used {d.model}: {d.input_tokens} in, {d.output_tokens} out",
                "usage",
            ),
        ),
    ]
)

#: What an event holds beside the story; shown with ``everything``. An empty part is left out.
_DETAILS: dict[type[EventData], Callable[..., tuple[str, ...]]] = {
    c.CallStarted: lambda d: (
        f"profile's hash {d.profile_hash}",
        f"worker {d.worker}",
        f"SIP call {d.sip_call_id}" if d.sip_call_id else "",
        f"headers {plain_json(d.sip_headers)}" if d.sip_headers else "",
    ),
    c.LegJoined: lambda d: (f"as {d.identity}", f"SIP call {d.sip_call_id}" if d.sip_call_id else ""),
    c.LegLeft: lambda d: (f"as {d.identity}",),
    c.AgentHandedOff: lambda d: (f"{d.context_items} items of the conversation went along",),
    c.ToolCalled: lambda d: (f"arguments {plain_json(d.arguments)}",),
    c.TransferRequested: lambda d: (d.mode, f"for the human: “{d.summary}”"),
    c.TransferDialing: lambda d: (f"as {d.identity}",),
    c.TransferAttemptFailed: lambda d: (f"seen: {d.evidence}",),
    c.TransferConnected: lambda d: (f"as {d.human.identity}", f"SIP call {d.sip_call_id}" if d.sip_call_id else ""),
    c.TransferFailed: lambda d: tuple(
        f"attempt {one.attempt} to {one.target}: {one.outcome}{f' (SIP {one.sip_status})' if one.sip_status else ''}"
        for one in d.attempts
    ),
    c.UsageRecorded: lambda d: (f"latencies {plain_json(d.latencies_ms)} ms" if d.latencies_ms else "",),
    UnknownData: lambda d: (plain_json(d.raw),),
}
