"""What can go wrong when a person is brought into a call.

    OrchestratorError
    ├── IllegalMove          our mistake or a foreign writer's: an event that cannot follow from this phase
    ├── BadDestinations      the destinations file cannot be used; the text names file, line, field and mend
    ├── DialRefused          the dial ended without an answer and the exchange said how
    ├── LogLost              the log of a call in hand is gone, or shorter than it was
    └── ExchangeUnreachable  LiveKit did not answer; what became of the request is not known; `retry` is true

A phone that is busy is not an error of this program: `DialRefused` carries what was said and
:mod:`transfer_orchestrator.domain.outcome` gives it its name.
"""

from typing import ClassVar


class OrchestratorError(Exception):
    """Base of everything this package raises on purpose."""

    retry: ClassVar[bool] = False


class IllegalMove(OrchestratorError):
    """This event cannot follow in this phase of a transfer; nothing was changed."""


class BadDestinations(OrchestratorError):
    """The destinations file cannot be used."""


class DialRefused(OrchestratorError):
    """The dial ended without an answer, and this is what the exchange said."""

    def __init__(self, code: str, *, sip_status: int | None = None, sip_text: str = "", message: str = "") -> None:
        """Keep what LiveKit said, as it said it.

        Args:
            code: Twirp code, e.g. ``resource_exhausted``.
            sip_status: the callee's final status, if a callee spoke.
            sip_text: the reason phrase that came with it.
            message: LiveKit's own words. May hold addresses: never logged as it is.
        """
        super().__init__(f"the dial was refused ({code}, SIP {sip_status})")
        self.code = code
        self.sip_status = sip_status
        self.sip_text = sip_text
        self.message = message


class LogLost(OrchestratorError):
    """The log of a call in hand is gone, or shorter than it was: Redis was emptied, or replaced by an older copy."""


class ExchangeUnreachable(OrchestratorError):
    """LiveKit could not be reached or did not answer in time."""

    retry: ClassVar[bool] = True
