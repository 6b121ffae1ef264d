"""Shows a call while it runs, and waits until the log and CCM have all of it."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path

import orjson

from call_events.ids import CallId
from call_events.ports import AnyEvent
from standins.demo.deliveries import delivery
from standins.demo.scenario import Played
from standins.demo.screen import Screen
from standins.demo.verdict import Delivery
from standins.stack.stack import Stack

#: After call.ended CCM has its last messages in no time, unless a transcript is late: then the bridge waits up to 5 s.
DELIVERY_DEADLINE_S = 15.0
ENDED_DEADLINE_S = 30.0


async def watch(
    stack: Stack, performance: Awaitable[Played], screen: Screen, call: CallId
) -> tuple[Played, list[AnyEvent]]:
    """Let the people play and show what comes of it; returns when the log is closed and CCM has the rest.

    Raises:
        TimeoutError: the call did not end.
    """
    events: list[AnyEvent] = []

    async def follow() -> None:
        async for event in stack.log.follow(call):
            events.append(event)
            screen.event(event)

    async def show_deliveries() -> None:
        shown = 0
        while True:
            taken = [] if stack.ccm is None else stack.ccm.record.taken(call)
            for arrival in taken[shown:]:
                screen.delivery(delivery(arrival))
            shown = len(taken)
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        log = group.create_task(follow(), name="follow the log")
        ccm = group.create_task(show_deliveries(), name="watch CCM")
        played = await performance
        async with asyncio.timeout(ENDED_DEADLINE_S):
            await asyncio.shield(log)
        await _delivered(stack, events)
        await asyncio.sleep(0.1)  # let the last line be shown
        ccm.cancel()
    return played, events


async def _delivered(stack: Stack, events: Sequence[AnyEvent]) -> None:
    """Wait until CCM has the call's last message (or its time is up: the verdict will say so)."""
    give_up = time.monotonic() + DELIVERY_DEADLINE_S
    while time.monotonic() < give_up:
        got = deliveries(stack, events[0].call)
        if got is None or any(d.seq == events[-1].seq for d in got):
            return
        await asyncio.sleep(0.05)


def deliveries(stack: Stack, call: CallId) -> list[Delivery] | None:
    """What CCM took of this call; None if it is a real one that cannot be asked."""
    return None if stack.ccm is None else [delivery(arrival) for arrival in stack.ccm.record.taken(call)]


def save_messages(directory: Path, stack: Stack, call: CallId) -> Path | None:
    """What CCM got, message by message, for whoever wants to read the JSON."""
    if stack.ccm is None:
        return None
    path = directory / "ccm-messages.json"
    messages = [arrival.message for arrival in stack.ccm.record.taken(call)]
    path.write_bytes(orjson.dumps(messages, option=orjson.OPT_INDENT_2))
    return path
