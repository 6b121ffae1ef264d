"""Which events of a call CCM is told of, each at its place: what a bridge must leave a receipt for.

One rule for two: the bridge's mapping table (``ccm_bridge.domain.conversation``) makes the messages, an auditor asks
whether each of them has a receipt. A test plays calls through the bridge and compares.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from call_events import catalogue as c
from call_events.ports import AnyEvent


class Need(StrEnum):
    """What a group that tells CCM must have done about a place once it has finished it."""

    #: A message was delivered or refused.
    MESSAGE = "message"
    #: Either that, or it was passed over with a reason: nobody said anything, or the text was late.
    RECEIPT = "receipt"
    #: A deployment decides whether there is a message.
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Place:
    """One event that CCM is told of."""

    seq: int
    need: Need
    #: What the receipt calls the message; ``utterance`` stands for its note as well.
    names: tuple[str, ...]
    #: Number of the event that brought the utterance's first text.
    text_at: int | None = None


_SPEECH = ("utterance", "utterance.missing")
_NOTED: Mapping[type, tuple[Need, str]] = {
    c.CallStarted: (Need.OPTIONAL, "call.started"),
    c.AgentHandedOff: (Need.MESSAGE, "handoff"),
    c.TransferRequested: (Need.MESSAGE, "transfer.requested"),
    c.TransferDialing: (Need.MESSAGE, "transfer.dialing"),
    c.TransferConnected: (Need.MESSAGE, "transfer.connected"),
    c.TransferFailed: (Need.MESSAGE, "transfer.failed"),
    c.TransferCancelled: (Need.MESSAGE, "transfer.cancelled"),
    c.CallEnded: (Need.MESSAGE, "call.ended"),
}
#: Messages that stand beside the main one at their place (``CCM_BRIDGE_HUMAN_LEGS``).
LEG_MESSAGES = ("human_leg_started", "human_leg_ended")


def places(events: Iterable[AnyEvent]) -> dict[int, Place]:
    """The events of a call that CCM is told of, by number."""
    told: dict[int, Place] = {}
    started: dict[str, int] = {}
    resolved: set[str] = set()
    completed: set[str] = set()
    for event in events:
        data, seq = event.data, event.seq
        if (noted := _NOTED.get(type(data))) is not None:
            told[seq] = Place(seq, noted[0], (noted[1], *LEG_MESSAGES))
        elif isinstance(data, c.LegLeft) and data.role is c.Role.HUMAN:
            told[seq] = Place(seq, Need.OPTIONAL, LEG_MESSAGES)
        elif isinstance(data, c.UtteranceStarted):
            # One that began again, or whose text came first: what became of its place is told at one of the two.
            need = Need.OPTIONAL if data.utterance_id in completed else Need.RECEIPT
            told[seq] = Place(seq, need, _SPEECH)
            started.setdefault(data.utterance_id, seq)
        elif isinstance(data, c.UtteranceCompleted | c.UtteranceDiscarded):
            _resolve(told, event, data, started=started, resolved=resolved, completed=completed)
    return told


def _resolve(
    told: dict[int, Place],
    event: AnyEvent,
    data: c.UtteranceCompleted | c.UtteranceDiscarded,
    *,
    started: Mapping[str, int],
    resolved: set[str],
    completed: set[str],
) -> None:
    utterance, is_text = data.utterance_id, isinstance(data, c.UtteranceCompleted)
    place = started.get(utterance)
    if place is not None and utterance not in resolved:
        if is_text:
            told[place] = Place(place, told[place].need, _SPEECH, text_at=event.seq)
    elif is_text and utterance not in completed:
        # Without a beginning, or given up and found after all: it stands where it came. The beginning may follow yet.
        told[event.seq] = Place(event.seq, Need.OPTIONAL if place is None else Need.MESSAGE, _SPEECH)
    resolved.add(utterance)
    if is_text:
        completed.add(utterance)
