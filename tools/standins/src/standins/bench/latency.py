"""From append to handled, at 2,000 events a second over 500 calls, with two consumer processes.

The time counts from the moment an event was made to be appended until the handler is through with it, so a handler
that takes 5 ms adds its 5 ms. Real Valkey with an append-only file synced every second, the producer in a process of
its own. The first two seconds are warm-up.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from call_events.embedded import EmbeddedRedis
from standins.bench.crew import OURS, steadily
from standins.bench.roles import Work
from standins.bench.table import percentile

CALLS, RATE, SECONDS, PROCESSES = 500, 2000.0, 14.0, 2
HANDLERS = {"a handler that does nothing": Work(), "a handler that takes 5 ms": Work(5, 5)}
GOALS = {f"{handler}: inversions": "0" for handler in HANDLERS} | {f"{handler}: lost": "0" for handler in HANDLERS}


async def measure(
    *, calls: int = CALLS, rate: float = RATE, seconds: float = SECONDS, warm_up_s: float = 2.0
) -> Mapping[str, float]:
    """One run with each handler."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, (handler, work) in enumerate(HANDLERS.items()):
            directory = Path(scratch, str(number))
            async with EmbeddedRedis(directory / "redis") as server:
                run = await steadily(
                    OURS, server.url, directory,
                    processes=PROCESSES, calls=calls, rate=rate, seconds=seconds, work=work, warm_up_s=warm_up_s,
                )  # fmt: skip
            found = run.evidence
            figures |= {
                f"{handler}: events": len(found.delays_ms),
                f"{handler}: p50 ms": percentile(found.delays_ms, 50),
                f"{handler}: p99 ms": percentile(found.delays_ms, 99),
                f"{handler}: max ms": max(found.delays_ms, default=0.0),
                f"{handler}: inversions": found.inversions,
                f"{handler}: lost": found.lost,
            }
    return figures
