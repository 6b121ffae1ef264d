"""What one process appends and consumes, beside what the server itself can take of the same script in the same run.

On the event loop of the services. Real Valkey with an append-only file synced every second; 256 producers in one
process; the ceiling is the append script sent in pipelines of ready-made commands. Consuming is one process with a
handler that does nothing, from a backlog.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from call_events.bench import append_rate, consume_rate
from call_events.embedded import EmbeddedRedis

GOALS = {"appends/s": "≥ 20,000", "of the server's ceiling": "≥ 0.40"}
SECONDS = 5.0
BACKLOG = 40_000


async def measure() -> Mapping[str, float]:
    """One run."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        async with EmbeddedRedis(Path(scratch) / "append") as server:
            append = await append_rate(server.url, SECONDS)
        figures |= {
            "appends/s": append["appends_per_s"],
            "the server's ceiling/s": append["server_ceiling_per_s"],
            "of the server's ceiling": append["ratio"],
        }
        for calls in (1000, 20):
            async with EmbeddedRedis(Path(scratch) / f"consume-{calls}") as server:
                consumed = await consume_rate(server.url, BACKLOG, calls)
            figures[f"consumed/s, {calls} calls"] = consumed["events_per_s"]
    return figures
