"""The executed dial table of livekit-sip (livekit-server v1.13.5), row by row."""

import pytest

from call_events.catalogue import DialOutcome
from transfer_orchestrator.domain.outcome import LegStatus, classify, says_how_it_ended, vanished
from transfer_orchestrator.errors import DialRefused

RINGING, DIALING = LegStatus.RINGING, LegStatus.DIALING
P = "twirp error unknown: "


def said(code: str, status: int | None, message: str = "") -> DialRefused:
    return DialRefused(code, sip_status=status, sip_text="As Told" if status else "", message=P + message)


@pytest.mark.parametrize(
    ("refused", "last", "outcome"),
    [
        (said("resource_exhausted", 486), RINGING, DialOutcome.BUSY),
        (said("resource_exhausted", 600), RINGING, DialOutcome.BUSY),
        (said("resource_exhausted", 480), RINGING, DialOutcome.UNAVAILABLE),
        (said("permission_denied", 603), RINGING, DialOutcome.DECLINED),
        (said("permission_denied", 403), RINGING, DialOutcome.REJECTED),
        (said("permission_denied", 607), RINGING, DialOutcome.DECLINED),
        (said("permission_denied", 608), RINGING, DialOutcome.REJECTED),
        (said("not_found", 404), RINGING, DialOutcome.NOT_FOUND),
        (said("not_found", 410), RINGING, DialOutcome.NOT_FOUND),
        (said("not_found", 604), None, DialOutcome.NOT_FOUND),
        (said("deadline_exceeded", 408), RINGING, DialOutcome.NO_ANSWER),
        (said("aborted", 487), RINGING, DialOutcome.NO_ANSWER),
        (said("invalid_argument", 488), RINGING, DialOutcome.REJECTED),
        (said("invalid_argument", 400), None, DialOutcome.REJECTED),
        (said("not_found", 302), RINGING, DialOutcome.UNAVAILABLE),
        (said("failed_precondition", 500), RINGING, DialOutcome.UNAVAILABLE),
        (said("failed_precondition", 503), RINGING, DialOutcome.UNAVAILABLE),
        (said("deadline_exceeded", 504), RINGING, DialOutcome.UNREACHABLE),
        (
            said("failed_precondition", None, "server required auth, but no username or password was provided"),
            RINGING,
            DialOutcome.MISCONFIGURED,
        ),
        (said("failed_precondition", None, "max auth retry attempts reached"), RINGING, DialOutcome.MISCONFIGURED),
        (said("canceled", None, "sip request timed out"), RINGING, DialOutcome.NO_ANSWER),
        (said("canceled", None, "sip request timed out"), DIALING, DialOutcome.UNREACHABLE),
        (said("canceled", None, "sip request timed out"), None, DialOutcome.UNREACHABLE),
        (
            said("canceled", None, "transaction failed to complete (0 intermediate responses)"),
            DIALING,
            DialOutcome.UNREACHABLE,
        ),
        (
            said("failed_precondition", None, "transport<TCP> dial err=dial tcp 127.0.0.1:9: connection refused"),
            DIALING,
            DialOutcome.UNREACHABLE,
        ),
        (said("failed_precondition", None, "no common codec"), RINGING, DialOutcome.REJECTED),
        (said("invalid_argument", None, "lookup pbx: no such host"), DIALING, DialOutcome.UNREACHABLE),
        (said("invalid_argument", None, "missing room name"), None, DialOutcome.MISCONFIGURED),
        (said("not_found", None, "requested sip trunk does not exist"), None, DialOutcome.MISCONFIGURED),
        (said("unavailable", None, "no response from servers"), None, DialOutcome.OVERLOADED),
        (said("unavailable", None, "cpu exhausted"), None, DialOutcome.OVERLOADED),
        (said("deadline_exceeded", None, "request timed out"), RINGING, DialOutcome.NO_ANSWER),
        (said("unauthenticated", None, "permissions denied"), None, DialOutcome.MISCONFIGURED),
        (said("internal", None, "update room failed"), None, DialOutcome.UNAVAILABLE),
        (said("something_new", None), None, DialOutcome.UNAVAILABLE),
    ],
    ids=lambda value: f"{value.code}-{value.sip_status}" if isinstance(value, DialRefused) else str(value),
)
def test_each_row_of_the_dial_table_has_its_outcome(
    refused: DialRefused, last: LegStatus | None, outcome: DialOutcome
) -> None:
    verdict = classify(refused, last=last, hide=())
    assert verdict.outcome is outcome
    assert verdict.sip_status == refused.sip_status


def test_the_evidence_tells_status_leg_and_code_and_no_number() -> None:
    refused = DialRefused(
        "resource_exhausted", sip_status=486, sip_text="Busy +15550001111", message="to +15550001111\r\nX"
    )
    evidence = classify(refused, last=RINGING, hide=()).evidence
    assert "SIP 486 Busy" in evidence
    assert "last call status ringing" in evidence
    assert "resource_exhausted" in evidence
    assert "5550001111" not in evidence
    assert evidence.isprintable()


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("INVITE to 7001 failed", "INVITE to # failed"),
        ("INVITE sip:7001@pbx.example failed", "INVITE # failed"),
        ("dial <sip:7001@10.0.0.7:5060;transport=tcp>", "dial #"),
        ("no route for 7001@pbx", "no route for #"),
        ("callee +7001 and 7001.", "callee # and #."),
        ("caller 100 is unknown", "caller # is unknown"),
        ("from +1 (555) 000-1111", "from #"),
        ("from 555 000 1111 to 20 s", "from # to 20 s"),
        ("try 17001 or a7001b", "try 17001 or a7001b"),
        ("sip request timed out after 20 s, code 486", "sip request timed out after 20 s, code 486"),
    ],
)
def test_no_number_of_this_dial_is_in_the_evidence(words: str, kept: str) -> None:
    """A short extension looks like any other number: it is hidden because it is the one that was dialled."""
    refused = DialRefused("resource_exhausted", sip_status=486, sip_text=words, message=words)
    evidence = classify(refused, last=RINGING, hide=("7001", "100")).evidence
    assert evidence == f"SIP 486 {kept}; last call status ringing; API resource_exhausted: {kept}"


@pytest.mark.parametrize(
    ("refused", "rang_for_s", "believed"),
    [
        (said("canceled", None), 4.0, True),
        (said("canceled", None), 1.0, False),
        (said("resource_exhausted", 486), 0.7, True),
        (said("unavailable", None), 1.0, True),
    ],
)
def test_canceled_before_the_ringing_time_is_over_says_only_that_somebody_removed_the_leg(
    refused: DialRefused, rang_for_s: float, believed: bool
) -> None:
    assert says_how_it_ended(refused, rang_for_s=rang_for_s, ring_seconds=4) is believed


@pytest.mark.parametrize(
    ("rang", "rang_out", "outcome"),
    [
        (False, False, DialOutcome.UNREACHABLE),
        (False, True, DialOutcome.UNREACHABLE),
        (True, False, DialOutcome.UNAVAILABLE),
        (True, True, DialOutcome.NO_ANSWER),
    ],
)
def test_a_leg_that_vanished_unexplained_is_named_by_what_was_seen(
    rang: bool, rang_out: bool, outcome: DialOutcome
) -> None:
    verdict = vanished(last=None, rang=rang, rang_out=rang_out, why="the leg was gone")
    assert (verdict.outcome, verdict.sip_status) == (outcome, None)
    assert verdict.evidence == "the leg was gone; last call status not seen"
