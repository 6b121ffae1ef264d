"""The demo's call, measured: how fast the AI answers, how fast a person is dialled and the AI gone, what a call weighs.

Everything is real but the telephones, the model (it answers at once) and CCM, which are stand-ins on the same
machine. Memory is proportional set size (shared pages are divided among those who share them): of the voice worker's
job process while it has the call, and, with one call and then four at once, of the worker and all its processes
together; a third of the difference is what one more call costs the machine.
"""

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from call_events.envelope import now
from call_events.ids import CallId, call_id
from call_events.ports import AnyEvent
from standins.bench.machine import descendants, pss_mib
from standins.bench.table import NotMeasured
from standins.demo.report import Times, last_ai_sound, times
from standins.demo.scenario import CUSTOMER_NUMBER, DIALLED_NUMBER, HUMAN_NUMBER, Play
from standins.phones import Phone
from standins.stack.stack import Stack

GOALS = {
    "call → first AI audio ms": "≤ 500",
    "transfer.requested → dialled ms": "p95 ≤ 100",
    "transfer.connected → AI silent ms": "≤ 250",
    "each extra call MiB": "≤ 48",
}
END_DEADLINE_S = 30.0
#: Calls at once when the cost of one more is measured.
MANY = 4
SETTLE_DEADLINE_S = 60.0


async def measure() -> Mapping[str, float]:
    """One call on a fresh stack; milliseconds and MiB."""
    with tempfile.TemporaryDirectory() as scratch:
        async with Stack(Path(scratch)) as stack:
            customer, human = await stack.phones.phone(CUSTOMER_NUMBER), await stack.phones.phone(HUMAN_NUMBER)
            call = call_id(f"bench-{now():%H%M%S}")
            worker = stack.services["voice_worker"].process.pid
            idle = {pid: pss_mib(pid) for pid in descendants(worker)}
            async with asyncio.TaskGroup() as group:
                weight = group.create_task(_heaviest(worker, stack, call))
                played = await Play(customer, human, call).run()
            events = await _whole(stack, call)
            figures = times(
                events,
                played,
                wall_minus_monotonic=time.time() - time.monotonic(),
                silent_at=last_ai_sound(customer, played),
            )
            extra = await _extra_call(worker, stack, processes=len(idle))
    return {
        **milliseconds(figures),
        "job process with the call MiB": weight.result(),
        "each extra call MiB": extra,
        "worker with idle processes MiB": pss_sum(idle),
    }


def milliseconds(figures: Times) -> Mapping[str, float]:
    """The times of one call as the table has them.

    Raises:
        NotMeasured: one of them is not known. It must not pass for a 0, which would be the best value there is.
    """
    seconds = {
        "call → answer": figures.call_to_answer,
        "call → first AI audio": figures.call_to_first_sound,
        "transfer.requested → dialled": figures.request_to_dial,
        "pick-up → transfer.connected": figures.pick_up_to_connected,
        "transfer.connected → AI silent": figures.connected_to_silent,
    }
    known = {f"{name} ms": value * 1000 for name, value in seconds.items() if value is not None}
    if missing := [name for name, value in seconds.items() if value is None]:
        raise NotMeasured(
            f"not measured: {', '.join(missing)}; the log or the caller's recording lacks where it begins or ends. "
            "Run it again, and look at such a call with ./dev demo if it stays so"
        )
    return known


def pss_sum(idle: Mapping[int, float]) -> float:
    """MiB of all processes that wait for calls."""
    return sum(idle.values())


async def _heaviest(worker: int, stack: Stack, call: CallId) -> float:
    """PSS of the job process that has the call, read once while the human and the customer talk."""
    async for event in stack.log.follow(call):
        if event.type.startswith("transfer.completed"):
            break
    return max(pss_mib(pid) for pid in descendants(worker))


async def _extra_call(worker: int, stack: Stack, *, processes: int) -> float:
    """What each call beyond the first adds to the worker and all its processes, callers greeted and listening."""
    callers = [await stack.phones.phone(f"{CUSTOMER_NUMBER[:-1]}{number}") for number in range(2, 2 + MANY)]
    first, *others = callers
    await _greet(first)
    with_one = await _at_rest(worker, processes + 1)
    for caller in others:
        await _greet(caller)
    with_many = await _at_rest(worker, processes + MANY)
    for caller in callers:
        await caller.hang_up()
    return (with_many - with_one) / (MANY - 1)


async def _greet(caller: Phone) -> None:
    await caller.call(f"bench-{caller.number[-2:]}-{now():%H%M%S}", headers={"X-Dnis": DIALLED_NUMBER})
    await caller.wait_answered()
    await caller.wait_quiet()


async def _at_rest(worker: int, processes: int) -> float:
    """PSS of the worker and its processes once there are so many (every call's place in the pool is filled again).

    Raises:
        TimeoutError: their number or their size does not come to rest.
    """
    before = -1.0
    async with asyncio.timeout(SETTLE_DEADLINE_S):
        while True:
            pids = descendants(worker)
            total = sum(pss_mib(pid) for pid in [worker, *pids])
            if len(pids) == processes and abs(total - before) < 0.5:
                return total
            before = total
            await asyncio.sleep(1.0)


async def _whole(stack: Stack, call: CallId) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    async with asyncio.timeout(END_DEADLINE_S):
        async for event in stack.log.follow(call):
            events.append(event)  # noqa: PERF401 - it ends with the call
    return events
