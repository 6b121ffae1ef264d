"""The state of a call as a person reads it. Pure: state in, lines out."""

from collections.abc import Iterator
from datetime import datetime

from call_events.call_state import CallState, Leg, Transfer, Utterance
from call_events.terminal import plain
from call_events.timeline import spoken
from callweave.shown import moment


def lines(state: CallState) -> Iterator[str]:
    """What is true of the call after the events that were folded; times are seconds since it began.

    A line may be shown on a terminal as it is: whatever was said, it is one line and has no control characters.
    """
    return map(plain, _lines(state))


def _lines(state: CallState) -> Iterator[str]:
    yield f"{state.call}: {_standing(state)}, {state.seq} events"
    if state.started_at is not None:
        yield f"began     {moment(state.started_at)}, profile {state.profile}, language {state.language}"
    if state.customer is not None:
        known = (state.customer.number, state.customer.customer_id, state.customer.identity)
        yield f"customer  {', '.join(one for one in known if one)}"
    yield f"owner     {state.owner}" + (f"; agent {state.agent}" if state.agent else "")
    yield from _section("legs", (_leg(leg, state.started_at) for leg in state.legs))
    yield from _section("conversation", (_utterance(one, state.started_at) for one in state.utterances))
    yield from _section("transfers", (_transfer(one, state.started_at) for one in state.transfers))
    yield from _section(
        "tools",
        (f"{one.seq:>4}  {one.agent:<12}  {one.name} → {one.outcome}, {one.duration_ms} ms" for one in state.tools),
    )
    yield from _section(
        "used",
        (f"{model}: {one.input_tokens} tokens in, {one.output_tokens} out" for model, one in state.usage.items()),
    )
    yield from _section("events", (f"{count:>4}  {name}" for name, count in state.counts.items()))


def _standing(state: CallState) -> str:
    if state.ended_by is None:
        return "open"
    return f"ended by {state.ended_by} ({state.cause}) after {(state.duration_ms or 0) / 1000:.1f} s"


def _section(title: str, rows: Iterator[str]) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield ""
            yield title
        yield f"  {row}"


def _leg(leg: Leg, start: datetime | None) -> str:
    left = leg.reason or "is there"
    return f"{leg.role:<9} {_span(leg.joined_at, leg.left_at, start)}  {left:<18}  {leg.identity}"


def _utterance(one: Utterance, start: datetime | None) -> str:
    text = spoken(one.text, interrupted=one.interrupted, discarded=one.discarded)
    return f"{one.started_seq:>4}  {_span(one.started_at, one.ended_at, start)}  {one.speaker.name:<14} {text}"


def _transfer(one: Transfer, start: datetime | None) -> str:
    tries = f"{one.attempts} attempt{'' if one.attempts == 1 else 's'}"
    why = f" ({one.outcome})" if one.outcome else ""
    human = f", {one.human.name} as {one.human.identity}" if one.human else ""
    return f"{one.destination}: {one.stage}{why}, asked for at {_at(one.requested_at, start)} s, {tries}{human}"


def _span(began: datetime, ended: datetime | None, start: datetime | None) -> str:
    return f"{_at(began, start):>7} to {_at(ended, start) if ended else '…':>7} s"


def _at(moment: datetime, start: datetime | None) -> str:
    return f"{(moment - (start or moment)).total_seconds():.1f}"
