"""``kill -9`` of one of three consumer processes, at 2,000 events a second over 500 calls.

The handler takes 5 ms. A call has stalled if one of its events was handled more than 500 ms after it was appended. The
killed process is not started again; its calls wait for their leases (6 s) to run out. An event it had in hand is
handled again by another process: it counts as repeated.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from call_events.embedded import EmbeddedRedis
from standins.bench.crew import OURS, steadily
from standins.bench.roles import Work

CALLS, RATE, SECONDS, PROCESSES = 500, 2000.0, 16.0, 3
KILLED_AFTER_S = 6.0
#: More than a lease and the time until somebody looks for abandoned doorbells.
PATIENCE_S = 12.0
GOALS = {"calls stalled > 500 ms, %": "≤ 1", "lost": "0", "inversions": "0", "overlaps": "0"}


async def measure(
    *,
    calls: int = CALLS,
    rate: float = RATE,
    seconds: float = SECONDS,
    killed_after_s: float = KILLED_AFTER_S,
    warm_up_s: float = 2.0,
) -> Mapping[str, float]:
    """One run."""
    with tempfile.TemporaryDirectory() as scratch:
        async with EmbeddedRedis(Path(scratch, "redis")) as server:
            run = await steadily(
                OURS, server.url, Path(scratch, "crew"),
                processes=PROCESSES, calls=calls, rate=rate, seconds=seconds, work=Work(5, 5),
                warm_up_s=warm_up_s, kill_after_s=killed_after_s, patience_s=PATIENCE_S,
            )  # fmt: skip
    found = run.evidence
    return {
        "events": found.handled,
        "calls stalled > 500 ms": found.stalled_calls,
        "calls stalled > 500 ms, %": found.stalled_calls / calls * 100,
        "longest delay ms": max(found.delays_ms, default=0.0),
        "lost": found.lost,
        "inversions": found.inversions,
        "overlaps": found.overlaps,
        "repeated": found.repeated,
    }
