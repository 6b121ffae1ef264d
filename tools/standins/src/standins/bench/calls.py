"""The demo's call, measured: how fast the AI answers, how fast a person is dialled and the AI gone, what a call weighs.

Everything is real but the telephones, the model (it answers at once) and CCM, which are stand-ins on the same
machine. The memory is that of the voice worker's job process while it has the call (proportional set size).
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
from standins.demo.report import last_ai_sound, times
from standins.demo.scenario import CUSTOMER_NUMBER, HUMAN_NUMBER, Play
from standins.stack.stack import Stack

GOALS = {
    "call → first AI audio ms": "≤ 500",
    "transfer.requested → dialled ms": "p95 ≤ 100",
    "transfer.connected → AI silent ms": "≤ 250",
}
END_DEADLINE_S = 30.0


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
    return {
        "call → answer ms": figures.call_to_answer * 1000,
        "call → first AI audio ms": figures.call_to_first_sound * 1000,
        "transfer.requested → dialled ms": (figures.request_to_dial or 0) * 1000,
        "pick-up → transfer.connected ms": (figures.pick_up_to_connected or 0) * 1000,
        "transfer.connected → AI silent ms": (figures.connected_to_silent or 0) * 1000,
        "job process with the call MiB": weight.result(),
        "worker with idle processes MiB": pss_sum(idle),
    }


def pss_sum(idle: Mapping[int, float]) -> float:
    """MiB of all processes that wait for calls."""
    return sum(idle.values())


async def _heaviest(worker: int, stack: Stack, call: CallId) -> float:
    """PSS of the job process that has the call, read once while the human and the customer talk."""
    async for event in stack.log.follow(call):
        if event.type.startswith("transfer.completed"):
            break
    return max(pss_mib(pid) for pid in descendants(worker))


async def _whole(stack: Stack, call: CallId) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    async with asyncio.timeout(END_DEADLINE_S):
        async for event in stack.log.follow(call):
            events.append(event)  # noqa: PERF401 - it ends with the call
    return events
