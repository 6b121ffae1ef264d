"""The dial matrix is data; it must agree with LiveKit's own mapping and stay total."""

import base64

import pytest
from google.protobuf.any_pb2 import Any
from livekit import rtc
from livekit.protocol import sip as proto

from standins.exchange import outcomes

Reason = rtc.DisconnectReason


def test_a_refusal_carries_the_sip_status_in_its_metadata_and_in_its_details() -> None:
    failure = outcomes.refused(486)
    assert failure.error.metadata["sip_status_code"] == "486"
    assert failure.error.metadata["sip_status"] == "Busy Here"
    # What livekit-server v1.13.5 with livekit-sip v1.11.0 answered to a 486: {code, message, [SIPStatus]}.
    assert failure.error.metadata["error_details"] == (
        "CAgSKUlOVklURSBmYWlsZWQ6IHNpcCBzdGF0dXM6IDQ4NjogQnVzeSBIZXJlGjcKJXR5cGUuZ29vZ2xlYXBpcy5jb20vbGl2ZWtpdC5T"
        "SVBTdGF0dXMSDgjmAxIJQnVzeSBIZXJl"
    )
    details = base64.b64decode(failure.error.metadata["error_details"])
    packed = Any.FromString(details[-0x37:])
    status = proto.SIPStatus()
    assert packed.Unpack(status)
    assert (int(status.code), status.status) == (486, "Busy Here")


@pytest.mark.parametrize(
    "status", [*range(300, 306), 380, *range(400, 417), 480, 481, 482, 488, *range(500, 506), 600, 603]
)
def test_every_final_status_has_a_code_with_an_http_status_and_a_reason_that_the_server_lets_through(
    status: int,
) -> None:
    failure = outcomes.refused(status)
    assert 400 <= failure.error.http_status < 600
    assert failure.reason in {Reason.USER_REJECTED, Reason.USER_UNAVAILABLE, Reason.CLIENT_INITIATED}


def test_an_error_body_has_no_metadata_where_there_was_no_sip_status() -> None:
    assert outcomes.timed_out().error.document() == {
        "code": "canceled",
        "msg": "twirp error unknown: sip request timed out",
    }


def test_the_two_silences_differ_only_in_their_text() -> None:
    assert outcomes.timed_out().error.code == outcomes.no_response().error.code == "canceled"
    assert outcomes.timed_out().error.message != outcomes.no_response().error.message
