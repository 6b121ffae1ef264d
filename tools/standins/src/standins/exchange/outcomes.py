"""How a dialled phone can end a dial, as data.

The rows are what livekit-server v1.13.5 with livekit-sip v1.11.0 was seen to do: the error's code and HTTP status, what
an observer in the room sees as the leg's disconnect reason, and whether the SIP status travels in the error's metadata.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

from google.protobuf.any_pb2 import Any as AnyMessage
from livekit import rtc
from livekit.protocol import sip as proto

Reason = rtc.DisconnectReason

#: What livekit-server says is the cause before the text of every error that came over its message bus.
_PREFIX = "twirp error unknown: "


class TwirpError(Exception):
    """An error of the API as it goes over the wire."""

    def __init__(self, code: str, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.metadata = dict(metadata or {})

    @property
    def http_status(self) -> int:
        """The HTTP status that Twirp gives this code."""
        return _HTTP_STATUS[self.code]

    def document(self) -> dict[str, object]:
        """The JSON body; errors are JSON even where the request was protobuf."""
        body: dict[str, object] = {"code": self.code, "msg": self.message}
        if self.metadata:
            body["meta"] = self.metadata
        return body


_HTTP_STATUS: Mapping[str, int] = {
    "canceled": HTTPStatus.REQUEST_TIMEOUT,
    "unknown": HTTPStatus.INTERNAL_SERVER_ERROR,
    "invalid_argument": HTTPStatus.BAD_REQUEST,
    "malformed": HTTPStatus.BAD_REQUEST,
    "deadline_exceeded": HTTPStatus.REQUEST_TIMEOUT,
    "not_found": HTTPStatus.NOT_FOUND,
    "bad_route": HTTPStatus.NOT_FOUND,
    "already_exists": HTTPStatus.CONFLICT,
    "permission_denied": HTTPStatus.FORBIDDEN,
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "resource_exhausted": HTTPStatus.TOO_MANY_REQUESTS,
    "failed_precondition": HTTPStatus.PRECONDITION_FAILED,
    "aborted": HTTPStatus.CONFLICT,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}

_PHRASES: Mapping[int, str] = {
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    410: "Gone",
    480: "Temporarily Unavailable",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    503: "Service Unavailable",
    600: "Busy Everywhere",
    603: "Decline",
}

_CODES: Mapping[int, str] = {
    301: "not_found",
    302: "not_found",
    402: "permission_denied",
    403: "permission_denied",
    404: "not_found",
    408: "deadline_exceeded",
    410: "not_found",
    480: "resource_exhausted",
    481: "not_found",
    482: "failed_precondition",
    486: "resource_exhausted",
    487: "aborted",
    491: "aborted",
    504: "deadline_exceeded",
    600: "resource_exhausted",
    603: "permission_denied",
    604: "not_found",
    607: "permission_denied",
    608: "permission_denied",
}

_REASONS: Mapping[int, Reason.ValueType] = {
    404: Reason.USER_UNAVAILABLE,
    408: Reason.USER_UNAVAILABLE,
    480: Reason.USER_UNAVAILABLE,
}


def phrase_of(status: int) -> str:
    """The SIP reason phrase of a final response."""
    return _PHRASES.get(status, "")


def code_of(status: int) -> str:
    """The API's error code for a final SIP response."""
    if status in _CODES:
        return _CODES[status]
    return "failed_precondition" if 500 <= status < 600 else "invalid_argument"


def reason_of(status: int) -> Reason.ValueType:
    """Why the leg leaves, as the room sees it: redirects and server faults look like an ordinary end."""
    if status in _REASONS:
        return _REASONS[status]
    return Reason.USER_REJECTED if 400 <= status < 500 or status >= 600 else Reason.CLIENT_INITIATED


@dataclass(frozen=True)
class DialFailure:
    """Why a dial came to nothing: the API's error and the leg's reason for leaving."""

    error: TwirpError
    reason: Reason.ValueType


#: These say "INVITE failed"; every other final response is called unexpected.
_EXPECTED = frozenset({400, 404, 480, 486, 488})

#: gRPC's numbers of the codes that a SIP status can become.
_GRPC_NUMBERS: Mapping[str, int] = {
    "unknown": 2,
    "invalid_argument": 3,
    "deadline_exceeded": 4,
    "not_found": 5,
    "permission_denied": 7,
    "resource_exhausted": 8,
    "failed_precondition": 9,
    "aborted": 10,
}


def refused(status: int, phrase: str = "", *, doing: str = "") -> DialFailure:
    """The phone answered with a final SIP response."""
    phrase = phrase or phrase_of(status)
    if status in {401, 407}:  # the trunk has no credentials for whoever asks for them
        text = f"{_PREFIX}sip server required auth, but no username or password was provided"
        return DialFailure(TwirpError("failed_precondition", text), Reason.USER_REJECTED)
    doing = doing or ("INVITE failed" if status in _EXPECTED else "unexpected status from INVITE response")
    code, text = code_of(status), f"{doing}: sip status: {status}: {phrase}"
    metadata = {
        "sip_status_code": str(status),
        "sip_status": phrase or str(status),
        "error_details": base64.b64encode(_rpc_status(code, text, status, phrase)).decode(),
    }
    return DialFailure(TwirpError(code, _PREFIX + text, metadata), reason_of(status))


def _rpc_status(code: str, text: str, status: int, phrase: str) -> bytes:
    """A serialised google.rpc.Status {1: code, 2: message, 3: details}, without the package that defines it."""
    detail = AnyMessage()
    # Any number may travel in an open enum, also one without a name.
    detail.Pack(proto.SIPStatus(code=cast("proto.SIPStatusCode", status), status=phrase))
    return b"\x08" + _varint(_GRPC_NUMBERS[code]) + _field(2, text.encode()) + _field(3, detail.SerializeToString())


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def timed_out() -> DialFailure:
    """Nobody picked up within ringing_timeout; also what a dial says whose leg was removed meanwhile."""
    return DialFailure(TwirpError("canceled", f"{_PREFIX}sip request timed out"), Reason.USER_UNAVAILABLE)


def no_response() -> DialFailure:
    """SIP's own timer (32 s) ran out before anything answered."""
    text = f"{_PREFIX}transaction failed to complete (0 intermediate responses)"
    return DialFailure(TwirpError("canceled", text), Reason.USER_UNAVAILABLE)


def connection_refused(address: str) -> DialFailure:
    """Nothing listens at the trunk's address (TCP)."""
    text = f"{_PREFIX}transport<TCP> dial err=dial tcp {address}: connect: connection refused"
    return DialFailure(TwirpError("failed_precondition", text), Reason.CLIENT_INITIATED)


def bus_deadline() -> DialFailure:
    """The server's own deadline for a dial that waits for the answer (80 s)."""
    return DialFailure(TwirpError("deadline_exceeded", f"{_PREFIX}request timed out"), Reason.USER_UNAVAILABLE)
