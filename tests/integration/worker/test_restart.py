"""A livekit-server that dies and comes back takes the legs along for some seconds; then everybody is heard again."""

import os
import signal
import time

import aiohttp
import pytest

from call_events.catalogue import CallEnded, CallStarted, LegLeft, TransferCompleted
from integration.worker.phone import Phone
from integration.worker.world import ANOTHER, HELLO_MARIA, MARIA, SENTENCES, Line, World
from support.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.media, pytest.mark.timeout(180)]

#: A server that has just started times out everybody who asks for a room of its dead predecessor, twice at most (5 s
#: each time, and a pause): only then does it place the room anew.
REJOIN_S = 40.0
#: From the last leg's return until it is heard: the server tells everybody of everybody's new track.
HEARD_S = 20.0


async def unwell(world: World) -> bool:
    async with aiohttp.ClientSession() as http, http.get(world.worker_url) as answer:
        return answer.status == 503 and not (await answer.json())["livekit"]


async def restart(world: World, *phones: Phone) -> None:
    """Kill livekit-server and start it again; returns when these phones are back in their room."""
    server = world.media.server
    assert server is not None
    before = [phone.rejoined for phone in phones]
    os.kill(server.pid, signal.SIGKILL)
    await wait_until(lambda: not server.running)
    await server.__aenter__()  # the same configuration on the same port
    for phone, times in zip(phones, before, strict=True):
        await wait_until(
            lambda phone=phone, times=times: phone.rejoined > times,
            within_s=REJOIN_S,
            what=f"{phone.identity} is in the room again",
        )


async def heard(line: Line, phone: Phone, tone: int) -> None:
    """Wait until this phone is heard: like any caller in a silent line it says its sentence again."""
    give_up = time.monotonic() + HEARD_S
    while time.monotonic() < give_up:
        await phone.say(tone)
        try:
            await line.said(SENTENCES[tone], within_s=3)
        except AssertionError:
            continue
        return
    raise AssertionError(f"{phone.identity} is not heard {HEARD_S} s after it came back")


async def test_after_a_restart_of_livekit_server_the_ai_hears_the_caller_and_is_heard(world: World) -> None:
    async with world.a_call() as line:
        await line.caller.hears_nothing()
        await restart(world, line.caller)
        back = time.monotonic()
        await heard(line, line.caller, ANOTHER)
        await line.said("Yes?")
        await wait_until(lambda: line.caller.last_sound("agent") > back, what="the caller hears the answer")
        assert not await line.of(LegLeft), "nobody is told that anybody left"
        assert len(await line.of(CallStarted)) == 1
        await line.caller.hang_up()
        over = await line.until(CallEnded)
        assert over.cause == "CLIENT_INITIATED"
    assert not await line.unfinished()


async def test_after_a_restart_of_livekit_server_both_people_are_still_written_down(world: World) -> None:
    async with world.a_call() as line:
        await line.caller.hears_nothing()
        requested = await line.ask_for_a_person()
        async with line.human(requested) as human:
            await line.until(TransferCompleted)
            left = await line.of(LegLeft)
            await restart(world, line.caller, human)
            back = time.monotonic()
            await heard(line, human, MARIA)
            await heard(line, line.caller, HELLO_MARIA)
            await wait_until(lambda: line.caller.last_sound("human") > back, what="the caller hears the human")
            await wait_until(lambda: human.last_sound("sip") > back, what="the human hears the caller")
            assert await line.of(LegLeft) == left, "nobody is told that anybody left"
            assert len(await line.of(TransferCompleted)) == 1
            await line.caller.hang_up()
            over = await line.until(CallEnded)
            assert over.cause == "CLIENT_INITIATED"
    assert not await line.unfinished()


async def test_health_tells_while_livekit_server_is_gone_and_when_it_is_back(world: World) -> None:
    server, worker = world.media.server, world.worker
    assert server is not None
    assert worker is not None
    os.kill(server.pid, signal.SIGKILL)
    await wait_until(lambda: unwell(world), within_s=15, what="the worker says that LiveKit is gone")
    await server.__aenter__()
    await worker.healthy(world.worker_url, 30)
