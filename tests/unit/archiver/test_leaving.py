"""Calls leave Redis soon after they were sealed, or by the sweep; what stays is counted."""

from datetime import timedelta

import pytest
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from archiver.handlers.leaving import Departures
from archiver.ports import Going
from call_events.errors import LogUnavailable
from call_events.ids import CallId
from call_events.testing import ManualClock
from unit.archiver.fakes import FakeCalls, FakeGauges

ONE, TWO, THREE = CallId("call-1"), CallId("call-2"), CallId("call-3")


async def test_a_call_is_tried_until_its_commit_has_come() -> None:
    calls, gauges = FakeCalls(going={ONE: Going.WAITS}), FakeGauges()
    departures = Departures(calls, gauges, ManualClock())
    departures.soon(ONE)
    await departures.follow_up()
    assert gauges.told == []

    calls.going[ONE] = Going.GONE
    await departures.follow_up()
    await departures.follow_up()
    assert gauges.told == ["let go"]


async def test_redis_being_away_loses_none() -> None:
    calls, gauges = FakeCalls(going={ONE: Going.GONE}, away=True), FakeGauges()
    departures = Departures(calls, gauges, ManualClock())
    departures.soon(ONE)
    with pytest.raises(LogUnavailable):
        await departures.follow_up()
    calls.away = False
    await departures.follow_up()
    assert gauges.told == ["let go"]


async def test_what_does_not_go_is_left_to_the_sweep_which_counts_what_stays() -> None:
    clock = ManualClock()
    calls = FakeCalls(going={ONE: Going.WAITS, TWO: Going.OPEN, THREE: Going.GONE})
    calls.ended_at = clock.now() - timedelta(hours=1)
    gauges = FakeGauges()
    departures = Departures(calls, gauges, clock)
    departures.soon(ONE)
    for _ in range(9):
        await departures.follow_up()

    with capture_logs() as lines:
        await departures.sweep()

    assert gauges.told == ["let go"]
    assert gauges.left == (1, 1, 3600.0)
    (line,) = [line for line in lines if line["event"] == "archive.calls_stay_in_redis"]
    assert (line["calls"], line["oldest"], line["groups"]) == (1, ONE, ["ccm"])
    assert "ARCHIVER_GROUPS" in line["mend"]


async def test_one_call_that_cannot_be_looked_at_keeps_no_other_here(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, gauges = FakeCalls(going={ONE: Going.WAITS, TWO: Going.GONE}), FakeGauges()
    departures = Departures(calls, gauges, ManualClock())
    let_go = calls.let_go

    async def bad(call: CallId) -> Going:
        if call == ONE:
            raise ResponseError("WRONGTYPE")
        return await let_go(call)

    monkeypatch.setattr(calls, "let_go", bad)
    departures.soon(ONE)
    departures.soon(TWO)
    with capture_logs() as lines:
        await departures.follow_up()
        await departures.sweep()
        await departures.sweep()
    assert gauges.told == ["let go"] * 3, "of TWO, which the fake has for ever"
    told = [line for line in lines if line["event"] == "archive.cannot_look_at_call"]
    assert [(line["call"], line["error"]) for line in told] == [(ONE, "ResponseError")]


@pytest.mark.parametrize("question", ["last_at", "waits_for"])
async def test_a_call_whose_waiting_cannot_be_looked_at_ends_no_sweep(
    monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    clock, gauges = ManualClock(), FakeGauges()
    calls = FakeCalls(going={ONE: Going.WAITS, TWO: Going.GONE}, ended_at=clock.now() - timedelta(hours=1))

    async def bad(_: CallId) -> None:
        raise ResponseError("WRONGTYPE")

    monkeypatch.setattr(calls, question, bad)
    with capture_logs() as lines:
        await Departures(calls, gauges, clock).sweep()
    assert (gauges.told, gauges.left and gauges.left[:2]) == (["let go"], (0, 1))
    assert [line["call"] for line in lines if line["event"] == "archive.cannot_look_at_call"] == [ONE]
