"""Every measurement of the log runs, in small: a benchmark that nobody can run any more tells nothing.

None asserts a time. What they prove besides, order and losses, holds at any size.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from standins.bench import appends, ceiling, consumers, killed, latency, length, many_calls, memory, peers
from standins.bench.crew import from_backlog
from standins.bench.page import HEADLINES
from standins.servers.programs import NoSuchServer


def shown(table: str, figures: Mapping[str, float]) -> set[str]:
    """The headlines of a table that were not measured."""
    return set(HEADLINES[table]) - set(figures)


async def test_appends_beside_the_ceiling() -> None:
    figures = await appends.measure(seconds=0.3, requests=3000, backlog=2000)
    assert shown("log-appends", figures) == set()
    assert min(figures.values()) > 0


async def test_without_redis_benchmark_the_row_says_what_measured_the_ceiling(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_here() -> None:
        raise NoSuchServer("no apt")

    monkeypatch.setattr(ceiling, "redis_benchmark", none_here)
    monkeypatch.setattr(ceiling, "_PIPELINES_S", 0.2)
    rate, how = await ceiling.ceiling(redis_url, 1000)
    assert how == "ready-made pipelines"
    assert rate > 0


async def test_ordered_consumption_by_several_processes() -> None:
    figures = await consumers.measure(each=10, calls=40, rate=200, seconds=1, warm_up_s=0.1)
    assert shown("log-consumers", figures) == set()
    assert figures["lost, all runs"] == figures["inversions, all runs"] == figures["overlaps, all runs"] == 0


async def test_latency_with_both_handlers() -> None:
    figures = await latency.measure(calls=40, rate=200, seconds=1, warm_up_s=0.1)
    assert shown("log-latency", figures) == set()
    for handler in latency.HANDLERS:
        assert figures[f"{handler}: lost"] == figures[f"{handler}: inversions"] == 0
        assert figures[f"{handler}: p50 ms"] > 0


async def test_a_killed_consumer_loses_and_reorders_nothing() -> None:
    figures = await killed.measure(calls=40, rate=200, seconds=2, killed_after_s=1, warm_up_s=0.1)
    assert shown("log-killed", figures) == set()
    assert figures["events"] == 40 * 10
    assert figures["lost"] == figures["inversions"] == figures["overlaps"] == 0


async def test_memory_of_a_call() -> None:
    figures = await memory.measure(calls=20, each=10)
    assert shown("log-memory", figures) == set()
    assert figures["a call in all after it is handled, bytes"] > 10 * figures["the event itself, bytes"]


async def test_growth_with_the_length_of_a_call() -> None:
    async with asyncio.timeout(60):
        figures = await length.measure(lengths=(10, 600), samples=5)
    assert {name for name in figures if name.startswith("600 events: ")} == {
        f"600 events: {figure}"
        for figure in (
            *("append p50 ms", "append → handled p50 ms", "server µs an event", "process µs an event"),
            "taken over ms",
        )
    }


async def test_growth_with_the_number_of_calls() -> None:
    async with asyncio.timeout(60):
        figures = await many_calls.measure(numbers=(10, 300), append_s=0.2, steady_s=0.2)
    assert figures["300 calls: append → handled p99 ms"] > 0
    assert figures["300 calls: a sweep, server ms"] > 0


@pytest.mark.parametrize("number", range(5))
async def test_others_still_produce_and_consume(number: int, redis_url: str, tmp_path: Path) -> None:
    """Their order under several consumers is their affair; here there is one."""
    program = peers.programs()[number]
    run = await from_backlog(program, redis_url, tmp_path, processes=1, calls=10, each=5)
    assert (run.evidence.handled, run.evidence.lost) == (50, 0)


async def test_others_on_the_same_work() -> None:
    """The one peer that keeps order; it is started again when it was killed, so nothing may be lost either."""
    everybody = peers.programs()
    assert {goal.partition(": ")[0] for goal in peers.GOALS} == {everybody[0].name}
    figures = await peers.measure(everybody[-1:], size=0.2)
    assert {name.partition(": ")[0] for name in figures} == {"plain XREADGROUP"}
    assert {goal.partition(": ")[2] for goal in peers.GOALS} <= {name.partition(": ")[2] for name in figures}
    assert all(value > 0 for name, value in figures.items() if name.endswith(("handled/s", "p50 ms")))
    assert [
        name for name, value in figures.items() if value and name.endswith(("lost", "inversions", "overlaps"))
    ] == []
