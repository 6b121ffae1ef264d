"""A call's state by folding its stream: pure, for the command line, the orchestrator's watch and anybody's questions.

``fold`` never fails on a stream the log accepted: an event that makes no sense here (of another release, or out of
place) changes nothing but the counts.
"""

from collections.abc import Callable, Iterable
from typing import Any

from call_events import catalogue as c
from call_events.call_state import CallState, Leg, Owner, Tool, Transfer, TransferStage, Usage, Utterance
from call_events.codec import wire_type
from call_events.ports import AnyEvent

__all__ = ["CallState", "Leg", "Owner", "Tool", "Transfer", "TransferStage", "Usage", "Utterance", "evolve", "fold"]


def fold(events: Iterable[AnyEvent], state: CallState | None = None) -> CallState:
    """The state after these events, from nothing or from an earlier state."""
    state = state or CallState()
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: CallState, event: AnyEvent) -> CallState:
    """The state after one more event."""
    name = wire_type(event)
    counts = {**state.counts, name: state.counts.get(name, 0) + 1}
    state = state.model_copy(update={"seq": event.seq or state.seq + 1, "call": event.call, "counts": counts})
    change = _CHANGES.get(type(event.data))
    return state if change is None else state.model_copy(update=change(state, event, event.data))


Change = dict[str, Any]


def _started(_state: CallState, event: AnyEvent, data: c.CallStarted) -> Change:
    return {
        "started_at": event.time,
        "profile": data.profile,
        "language": data.language,
        "customer": data.customer,
    }


def _ended(_state: CallState, event: AnyEvent, data: c.CallEnded) -> Change:
    return {
        "ended_at": event.time,
        "ended_by": data.ended_by,
        "cause": data.cause,
        "duration_ms": data.duration_ms,
        "owner": Owner.NOBODY,
    }


def _leg_joined(state: CallState, event: AnyEvent, data: c.LegJoined) -> Change:
    leg = Leg(identity=data.identity, role=data.role, joined_at=event.time)
    return {"legs": (*state.legs, leg)}


def _leg_left(state: CallState, event: AnyEvent, data: c.LegLeft) -> Change:
    legs = tuple(
        leg.model_copy(update={"left_at": event.time, "reason": data.reason})
        if leg.identity == data.identity and leg.left_at is None
        else leg
        for leg in state.legs
    )
    human_gone = data.role is c.Role.HUMAN and state.owner is Owner.HUMAN
    return {"legs": legs} | ({"owner": Owner.NOBODY} if human_gone else {})


def _activated(_state: CallState, _event: AnyEvent, data: c.AgentActivated) -> Change:
    return {"agent": data.agent, "owner": Owner.AI}


def _handed_off(_state: CallState, _event: AnyEvent, data: c.AgentHandedOff) -> Change:
    return {"agent": data.to_agent}


def _tool(state: CallState, event: AnyEvent, data: c.ToolCalled) -> Change:
    tool = Tool(seq=event.seq, agent=data.agent, name=data.name, outcome=data.outcome, duration_ms=data.duration_ms)
    return {"tools": (*state.tools, tool)}


def _usage(state: CallState, _event: AnyEvent, data: c.UsageRecorded) -> Change:
    model = f"{data.provider}/{data.model}"
    before = state.usage.get(model, Usage())
    after = Usage(**{name: getattr(before, name) + getattr(data, name) for name in Usage.model_fields})
    return {"usage": {**state.usage, model: after}}


def _speaking(state: CallState, event: AnyEvent, data: c.UtteranceStarted) -> Change:
    utterance = Utterance(
        utterance_id=data.utterance_id, speaker=data.speaker, started_seq=event.seq, started_at=data.started_at
    )
    return {"utterances": (*state.utterances, utterance)}


def _spoken(state: CallState, _event: AnyEvent, data: c.UtteranceEnded) -> Change:
    return _utterance(state, data.utterance_id, ended_at=data.ended_at)


def _said(state: CallState, event: AnyEvent, data: c.UtteranceCompleted) -> Change:
    if all(one.utterance_id != data.utterance_id for one in state.utterances):  # its start was never written
        start = c.UtteranceStarted(utterance_id=data.utterance_id, speaker=data.speaker, started_at=data.started_at)
        state = state.model_copy(update=_speaking(state, event, start))
    return _utterance(
        state,
        data.utterance_id,
        text=data.text,
        interrupted=data.interrupted,
        ended_at=data.ended_at,
        speaker=data.speaker,
    )


def _discarded(state: CallState, _event: AnyEvent, data: c.UtteranceDiscarded) -> Change:
    return _utterance(state, data.utterance_id, discarded=data.reason)


def _requested(state: CallState, event: AnyEvent, data: c.TransferRequested) -> Change:
    transfer = Transfer(
        transfer_id=data.transfer_id,
        destination=data.destination,
        stage=TransferStage.REQUESTED,
        requested_at=event.time,
    )
    return {"transfers": (*state.transfers, transfer)}


def _dialing(state: CallState, _event: AnyEvent, data: c.TransferDialing) -> Change:
    return _transfer(state, data.transfer_id, stage=TransferStage.DIALING, attempts=data.attempt)


def _ringing(state: CallState, _event: AnyEvent, data: c.TransferRinging) -> Change:
    return _transfer(state, data.transfer_id, stage=TransferStage.RINGING)


def _attempt_failed(state: CallState, _event: AnyEvent, data: c.TransferAttemptFailed) -> Change:
    return _transfer(state, data.transfer_id, stage=TransferStage.REQUESTED, outcome=data.outcome)


def _connected(state: CallState, _event: AnyEvent, data: c.TransferConnected) -> Change:
    change = _transfer(state, data.transfer_id, stage=TransferStage.CONNECTED, human=data.human, outcome=None)
    return {**change, "owner": Owner.HUMAN}


def _failed(state: CallState, _event: AnyEvent, data: c.TransferFailed) -> Change:
    return _transfer(state, data.transfer_id, stage=TransferStage.FAILED, outcome=data.outcome)


def _cancelled(state: CallState, _event: AnyEvent, data: c.TransferCancelled) -> Change:
    return _transfer(state, data.transfer_id, stage=TransferStage.CANCELLED, outcome=data.cause)


def _completed(state: CallState, _event: AnyEvent, data: c.TransferCompleted) -> Change:
    return _transfer(state, data.transfer_id, stage=TransferStage.COMPLETED)


def _utterance(state: CallState, utterance_id: str, **update: Any) -> Change:
    return {
        "utterances": tuple(
            one.model_copy(update=update) if one.utterance_id == utterance_id else one for one in state.utterances
        )
    }


def _transfer(state: CallState, transfer_id: str, **update: Any) -> Change:
    return {
        "transfers": tuple(
            one.model_copy(update=update) if one.transfer_id == transfer_id else one for one in state.transfers
        )
    }


_CHANGES: dict[type, Callable[[CallState, AnyEvent, Any], Change]] = {
    c.CallStarted: _started,
    c.CallEnded: _ended,
    c.LegJoined: _leg_joined,
    c.LegLeft: _leg_left,
    c.AgentActivated: _activated,
    c.AgentHandedOff: _handed_off,
    c.ToolCalled: _tool,
    c.UsageRecorded: _usage,
    c.UtteranceStarted: _speaking,
    c.UtteranceEnded: _spoken,
    c.UtteranceCompleted: _said,
    c.UtteranceDiscarded: _discarded,
    c.TransferRequested: _requested,
    c.TransferDialing: _dialing,
    c.TransferRinging: _ringing,
    c.TransferAttemptFailed: _attempt_failed,
    c.TransferConnected: _connected,
    c.TransferFailed: _failed,
    c.TransferCancelled: _cancelled,
    c.TransferCompleted: _completed,
}
