"""A destination: a named place to transfer to, as an ordered ladder of phones. The allowlist is the set of these."""

from collections.abc import Mapping
from dataclasses import dataclass

#: Seconds the phones of one destination may ring, all together. While they do, the bridge holds the call's messages,
#: but no longer than its CCM_BRIDGE_HOLD_S (120): the ladder must be over before, with the seconds that each dial takes
#: besides its ringing. Who raises this must raise that.
LONGEST_LADDER_S = 100


@dataclass(frozen=True, slots=True)
class Target:
    """One phone on the ladder."""

    #: Name in logs and events; never the number.
    name: str
    #: Number or SIP user, without host.
    number: str
    ring_seconds: int
    #: Who answers there, for people to read.
    human_name: str


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a transfer may go. Hours and limits find their place here beside the ladder."""

    key: str
    #: For people to read, e.g. ``Billing desk``.
    name: str
    #: Tried in this order, one at a time; together they ring no longer than ``LONGEST_LADDER_S``.
    targets: tuple[Target, ...]


Destinations = Mapping[str, Destination]
