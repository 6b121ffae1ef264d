"""The demo's and the end-to-end tests' verdict must notice a bad call, or it proves nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from call_events import catalogue as c
from call_events.envelope import Event, EventData
from call_events.ids import CallId, EventId
from call_events.ports import AnyEvent
from standins.demo import verdict
from standins.demo.verdict import Delivery

CALL = CallId("call-1")
START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def event(seq: int, data: EventData) -> AnyEvent:
    return Event[EventData](data=data, call=CALL, producer="test", id=EventId(f"e{seq}"), time=at(seq), seq=seq)


def speaker(role: c.Role) -> c.Speaker:
    return c.Speaker(role=role, name=str(role), identity=f"leg-{role}")


def said(seq: int, role: c.Role, text: str) -> list[AnyEvent]:
    who, name = speaker(role), f"u{seq}"
    return [
        event(seq, c.UtteranceStarted(utterance_id=name, speaker=who, started_at=at(seq))),
        event(
            seq + 1,
            c.UtteranceCompleted(utterance_id=name, speaker=who, text=text, started_at=at(seq), ended_at=at(seq + 1)),
        ),
    ]


CALL_EVENTS: Sequence[AnyEvent] = (
    event(
        1,
        c.CallStarted(
            room=CALL,
            direction="inbound",
            customer=c.Customer(identity="sip_1"),
            profile="p",
            profile_hash="h",
            language="en",
            worker="w",
        ),
    ),
    *said(2, c.Role.CUSTOMER, "one"),
    event(
        4,
        c.TransferRequested(transfer_id="t", destination="desk", reason="r", summary="s", agent="billing"),
    ),
    *said(5, c.Role.CUSTOMER, "two"),
    event(
        7,
        c.TransferConnected(
            transfer_id="t", attempt=1, dial_id="d", destination="desk", human=c.Human(identity="h", name="Maria")
        ),
    ),
    event(8, c.CallEnded(ended_by=c.EndedBy.CUSTOMER, cause="CLIENT_INITIATED", duration_ms=1)),
)


def delivery(
    seq: int, text: str = "note", *, second: float = 100, late: bool = False, id_: str | None = None
) -> Delivery:
    return Delivery(id=id_ or f"m{seq}", seq=seq, at=at(second + seq), sender="BOT", text=text, late=late)


GOOD = (delivery(1), delivery(2, "one"), delivery(4), delivery(5, "two"), delivery(7), delivery(8))


def test_a_good_call_is_good() -> None:
    findings = [
        verdict.numbers_have_no_gap(CALL_EVENTS),
        verdict.every_utterance_is_settled(CALL_EVENTS),
        verdict.said_is_logged(CALL_EVENTS, c.Role.CUSTOMER, ["one", "two"]),
        verdict.delivered_in_order(GOOD),
        verdict.delivered_completely(CALL_EVENTS, GOOD),
        verdict.held_while_open(CALL_EVENTS, GOOD),
        verdict.happened(CALL_EVENTS, "a transfer", c.TransferRequested, c.TransferConnected),
        verdict.heard_in_order("customer", ["a", None, "b", "c"], ["a", "c"]),
    ]
    assert [f.promise for f in findings if not f.holds] == []


@pytest.mark.parametrize("missing", range(1, 9))
def test_a_missing_number_is_noticed(missing: int) -> None:
    assert not verdict.numbers_have_no_gap([e for e in CALL_EVENTS if e.seq != missing]).holds


def test_a_repeated_id_is_noticed() -> None:
    twin = CALL_EVENTS[2].model_copy(update={"id": CALL_EVENTS[1].id})
    assert not verdict.numbers_have_no_gap([*CALL_EVENTS[:2], twin, *CALL_EVENTS[3:]]).holds


def test_an_utterance_without_text_is_noticed() -> None:
    assert not verdict.every_utterance_is_settled([e for e in CALL_EVENTS if e.seq != 3]).holds


@pytest.mark.parametrize("logged", [["one"], ["two", "one"], ["one", "two", "three"]])
def test_speech_that_is_not_what_was_said_is_noticed(logged: list[str]) -> None:
    assert not verdict.said_is_logged(CALL_EVENTS, c.Role.CUSTOMER, logged).holds


def test_an_inversion_and_a_double_are_noticed_but_a_late_text_is_not_an_inversion() -> None:
    assert not verdict.delivered_in_order([GOOD[1], GOOD[0]]).holds
    assert not verdict.delivered_in_order([GOOD[0], delivery(2, id_="m1")]).holds
    assert verdict.delivered_in_order([GOOD[0], GOOD[2], delivery(2, "one", late=True)]).holds


@pytest.mark.parametrize("gap", [0, 1, 3, 4, 5])
def test_a_message_that_ccm_never_got_is_noticed(gap: int) -> None:
    assert not verdict.delivered_completely(CALL_EVENTS, [d for i, d in enumerate(GOOD) if i != gap]).holds


def test_a_message_that_leaked_through_the_hold_is_noticed() -> None:
    leak = delivery(5, "two", second=0)
    assert not verdict.held_while_open(CALL_EVENTS, [*GOOD[:3], leak, *GOOD[4:]]).holds


def test_a_transfer_without_an_outcome_is_noticed() -> None:
    assert not verdict.held_while_open([e for e in CALL_EVENTS if e.seq != 7], GOOD).holds


@pytest.mark.parametrize(("seconds", "holds"), [(0.0, True), (0.5, True), (0.7, False), (None, False)])
def test_an_ai_that_speaks_on_is_noticed(seconds: float | None, holds: bool) -> None:
    assert verdict.ai_fell_silent(seconds, within_s=0.6).holds is holds


@pytest.mark.parametrize(
    ("text", "seconds", "holds"),
    [
        ("One two three four five six.", 3.0, True),
        ("One two three", 1.5, True),
        ("One two three four five six.", 1.5, False),
        ("Something else", 3.0, False),
    ],
)
def test_a_cut_sentence_that_is_told_whole_is_noticed(text: str, seconds: float, holds: bool) -> None:
    said = c.UtteranceCompleted(
        utterance_id="a",
        speaker=speaker(c.Role.AI),
        text=text,
        interrupted=True,
        started_at=at(0),
        ended_at=at(seconds),
    )
    assert verdict.told_as_heard([event(1, said)], {"One two three four five six.": 3.0}).holds is holds


def test_phrases_heard_in_the_wrong_order_are_noticed() -> None:
    assert not verdict.heard_in_order("customer", ["c", "a"], ["a", "c"]).holds
