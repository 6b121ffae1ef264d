"""What the stand-in got, in order of arrival."""

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Arrival:
    """One request that reached ``/ccm/message/receive``."""

    #: 1, 2, 3 … over all calls.
    number: int
    #: Call id of the message, or empty if none could be read.
    call: str
    #: The message's own id.
    id: str
    raw: bytes
    message: dict[str, Any]
    #: Unix time, seconds.
    at: float = field(default_factory=time.time)
    #: accepted, dropped (taken, but the sender was not told), refused, failed, hung, unauthorised.
    outcome: str = "pending"
    status: int | None = None
    reason: str = ""
    #: This id had been taken before.
    duplicate: bool = False

    @property
    def taken(self) -> bool:
        """CCM has the message, whether or not the sender knows."""
        return self.outcome in {"accepted", "dropped"}

    def as_json(self) -> dict[str, Any]:
        """For the control endpoint."""
        return {
            "number": self.number,
            "call": self.call,
            "id": self.id,
            "at": self.at,
            "outcome": self.outcome,
            "status": self.status,
            "reason": self.reason,
            "duplicate": self.duplicate,
            "message": self.message,
            "raw": self.raw.decode("utf-8", "replace"),
        }


class Record:
    """All arrivals, and how many requests of one call were in flight at once."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        #: call -> most requests in flight at once; must be 1.
        self.max_in_flight: dict[str, int] = defaultdict(int)
        self._in_flight: Counter[str] = Counter()
        self._taken: set[str] = set()

    def begin(self, call: str, message_id: str, raw: bytes, message: dict[str, Any]) -> Arrival:
        """A request has arrived."""
        arrival = Arrival(len(self.arrivals) + 1, call, message_id, raw, message)
        self.arrivals.append(arrival)
        self._in_flight[call] += 1
        self.max_in_flight[call] = max(self.max_in_flight[call], self._in_flight[call])
        return arrival

    def take(self, arrival: Arrival, outcome: str) -> None:
        """The message is CCM's now."""
        arrival.outcome = outcome
        arrival.duplicate = arrival.id in self._taken
        self._taken.add(arrival.id)

    def end(self, arrival: Arrival) -> None:
        """The request is over, answered or not."""
        self._in_flight[arrival.call] -= 1

    def taken(self, call: str | None = None) -> list[Arrival]:
        """What CCM has, repeats included, in order of arrival."""
        return [a for a in self.arrivals if a.taken and call in {None, a.call}]

    def messages(self, call: str | None = None) -> list[dict[str, Any]]:
        """The messages CCM shows: the first of each id."""
        return [a.message for a in self.taken(call) if not a.duplicate]

    def clear(self) -> None:
        """Forget everything but what is in flight."""
        self.arrivals.clear()
        self.max_in_flight.clear()
        self._taken.clear()


def call_of(message: Any) -> str:
    """The call a message says it belongs to, read as forgivingly as possible; empty if it does not say."""
    try:
        for attribute in message["header"]["channelData"]["additionalAttributes"]:
            if attribute["key"] == "callId":
                return str(attribute["value"])
    except (KeyError, TypeError):
        pass
    try:
        return str(message["header"]["providerMessageId"]).partition(":")[0]
    except (KeyError, TypeError):
        return ""
