"""A worker that fails between two people neither cuts them off nor leaves one of them in silence."""

import asyncio
from pathlib import Path

import pytest

from call_events import keys
from call_events.catalogue import TransferCompleted
from call_events.connection import connect
from integration.worker.phone import Phone
from integration.worker.world import HELLO_MARIA, MARIA, Line, World
from support.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.media]


async def break_the_log(world: World, line: Line) -> None:
    """What nobody foresees: under the key of the call's stream lies something that is no stream."""
    async with connect(world.redis.url) as redis:
        await redis.set(keys.call_keys(line.call).stream, "no stream")


def told(world: World, event: str) -> bool:
    return event in (Path(world.directory) / "worker.log").read_text()


async def hears_the_other(speaker: Phone, tone: int, listener: Phone) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(speaker.say(tone, 1.0))
        group.create_task(listener.hears(who=speaker.identity))


async def test_a_fault_between_two_people_lets_them_talk_until_one_hangs_up(world: World) -> None:
    async with world.a_call() as line:
        await line.caller.hears_nothing()
        requested = await line.ask_for_a_person()
        async with line.human(requested) as human:
            await line.until(TransferCompleted)
            await break_the_log(world, line)
            await human.say(MARIA)
            await wait_until(lambda: told(world, "call.left_to_people"), what="the worker fails")
            await hears_the_other(human, MARIA, line.caller)
            await hears_the_other(line.caller, HELLO_MARIA, human)
            assert line.caller.room.isconnected()
            await human.hang_up()
            await wait_until(lambda: not line.caller.room.isconnected(), what="the caller is sent home")
