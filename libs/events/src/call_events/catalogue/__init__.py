"""THE event catalogue: every fact that can be in a call's log, one subject a module.

Published schemas are not edited. A changed meaning is a new class with the next version, and an upcaster in
``call_events.registry`` lifts the old one on reading.
"""

from call_events.catalogue.agents import AgentActivated, AgentHandedOff, ToolCalled, UsageRecorded
from call_events.catalogue.call import CallEnded, CallStarted, Customer, EndedBy, LegJoined, LegLeft, Role
from call_events.catalogue.speech import (
    DiscardReason,
    Speaker,
    UtteranceCompleted,
    UtteranceDiscarded,
    UtteranceEnded,
    UtteranceStarted,
)
from call_events.catalogue.transfer import (
    AttemptSummary,
    DialOutcome,
    Human,
    TransferAttemptFailed,
    TransferCancelled,
    TransferCompleted,
    TransferConnected,
    TransferDialing,
    TransferFailed,
    TransferRequested,
    TransferRinging,
)

__all__ = [
    "AgentActivated",
    "AgentHandedOff",
    "AttemptSummary",
    "CallEnded",
    "CallStarted",
    "Customer",
    "DialOutcome",
    "DiscardReason",
    "EndedBy",
    "Human",
    "LegJoined",
    "LegLeft",
    "Role",
    "Speaker",
    "ToolCalled",
    "TransferAttemptFailed",
    "TransferCancelled",
    "TransferCompleted",
    "TransferConnected",
    "TransferDialing",
    "TransferFailed",
    "TransferRequested",
    "TransferRinging",
    "UsageRecorded",
    "UtteranceCompleted",
    "UtteranceDiscarded",
    "UtteranceEnded",
    "UtteranceStarted",
]
