"""What an answer means, when to try again, and when to leave CCM alone."""

from datetime import timedelta

import pytest

from call_events.ids import CallId
from call_events.testing import START
from ccm_bridge.domain.breaker import Breaker
from ccm_bridge.domain.retry import Backoff, NoAnswer, Reaction, Reply, react


@pytest.mark.parametrize(
    ("statuses", "reaction"),
    [
        ([200, 201, 202, 204], Reaction.DELIVERED),
        ([400, 409, 413, 422], Reaction.REFUSED),
        ([301, 401, 403, 404, 405], Reaction.MISCONFIGURED),
        ([408, 425, 429, 500, 502, 503, 504, *NoAnswer], Reaction.AGAIN),
    ],
)
def test_the_status_decides(statuses: list[int | NoAnswer], reaction: Reaction) -> None:
    assert {react(Reply(status)) for status in statuses} == {reaction}


def test_delays_grow_stay_bounded_and_are_the_same_for_the_same_message() -> None:
    backoff = Backoff()
    delays = [backoff.delay(Reply(503), attempt, "m1") for attempt in range(1, 30)]
    assert delays == [backoff.delay(Reply(503), attempt, "m1") for attempt in range(1, 30)]
    assert delays != [backoff.delay(Reply(503), attempt, "m2") for attempt in range(1, 30)]
    for attempt, delay in enumerate(delays, 1):
        whole = min(timedelta(seconds=15), timedelta(milliseconds=250) * 2 ** (attempt - 1))
        assert whole / 2 <= delay <= whole


def test_retry_after_is_honoured_within_reason() -> None:
    backoff = Backoff()
    assert backoff.delay(Reply(429, retry_after_s=42), 1, "m") == timedelta(seconds=42)
    assert backoff.delay(Reply(503, retry_after_s=1e6), 1, "m") == timedelta(minutes=5)
    assert backoff.delay(Reply(503, retry_after_s=0), 1, "m") > timedelta(0)


def test_a_wrong_configuration_is_asked_about_slowly() -> None:
    assert Backoff().delay(Reply(403), 1, "m") >= timedelta(seconds=30)


A, B, C, D = (CallId(name) for name in "abcd")


def opened() -> Breaker:
    breaker = Breaker()
    for call in (A, B, C):
        breaker = breaker.failed(call, START)
    return breaker


def test_one_failing_call_never_opens_the_breaker() -> None:
    breaker = Breaker()
    for _ in range(50):
        breaker = breaker.failed(A, START)
    assert breaker.admit(B, START) == (breaker, None)


def test_a_success_in_between_keeps_it_closed() -> None:
    breaker = Breaker().failed(A, START).failed(B, START).succeeded().failed(C, START)
    assert not breaker.is_open


def test_three_calls_in_a_row_open_it_and_the_others_are_put_off() -> None:
    breaker = opened()
    assert breaker.is_open
    _, put_off = breaker.admit(D, START)
    assert put_off is not None
    assert START < put_off <= START + timedelta(seconds=1)


def test_one_call_at_a_time_asks_and_a_success_closes_it() -> None:
    breaker = opened()
    then = START + timedelta(seconds=0.5)
    breaker, put_off = breaker.admit(D, then)
    assert put_off is None
    assert breaker.admit(A, then)[1] is not None
    assert breaker.succeeded().admit(A, then)[1] is None


def test_pauses_grow_with_failed_probes_only() -> None:
    breaker = opened()
    assert breaker.failed(D, START) == breaker, "it was on its way before"
    now = START
    pauses = []
    for _ in range(8):
        assert breaker.until is not None
        pauses.append((breaker.until - now).total_seconds())
        now = breaker.until
        breaker = breaker.admit(D, now)[0].failed(D, now)
    assert pauses == [0.5, 1, 2, 4, 8, 15, 15, 15]


def test_a_probe_that_never_comes_back_is_forgotten() -> None:
    breaker = opened()
    breaker, _ = breaker.admit(D, START + timedelta(seconds=1))
    assert breaker.admit(A, START + timedelta(seconds=22))[1] is None
