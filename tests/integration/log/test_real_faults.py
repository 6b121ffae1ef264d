"""Processes, connections and the server fail under load: nothing is lost, nothing is reordered.

Real consumer and producer processes, a real server, real signals; small, and with short leases. What proves it are the
books of ``standins.bench.witness``, which not even ``kill -9`` takes back. ``./dev bench faults`` is the same at size.
"""

import signal

import pytest

from call_events.options import ConsumerOptions
from standins.bench import faults
from standins.bench.evidence import Evidence
from standins.bench.faults import FAULTS, Outcome, play
from standins.bench.roles import Work

pytestmark = pytest.mark.xdist_group("bench")  # they start processes by the handful
CALLS, RATE, SECONDS = 40, 400.0, 3.0
#: Long enough that every consumer has something in hand at any moment.
WORK = Work(15, 25)
EVENTS = round(CALLS * RATE * SECONDS / CALLS)


async def outcome_of(name: str, *, lease_s: float = 1.0) -> Outcome:
    return await play(
        FAULTS[name],
        calls=CALLS, rate=RATE, seconds=SECONDS, fault_after_s=1.0,
        lease_s=lease_s, pause_s=2.5, work=WORK, warm_up_s=0.0,
    )  # fmt: skip


def whole(found: Evidence) -> bool:
    return (found.handled, found.lost, found.inversions, found.overlaps) == (EVENTS, 0, 0, 0)


async def test_kill_nine_delays_what_was_in_hand_and_nothing_else() -> None:
    outcome = await outcome_of("SIGKILL")
    assert whole(outcome.evidence), outcome.evidence
    assert outcome.exits == [-signal.SIGKILL, 0, 0]
    assert outcome.evidence.repeated <= CALLS
    assert outcome.counted["repeats"] >= outcome.evidence.repeated > 0, "each is counted by whoever took over"
    assert outcome.counted["stalled"] > 0


async def test_a_worker_that_stood_still_for_longer_than_its_leases_changes_nothing_when_it_goes_on() -> None:
    outcome = await outcome_of("SIGSTOP 8 s")
    assert whole(outcome.evidence), outcome.evidence
    assert outcome.exits == [0, 0, 0]
    assert outcome.counted["lost_leases"] + outcome.counted["fenced"] > 0, "it had something in hand, and gave it up"


async def test_a_worker_that_is_told_to_stop_repeats_nothing_and_the_others_go_on_at_once() -> None:
    """With a long lease: whoever has to wait for it, or for a look for abandoned doorbells, is late by seconds."""
    outcome = await outcome_of("SIGTERM", lease_s=60)
    assert whole(outcome.evidence), outcome.evidence
    assert outcome.exits == [0, 0, 0]
    assert outcome.evidence.repeated == 0
    assert outcome.seconds < ConsumerOptions().stop_budget_s
    assert max(outcome.evidence.delays_ms) < 10_000


async def test_cut_connections_make_nobody_wait_for_a_lease() -> None:
    outcome = await outcome_of("sockets cut", lease_s=60)
    assert whole(outcome.evidence), outcome.evidence
    assert outcome.exits == [0, 0, 0]
    assert max(outcome.evidence.delays_ms) < 10_000


async def test_a_server_that_is_killed_and_started_again_makes_nobody_wait_for_a_lease() -> None:
    outcome = await outcome_of("server killed", lease_s=60)
    assert whole(outcome.evidence), outcome.evidence
    assert outcome.exits == [0, 0, 0]
    assert max(outcome.evidence.delays_ms) < 10_000


async def test_a_server_that_stands_still_for_longer_than_a_lease_loses_and_reorders_nothing() -> None:
    outcome = await outcome_of("server stopped 8 s")
    assert whole(outcome.evidence), outcome.evidence
    assert outcome.exits == [0, 0, 0]


async def test_the_measurement_of_faults_runs_in_small() -> None:
    figures = await faults.measure(calls=20, rate=200, seconds=1, fault_after_s=0.3, faults={"SIGKILL": faults.sigkill})
    assert figures["SIGKILL: lost"] == figures["SIGKILL: reordered"] == 0
    assert set(figures) >= {name for name in faults.GOALS if name.startswith("SIGKILL")}
