"""Callweave beside others that hand events from Redis Streams to handlers, on the same work in the same run.

FastStream's Redis streams and taskiq-redis' `RedisStreamBroker`, two consumer processes each as Callweave has, and one
plain XREADGROUP consumer, which can only be one. All on uvloop, hiredis and the same version of redis-py, on the same
Valkey with an append-only file synced every second; the events are of the same size, appended by each one's own client
in a process of its own. The settings that differ from a peer's defaults stand in its program under
`tools/standins/peers`; each is there so that the peer does better.

* **Backlog**: 20,000 events of 200 calls are there before the consumers begin; the handler does nothing.
* **Steady**: 1,000 events a second over 300 calls, three of a call at once, as an utterance begins, ends and gets its
  text. The handler does nothing.
* **Killed**: 150 events a second over 30 calls, three at once, handlers of 1 to 8 ms; after four seconds one consumer
  is killed with SIGKILL. The plain consumer is started again after a second, the others have a second process. Order
  and delays of these rows are those of the whole run. An event counts as lost if nothing has moved for twelve seconds.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from call_events.embedded import EmbeddedRedis
from standins.bench.crew import OURS, Program, Run, from_backlog, steadily
from standins.bench.roles import Work
from standins.bench.table import NotMeasured, percentile

#: Made by ./dev from bench.lock, beside the environment this runs in.
PYTHON = Path(sys.prefix).parent / ".venv-peers" / "bin" / "python"
PROGRAMS = Path(__file__).parents[3] / "peers"
CALLWEAVE = OURS.name
#: As long as a lease of Callweave.
_RECLAIM = {"BENCH_RECLAIM_MS": "6000"}
GOALS = {
    f"{CALLWEAVE}: {figure}": "0"
    for figure in (
        *("steady, inversions", "steady, overlaps", "killed, inversions", "killed, overlaps"),
        "killed, lost",
    )
}
PATIENCE_S = 12.0
#: Enough for what nobody was killed in.
_SHORT_PATIENCE_S = 4.0


def programs() -> Sequence[Program]:
    """Everybody, Callweave first.

    Raises:
        NotMeasured: the peers' environment has not been made.
    """
    if not PYTHON.exists():
        raise NotMeasured(f"the peers' environment is not there ({PYTHON.parents[1].name}): run ./dev bench log-peers")
    return (
        OURS,
        _peer("FastStream", "faststream", at_once=1),
        _peer("FastStream, 16 at once, reclaims", "faststream", at_once=16, environment=_RECLAIM),
        _peer("taskiq-redis", "taskiq", at_once=100),
        _peer("plain XREADGROUP", "plain", at_once=1, restarted_after_s=1.0),
    )


async def measure(
    who: Sequence[Program] | None = None, *, size: float = 1.0, patience_s: float = PATIENCE_S
) -> Mapping[str, float]:
    """One run of everybody; ``size`` shrinks the amounts, not the rates."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, program in enumerate(who or programs()):
            found = await _one(program, Path(scratch, str(number)), size, patience_s)
            figures |= {f"{program.name}: {figure}": value for figure, value in found.items()}
    return figures


async def _one(program: Program, scratch: Path, size: float, patience_s: float) -> Mapping[str, float]:
    processes = 1 if program.restarted_after_s else 2
    async with EmbeddedRedis(scratch / "redis-0") as server:
        backlog = await from_backlog(
            program, server.url, scratch / "backlog", processes=processes, calls=200, each=max(2, int(100 * size))
        )
    async with EmbeddedRedis(scratch / "redis-1") as server:
        steady = await steadily(
            program, server.url, scratch / "steady",
            processes=processes, calls=300, rate=1000, burst=3, seconds=8 * size, work=Work(), warm_up_s=2 * size,
            patience_s=min(patience_s, _SHORT_PATIENCE_S),
        )  # fmt: skip
    async with EmbeddedRedis(scratch / "redis-2") as server:
        killed = await steadily(
            program, server.url, scratch / "killed",
            processes=processes, calls=30, rate=150, burst=3, seconds=8 * size, work=Work(1, 8), warm_up_s=0,
            kill_after_s=4 * size, patience_s=patience_s,
        )  # fmt: skip
    return {
        "backlog, handled/s": backlog.evidence.handled / backlog.seconds,
        "backlog, inversions": backlog.evidence.inversions,
        "backlog, overlaps": backlog.evidence.overlaps,
        **_steady(steady),
        **_killed(killed),
    }


def _steady(run: Run) -> Mapping[str, float]:
    found = run.evidence
    return {
        "steady, p50 ms": percentile(found.delays_ms, 50),
        "steady, p99 ms": percentile(found.delays_ms, 99),
        "steady, inversions": found.inversions,
        "steady, overlaps": found.overlaps,
        "steady, lost": found.lost,
    }


def _killed(run: Run) -> Mapping[str, float]:
    found = run.evidence
    return {
        "killed, p50 ms": percentile(found.delays_ms, 50),
        "killed, calls stalled > 500 ms": found.stalled_calls,
        "killed, inversions": found.inversions,
        "killed, overlaps": found.overlaps,
        "killed, repeated": found.repeated,
        "killed, lost": found.lost,
    }


def _peer(
    name: str,
    program: str,
    *,
    at_once: int,
    restarted_after_s: float | None = None,
    environment: dict[str, str] | None = None,
) -> Program:
    return Program(
        name,
        (str(PYTHON), str(PROGRAMS / f"{program}_consumer.py")),
        at_once=at_once,
        restarted_after_s=restarted_after_s,
        environment=environment or {},
    )
