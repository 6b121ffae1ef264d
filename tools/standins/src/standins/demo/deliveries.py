"""What the CCM stand-in took, as the verdict wants it."""

from datetime import UTC, datetime

from standins.ccm import Arrival
from standins.demo.verdict import Delivery


def delivery(arrival: Arrival) -> Delivery:
    """One message that CCM took.

    Raises:
        KeyError: it lacks what our bridge always sends.
    """
    header = arrival.message["header"]
    sender = header["sender"]
    return Delivery(
        id=arrival.id,
        seq=int(header["providerMessageId"].rpartition(":")[2]),
        at=datetime.fromtimestamp(arrival.at, UTC),
        sender=f"{sender['type']} {sender.get('senderName', '')}".strip(),
        text=arrival.message["body"].get("markdownText", ""),
        intent=header.get("intent"),
        late=bool(header.get("entities", {}).get("bridge", {}).get("late", False)),
    )
