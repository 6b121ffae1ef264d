"""What one process appends and consumes, beside what the server itself can take of the same script in the same run.

On the event loop of the services. Real Valkey with an append-only file synced every second; 256 producers in one
process, one call each. The ceiling is measured by redis-benchmark (`-P 16 -c 50 -r 1000`, the append script by EVALSHA
on calls that are there); its calls are all of one shard, and its ids are random numbers instead of UUIDs. Where no
Debian package can be fetched it is the same script in pipelines of ready-made commands, and the row says so. Consuming
is one process with a handler that does nothing and looks at nothing, from a backlog.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from call_events.bench import append_rate, consume_rate
from call_events.embedded import EmbeddedRedis
from standins.bench.ceiling import ceiling

GOALS = {"appends/s": "≥ 20,000", "of the server's ceiling": "≥ 0.40"}
SECONDS = 5.0
REQUESTS = 250_000
BACKLOG = 40_000


async def measure(*, seconds: float = SECONDS, requests: int = REQUESTS, backlog: int = BACKLOG) -> Mapping[str, float]:
    """One run."""
    with tempfile.TemporaryDirectory() as scratch:
        async with EmbeddedRedis(Path(scratch) / "append") as server:
            append = await append_rate(server.url, seconds)
        async with EmbeddedRedis(Path(scratch) / "ceiling") as server:
            most, how = await ceiling(server.url, requests)
        figures = {
            "appends/s": append["appends_per_s"],
            f"the server's ceiling/s ({how})": most,
            "of the server's ceiling": append["appends_per_s"] / most,
            "append p50 ms, 256 producers": append["latency_p50_ms"],
            "append p99 ms, 256 producers": append["latency_p99_ms"],
        }
        for calls in (1000, 20):
            async with EmbeddedRedis(Path(scratch) / f"consume-{calls}") as server:
                consumed = await consume_rate(server.url, backlog, calls)
            figures[f"consumed/s, {calls} calls"] = consumed["events_per_s"]
    return figures
