"""What a peer's event is: as many bytes of JSON as one of Callweave's."""

import json

#: Fills an event up to about 530 bytes.
TEXT = "Could you tell me what the last invoice was about, please? ".ljust(450, ".")


def event(call: int, seq: int, appended: float) -> dict[str, object]:
    """As an object."""
    return {"call": call, "seq": seq, "appended": appended, "text": TEXT}


def payload(call: int, seq: int, appended: float) -> bytes:
    """As JSON."""
    return json.dumps(event(call, seq, appended)).encode()


def unpacked(raw: bytes) -> tuple[int, int, float]:
    """Call, number and time of a :func:`payload`."""
    found = json.loads(raw)
    return found["call"], found["seq"], found["appended"]
