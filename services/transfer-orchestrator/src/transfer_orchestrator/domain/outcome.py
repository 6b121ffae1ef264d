"""What the exchange said → what it means for the caller: the executed dial table of livekit-sip, as a pure function.

A callee's final status decides where there is one. Without one the Twirp code decides, and ``canceled`` alone tells
nothing: it is said when nobody answered, when nothing was there to answer, and when somebody removed the leg. The first
two are told apart by the last call status that was seen, the third by its coming before the ringing time was over
(:func:`says_how_it_ended`).

Decisions where the table leaves a choice:

* 403 is ``rejected``, not ``declined``: a switch's dialplan refuses so, a person declines with 603 (or 607).
* 3xx is ``unavailable``: the phone has been forwarded, and livekit-sip does not follow redirects.
* 5xx from the callee's side is ``unavailable`` (504, nothing behind the switch answered: ``unreachable``).
  ``overloaded`` is kept for our own side, because there the mend is ours: more SIP nodes.
* ``internal`` (the leg could not join the room) is ``unavailable``.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from call_events.catalogue import DialOutcome
from transfer_orchestrator.errors import DialRefused


class LegStatus(StrEnum):
    """``sip.callStatus`` of a dialled leg."""

    DIALING = "dialing"
    RINGING = "ringing"
    AUTOMATION = "automation"
    ACTIVE = "active"
    HANGUP = "hangup"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an attempt ended, and what says so."""

    outcome: DialOutcome
    sip_status: int | None
    #: For the person on call; holds no number and no address.
    evidence: str


_BY_STATUS: Mapping[int, DialOutcome] = {
    401: DialOutcome.MISCONFIGURED,
    403: DialOutcome.REJECTED,
    404: DialOutcome.NOT_FOUND,
    407: DialOutcome.MISCONFIGURED,
    408: DialOutcome.NO_ANSWER,
    410: DialOutcome.NOT_FOUND,
    480: DialOutcome.UNAVAILABLE,
    484: DialOutcome.NOT_FOUND,
    486: DialOutcome.BUSY,
    487: DialOutcome.NO_ANSWER,
    504: DialOutcome.UNREACHABLE,
    600: DialOutcome.BUSY,
    603: DialOutcome.DECLINED,
    604: DialOutcome.NOT_FOUND,
    607: DialOutcome.DECLINED,
}
_BY_CLASS: Mapping[int, DialOutcome] = {
    3: DialOutcome.UNAVAILABLE,
    4: DialOutcome.REJECTED,
    5: DialOutcome.UNAVAILABLE,
    6: DialOutcome.REJECTED,
}
_BY_CODE: Mapping[str, DialOutcome] = {
    "not_found": DialOutcome.MISCONFIGURED,  # without a SIP status: the trunk does not exist
    "invalid_argument": DialOutcome.MISCONFIGURED,
    "unauthenticated": DialOutcome.MISCONFIGURED,  # the API key lacks the sip.call grant
    "permission_denied": DialOutcome.MISCONFIGURED,
    "unimplemented": DialOutcome.MISCONFIGURED,
    "unavailable": DialOutcome.OVERLOADED,  # "no response from servers", "cpu exhausted"
    "resource_exhausted": DialOutcome.OVERLOADED,
    "internal": DialOutcome.UNAVAILABLE,
    "aborted": DialOutcome.UNAVAILABLE,
}

_AUTH = re.compile(r"\bauth", re.IGNORECASE)
_TRANSPORT = re.compile(r"\bdial err|transport<|refused|no route to host|network is unreachable", re.IGNORECASE)
_NAME = re.compile(r"no such host|\bdns\b|\blookup\b|resolve", re.IGNORECASE)
_ANY = re.compile("")
#: The first row whose code and words fit; LiveKit tells these apart in words only.
_BY_WORDS = (
    ("failed_precondition", _AUTH, DialOutcome.MISCONFIGURED),
    ("failed_precondition", _TRANSPORT, DialOutcome.UNREACHABLE),
    ("failed_precondition", _ANY, DialOutcome.REJECTED),  # e.g. no codec or no encryption in common
    ("invalid_argument", _NAME, DialOutcome.UNREACHABLE),
)
#: Six digits or more, however they are grouped: somebody's number, or a host's address.
_LONG_NUMBER = re.compile(r"\+?\d(?:[ ().-]{0,2}\d){5,}")
_SIP_ADDRESS = re.compile(r"\bsips?:\S+|\S+@\S+", re.IGNORECASE)
#: Stands where a number or an address stood.
_HIDDEN = "#"


def classify(said: DialRefused, *, last: LegStatus | None, hide: Collection[str]) -> Verdict:
    """Name the outcome of a dial that ended by itself (not because we removed its leg).

    Args:
        said: what the API call raised.
        last: the last ``sip.callStatus`` that was seen on the leg; None = the leg was never seen.
        hide: numbers that must not be repeated in the evidence, above all the one that was dialled.
    """
    return Verdict(_outcome(said, rang=last is LegStatus.RINGING), said.sip_status, _evidence(said, last, hide))


def _outcome(said: DialRefused, *, rang: bool) -> DialOutcome:
    if said.sip_status is not None:
        by_class = _BY_CLASS.get(said.sip_status // 100, DialOutcome.UNAVAILABLE)
        return _BY_STATUS.get(said.sip_status, by_class)
    if said.code in ("canceled", "deadline_exceeded"):
        return DialOutcome.NO_ANSWER if rang else DialOutcome.UNREACHABLE
    by_words = (outcome for code, words, outcome in _BY_WORDS if code == said.code and words.search(said.message))
    return next(by_words, _BY_CODE.get(said.code, DialOutcome.UNAVAILABLE))


def says_how_it_ended(said: DialRefused, *, rang_for_s: float, ring_seconds: int) -> bool:
    """Whether this answer may be believed as it is.

    ``canceled`` before the ringing time was over is what LiveKit says when somebody removed the leg or deleted the
    room: the log will tell who, or the leg's absence will.
    """
    return said.code != "canceled" or said.sip_status is not None or rang_for_s >= ring_seconds - 0.5


def vanished(*, last: LegStatus | None, rang: bool, rang_out: bool, why: str) -> Verdict:
    """Name the outcome of a dial whose API call is lost and whose leg is gone: seen by whoever took the dial over.

    Args:
        last: the last call status seen by the observer.
        rang: the phone rang at some time, by the log or the observer.
        rang_out: its ringing time is over.
        why: what the observer saw, for the evidence.
    """
    if not rang:
        outcome = DialOutcome.UNREACHABLE
    elif rang_out:
        outcome = DialOutcome.NO_ANSWER
    else:
        outcome = DialOutcome.UNAVAILABLE
    return Verdict(outcome, None, f"{why}; last call status {last or 'not seen'}")


def _evidence(said: DialRefused, last: LegStatus | None, hide: Collection[str]) -> str:
    status = (
        f"SIP {said.sip_status} {clean(said.sip_text, 60, hide=hide)}".strip() if said.sip_status else "no SIP status"
    )
    words = clean(said.message, 120, hide=hide)
    return f"{status}; last call status {last or 'not seen'}; API {said.code}" + (f": {words}" if words else "")


def clean(text: str, limit: int, *, hide: Collection[str]) -> str:
    """Foreign words as evidence: bounded, printable ASCII, without SIP addresses, long numbers, and what is to hide.

    A short number can only be known by itself: ``7001`` may be an extension, a port, or part of a version.
    """
    printable = "".join(c if 32 <= ord(c) < 127 else " " for c in text)
    line = _SIP_ADDRESS.sub(_HIDDEN, " ".join(printable.split()))
    for own in hide:
        if bare := own.removeprefix("+"):
            line = re.sub(rf"\+?(?<![A-Za-z0-9]){re.escape(bare)}(?![A-Za-z0-9])", _HIDDEN, line, flags=re.IGNORECASE)
    return _LONG_NUMBER.sub(_HIDDEN, line)[:limit]
