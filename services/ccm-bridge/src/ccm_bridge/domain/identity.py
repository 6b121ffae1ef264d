"""Which customer and which line a call is shown under.

CCM opens a conversation for a pair (customer, service), and the AI's transcript joins the human's conversation only
if both equal what CCM's own telephony sees. So neither is hard-wired: each is an ordered list of sources, the first
that has a value wins. A withheld number or a missing header therefore never stops a call.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from call_events.catalogue import CallStarted
from call_events.ports import AnyEvent
from ccm_bridge.domain.message import Channel

_SOURCE = re.compile(r"number|customer_id|identity|dialled|profile|call|header:[A-Za-z0-9-]+|=.+")


@dataclass(frozen=True, slots=True)
class Sources:
    """An ordered list of places to take an identifier from.

    ``number`` caller's number, ``customer_id``, ``identity`` of the customer's leg, ``dialled`` number, ``profile``,
    ``call`` id, ``header:X-NAME`` a SIP header, ``=TEXT`` this very text.
    """

    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Sources":
        """Read ``number,header:X-Ani,call``.

        Raises:
            ValueError: a name that is none of the above, or none at all.
        """
        names = tuple(name.strip() for name in text.split(",") if name.strip())
        wrong = [name for name in names if not _SOURCE.fullmatch(name)]
        if wrong or not names:
            raise ValueError(
                "must be a comma-separated list of number, customer_id, identity, dialled, profile, call, header:NAME, "
                "=TEXT" + (f"; not {', '.join(wrong)}" if wrong else "")
            )
        return cls(names)

    def first(self, event: AnyEvent) -> str | None:
        """The first of these that has a value; ``event`` is the call's opening one, known to this release or not."""
        return next((value for name in self.names if (value := _value(name, event))), None)


def _value(name: str, event: AnyEvent) -> str | None:
    if name.startswith("="):
        return name[1:].strip()
    if name == "call":
        return event.call
    started = event.data
    if not isinstance(started, CallStarted):
        return None
    if name.startswith("header:"):
        return started.sip_headers.get(name.removeprefix("header:").lower(), "").strip()
    found = {
        "number": started.customer.number,
        "customer_id": started.customer.customer_id,
        "identity": started.customer.identity,
        "dialled": started.dialled_number,
        "profile": started.profile,
    }[name]
    return (found or "").strip()


def channel(events: Sequence[AnyEvent], *, customer: Sources, service: Sources) -> Channel:
    """The channel of a call from its opening event. The call id stands in where no source has a value."""
    opening = events[0]
    return Channel(
        customer=customer.first(opening) or opening.call,
        service=service.first(opening) or opening.call,
        direction=opening.data.direction if isinstance(opening.data, CallStarted) else None,
    )
