"""What becomes of calls when a consumer, a connection or the server fails, at 2,000 events a second over 500 calls.

Three consumer processes with a handler of 5 ms, a producer process, a real Valkey with an append-only file synced at
every write. Each fault comes after 6 s, once; the events go on for 10 s more.

* *SIGKILL*: one consumer is killed and not started again.
* *SIGSTOP 8 s*: one consumer is stopped for longer than its leases (6 s) and then goes on with what it had in hand.
* *SIGTERM*: one consumer is told to stop, as at every release.
* *sockets cut*: thirty connections, picked at random, are reset within three seconds.
* *server killed*: the server is killed and started again at once.
* *server stopped 8 s*: the server stops for longer than a lease and goes on.

**Lost**: nobody was ever through with it. **Reordered**: the first handling of an event began before that of the event
before it in its call, or while that was going on. **Repeated**: handlings begun beyond the first of each event; a
handler must bear them. **Counted**: what the consumers that were left say of themselves in
`cc_eventlog_repeats_total` and `cc_eventlog_stalled_total`. A call has stalled if one of its events was handled more
than 500 ms after it was appended; while there is no server that is every call.
"""

import asyncio
import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from standins.bench.crew import OURS, Crew
from standins.bench.evidence import Evidence
from standins.bench.roles import Work
from standins.bench.way import ShakyWay

CALLS, RATE, SECONDS, PROCESSES = 500, 2000.0, 16.0, 3
LEASE_S, FAULT_AFTER_S, PAUSE_S = 6.0, 6.0, 8.0
WORK = Work(5, 5)
CUTS, CUT_EVERY_S = 30, 0.1
#: So much longer than a lease nothing may move before the rest is taken for lost.
PATIENCE_S = 6.0
#: A consumer that is told to stop has this long for what it has in hand.
STOP_S = 12.0


@dataclass(frozen=True)
class Scene:
    """What a fault may lay hands on."""

    crew: Crew
    server: EmbeddedRedis
    way: ShakyWay
    pause_s: float


Fault = Callable[[Scene], Awaitable[None]]


async def sigkill(scene: Scene) -> None:
    """One consumer dies without a word, in the middle of something."""
    await scene.crew.until_at_work(0)
    os.kill(scene.crew.pid(0), signal.SIGKILL)


async def sigstop(scene: Scene) -> None:
    """One consumer stands still for longer than its leases last, and then goes on as if nothing had been."""
    await scene.crew.until_at_work(0)
    os.kill(scene.crew.pid(0), signal.SIGSTOP)
    await asyncio.sleep(scene.pause_s)
    os.kill(scene.crew.pid(0), signal.SIGCONT)


async def sigterm(scene: Scene) -> None:
    """One consumer is told to stop, in the middle of something."""
    await scene.crew.until_at_work(0)
    await scene.crew.stop_one(STOP_S)


async def sockets_cut(scene: Scene) -> None:
    """Connections break, wherever they are."""
    dice = random.Random(4)
    for _ in range(CUTS):
        scene.way.cut_one(dice)
        await asyncio.sleep(CUT_EVERY_S)


async def server_killed(scene: Scene) -> None:
    """The server dies and is started again on what it has on disk."""
    await scene.server.kill()
    await scene.server.start()


async def server_stopped(scene: Scene) -> None:
    """The server stands still for longer than a lease."""
    os.kill(scene.server.pid, signal.SIGSTOP)
    await asyncio.sleep(scene.pause_s)
    os.kill(scene.server.pid, signal.SIGCONT)


FAULTS: Mapping[str, Fault] = {
    "SIGKILL": sigkill,
    "SIGSTOP 8 s": sigstop,
    "SIGTERM": sigterm,
    "sockets cut": sockets_cut,
    "server killed": server_killed,
    "server stopped 8 s": server_stopped,
}
GOALS = {f"{name}: {figure}": "0" for name in FAULTS for figure in ("lost", "reordered")} | {
    "SIGKILL: calls stalled > 500 ms, %": "≤ 1"
}


@dataclass(frozen=True)
class Outcome:
    """One run with one fault."""

    evidence: Evidence
    #: Exit code of every consumer.
    exits: Sequence[int | None]
    #: Sums of what the consumers that ended by themselves have counted, by the names of their metrics.
    counted: Mapping[str, float]
    #: How long the fault took, in seconds: of SIGTERM, how long the consumer took to end.
    seconds: float


async def play(
    fault: Fault,
    *,
    calls: int,
    rate: float,
    seconds: float,
    fault_after_s: float,
    lease_s: float,
    pause_s: float,
    work: Work = WORK,
    processes: int = PROCESSES,
    warm_up_s: float = 2.0,
) -> Outcome:
    """Run consumers and a producer, let ``fault`` happen, wait for all events or until nothing moves, and judge.

    Args:
        fault: what happens.
        calls: how many, all open from beginning to end.
        rate: events a second over all calls.
        seconds: how long they come.
        fault_after_s: when it happens, after the first event is in hand.
        lease_s: of the consumers.
        pause_s: how long whatever is stopped stands still.
        work: of the handler.
        processes: consumers.
        warm_up_s: events of the first seconds count for everything but delays and stalls.
    """
    each = max(2, round(rate * seconds / calls))
    with tempfile.TemporaryDirectory() as scratch:
        async with (
            EmbeddedRedis(Path(scratch, "redis"), options=("--appendfsync", "always")) as server,
            ShakyWay(server.url) as way,
            connect(server.url) as redis,
            Crew(OURS, way.url, Path(scratch, "crew"), lease_s=lease_s) as crew,
        ):
            await crew.consumers(processes, work)
            await crew.go(redis)
            took = 0.0
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(crew.produce(calls, each, rate))
                await crew.until_at_work(0)
                await asyncio.sleep(fault_after_s)
                began = time.monotonic()
                await fault(Scene(crew, server, way, pause_s))
                took = time.monotonic() - began
            found = await crew.evidence(calls, each, patience_s=lease_s + PATIENCE_S, warm_up_s=warm_up_s)
            exits = await crew.end(STOP_S)
            counted = [json.loads(path.read_text()) for path in crew.counts() if path.exists()]
    names = {name for one in counted for name in one}
    return Outcome(found, exits, {name: sum(one[name] for one in counted) for name in names}, took)


async def measure(
    *,
    calls: int = CALLS,
    rate: float = RATE,
    seconds: float = SECONDS,
    fault_after_s: float = FAULT_AFTER_S,
    faults: Mapping[str, Fault] = FAULTS,
) -> Mapping[str, float]:
    """One run of every fault."""
    figures: dict[str, float] = {}
    for name, fault in faults.items():
        outcome = await play(
            fault,
            calls=calls,
            rate=rate,
            seconds=seconds,
            fault_after_s=fault_after_s,
            lease_s=LEASE_S,
            pause_s=PAUSE_S,
        )
        found = outcome.evidence
        figures |= {
            f"{name}: events": found.handled,
            f"{name}: lost": found.lost,
            f"{name}: reordered": found.inversions + found.overlaps,
            f"{name}: repeated": found.repeated,
            f"{name}: repeats counted": outcome.counted["repeats"],
            f"{name}: calls stalled > 500 ms, %": found.stalled_calls / calls * 100,
            f"{name}: stalls counted": outcome.counted["stalled"],
            f"{name}: longest delay ms": max(found.delays_ms, default=0.0),
        }
    return figures
