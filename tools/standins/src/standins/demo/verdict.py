"""Was that call what we promise? Pure: the log, what CCM got and what the phones heard go in, findings come out.

The demo ends with exit code 0 only if every finding holds; the end-to-end tests use the same findings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from call_events import catalogue as c
from call_events.ports import AnyEvent

#: So far may the text be ahead of the sound at the caller's ear.
AHEAD_S = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise and whether it held."""

    holds: bool
    promise: str
    #: What was seen; for a promise that did not hold, where to look.
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as CCM accepted it."""

    #: Idempotency key.
    id: str
    #: Place in the call that the message is about.
    seq: int
    at: datetime
    sender: str
    text: str
    intent: str | None = None
    late: bool = False


def numbers_have_no_gap(events: Sequence[AnyEvent]) -> Finding:
    """Numbers are 1 … N, every id once, the frame is closed."""
    seqs = [e.seq for e in events]
    gaps = len(set(range(1, (seqs[-1] if seqs else 0) + 1)) - set(seqs))
    doubles = len(seqs) - len(set(seqs)) + len(events) - len({e.id for e in events})
    framed = bool(events) and isinstance(events[0].data, c.CallStarted) and isinstance(events[-1].data, c.CallEnded)
    return Finding(
        gaps == 0 and doubles == 0 and seqs == sorted(seqs) and framed,
        "the call's log is numbered 1 … N, from call.started to call.ended",
        f"{len(events)} events, {gaps} gaps, {doubles} doubles",
    )


def every_utterance_is_settled(events: Sequence[AnyEvent]) -> Finding:
    """Each reserved place got its text, or the reason why there is none."""
    places = {e.data.utterance_id: e.seq for e in events if isinstance(e.data, c.UtteranceStarted)}
    settled = {e.data.utterance_id for e in events if isinstance(e.data, c.UtteranceCompleted | c.UtteranceDiscarded)}
    open_places = [seq for utterance, seq in places.items() if utterance not in settled]
    return Finding(
        not open_places and settled <= set(places),
        "every utterance that began has its text, or the reason why not",
        f"{len(places)} utterances" + (f", unsettled at {open_places}" if open_places else ""),
    )


def texts(events: Sequence[AnyEvent], role: c.Role) -> list[str]:
    """What one party said, in the order in which they began to say it."""
    by_id = {e.data.utterance_id: e.data.text for e in events if isinstance(e.data, c.UtteranceCompleted)}
    return [
        by_id[e.data.utterance_id]
        for e in events
        if isinstance(e.data, c.UtteranceStarted) and e.data.speaker.role is role and e.data.utterance_id in by_id
    ]


def said_is_logged(events: Sequence[AnyEvent], role: c.Role, said: Sequence[str]) -> Finding:
    """All that a phone spoke stands in the log, in that order, and nothing else."""
    logged = texts(events, role)
    return Finding(
        logged == list(said),
        f"everything the {role} said is in the log, in order",
        f"{len(logged)} of {len(said)} utterances" + ("" if logged == list(said) else f": {logged}"),
    )


def delivered_in_order(deliveries: Sequence[Delivery]) -> Finding:
    """CCM got no message twice, and each after those before it (a text marked late excepted)."""
    doubles = len(deliveries) - len({d.id for d in deliveries})
    punctual = [d.seq for d in deliveries if not d.late]
    inversions = sum(1 for before, after in pairwise(punctual) if after <= before)
    return Finding(
        doubles == 0 and inversions == 0,
        "CCM got every message once and in order",
        f"{len(deliveries)} messages, {doubles} doubles, {inversions} inversions",
    )


def delivered_completely(events: Sequence[AnyEvent], deliveries: Sequence[Delivery]) -> Finding:
    """Every utterance with a text, and the frame of the call, reached CCM with that text."""
    got = {d.seq: d.text for d in deliveries}
    by_id = {e.data.utterance_id: e.data.text for e in events if isinstance(e.data, c.UtteranceCompleted)}
    wanted = {
        e.seq: by_id.get(e.data.utterance_id) if isinstance(e.data, c.UtteranceStarted) else None
        for e in events
        if isinstance(e.data, c.CallStarted | c.CallEnded | c.AgentHandedOff | c.TransferConnected | c.TransferFailed)
        or (isinstance(e.data, c.UtteranceStarted) and e.data.utterance_id in by_id)
    }
    missing = [seq for seq, text in wanted.items() if seq not in got or (text is not None and got[seq] != text)]
    return Finding(
        not missing,
        "nothing that CCM should see is missing there",
        f"{len(wanted)} places, {len(missing)} gaps" + (f" at {missing}" if missing else ""),
    )


def held_while_open(events: Sequence[AnyEvent], deliveries: Sequence[Delivery]) -> Finding:
    """From ``transfer.requested`` to its outcome CCM got nothing of what came after the request."""
    held = leaked = unsettled = 0
    for request in events:
        if not isinstance(request.data, c.TransferRequested):
            continue
        outcome = outcome_of(events, request.data.transfer_id)
        if outcome is None:
            unsettled += 1
            continue
        within = [d for d in deliveries if request.seq <= d.seq <= outcome.seq]
        held += len(within)
        leaked += sum(1 for d in within if d.at < outcome.time)
    return Finding(
        leaked == unsettled == 0,
        "messages were held while the transfer was open",
        f"{held} held, {leaked} leaked" + (f", {unsettled} transfers without an outcome" if unsettled else ""),
    )


def outcome_of(events: Sequence[AnyEvent], transfer_id: str) -> AnyEvent | None:
    """The event that ended a transfer's hold."""
    for event in events:
        data = event.data
        if (
            isinstance(data, c.TransferConnected | c.TransferFailed | c.TransferCancelled)
            and data.transfer_id == transfer_id
        ):
            return event
    return None


def ai_fell_silent(connected_to_silent_s: float | None, *, within_s: float) -> Finding:
    """No AI sound at the caller's ear later than this after the person was on the line."""
    promise = f"the AI was silent within {within_s * 1000:.0f} ms once the person was on the line"
    if connected_to_silent_s is None:
        return Finding(False, promise, "the moment of connection or the caller's ear is not known")
    return Finding(connected_to_silent_s <= within_s, promise, f"{connected_to_silent_s * 1000:.0f} ms")


def happened(events: Sequence[AnyEvent], promise: str, *schemas: type) -> Finding:
    """Exactly one event of each of these types."""
    counts = {schema.__name__: sum(isinstance(e.data, schema) for e in events) for schema in schemas}
    return Finding(all(n == 1 for n in counts.values()), promise, ", ".join(f"{k} {v}" for k, v in counts.items()))


def told_as_heard(events: Sequence[AnyEvent], lengths: Mapping[str, float]) -> Finding:
    """Of a sentence of the AI that was cut off, the log tells as much as was heard.

    Args:
        events: the call.
        lengths: text of each sentence that the AI can say, and how long it takes to say it (seconds).
    """
    cut = [
        data
        for data in (event.data for event in events)
        if isinstance(data, c.UtteranceCompleted) and data.speaker.role is c.Role.AI and data.interrupted
    ]
    claimed = [data.text for data in cut if not _could_be_heard(data, lengths)]
    return Finding(
        not claimed,
        "of the AI's sentences that were cut off, the log tells what was heard",
        f"{len(cut)} cut off" + (f", told beyond what was heard: {claimed}" if claimed else ""),
    )


def _could_be_heard(said: c.UtteranceCompleted, lengths: Mapping[str, float]) -> bool:
    began = said.text.rstrip(" .…-")
    whole = [(text, length) for text, length in lengths.items() if text.startswith(began)]
    heard_s = (said.ended_at - said.started_at).total_seconds() + AHEAD_S
    return any(len(began) <= len(text) * heard_s / length for text, length in whole)


def heard_in_order(who: str, heard: Sequence[str | None], expected: Sequence[str]) -> Finding:
    """These phrases were understood from the sound at a phone's ear, in this order (others may lie between)."""
    rest = iter(heard)
    missing = [phrase for phrase in expected if phrase not in rest]
    return Finding(
        not missing,
        f"the {who} could understand what was said to them",
        f"{len(expected) - len(missing)} of {len(expected)} phrases recognised from the recording"
        + (f", not: {missing}" if missing else ""),
    )
