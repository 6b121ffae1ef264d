"""Ordered consumption by one, two and four consumer processes, from a backlog and at a steady rate.

Real Valkey, an append-only file synced every second, one producer process, consumers as processes of their own with
the settings of the services. The handler decodes every event, writes down that it began and ended with it, and does
nothing else. From a backlog: a thousand calls, all of them appended before the consumers begin. Steady: 2,000 events a
second over 500 calls; the first two seconds are warm-up and count for order and losses only.

An inversion is an event whose first handling began before that of the event before it in its call; an overlap, one
that began before the other was through. More processes than cores share the cores, so what they gain shows on larger
machines.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from call_events.embedded import EmbeddedRedis
from standins.bench.crew import OURS, Run, from_backlog, steadily
from standins.bench.roles import Work
from standins.bench.table import percentile

PROCESSES = (1, 2, 4)
BACKLOG_CALLS, BACKLOG_EACH = 1000, 80
STEADY_CALLS, RATE, SECONDS = 500, 2000.0, 10.0
GOALS = {f"{what}, all runs": "0" for what in ("inversions", "overlaps", "lost")}


async def measure(
    *,
    each: int = BACKLOG_EACH,
    calls: int = STEADY_CALLS,
    rate: float = RATE,
    seconds: float = SECONDS,
    warm_up_s: float = 2.0,
) -> Mapping[str, float]:
    """One run of each."""
    figures: dict[str, float] = {}
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as scratch:
        for count in PROCESSES:
            who = f"{count} process{'es' if count > 1 else ''}"
            directory = Path(scratch, f"backlog-{count}")
            async with EmbeddedRedis(directory / "redis") as server:
                run = await from_backlog(
                    OURS, server.url, directory, processes=count, calls=min(calls * 2, BACKLOG_CALLS), each=each
                )
            figures[f"backlog, {who}: handled/s"] = run.evidence.handled / run.seconds
            runs.append(run)
            directory = Path(scratch, f"steady-{count}")
            async with EmbeddedRedis(directory / "redis") as server:
                run = await steadily(
                    OURS, server.url, directory,
                    processes=count, calls=calls, rate=rate, seconds=seconds, work=Work(), warm_up_s=warm_up_s,
                )  # fmt: skip
            figures[f"steady, {who}: p50 ms"] = percentile(run.evidence.delays_ms, 50)
            figures[f"steady, {who}: p99 ms"] = percentile(run.evidence.delays_ms, 99)
            runs.append(run)
    return figures | {
        "inversions, all runs": sum(run.evidence.inversions for run in runs),
        "overlaps, all runs": sum(run.evidence.overlaps for run in runs),
        "lost, all runs": sum(run.evidence.lost for run in runs),
        "repeated, all runs": sum(run.evidence.repeated for run in runs),
    }
