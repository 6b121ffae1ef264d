"""What an answer means, and when to try again."""

from datetime import timedelta

import pytest

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
