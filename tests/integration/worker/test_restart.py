"""A livekit-server that dies and comes back takes the legs along for some seconds; the call and its log go on."""

import os
import signal

import aiohttp
import pytest

from call_events.catalogue import CallEnded, CallStarted
from integration.worker.world import World
from support.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.media, pytest.mark.timeout(180)]


async def unwell(world: World) -> bool:
    async with aiohttp.ClientSession() as http, http.get(world.worker_url) as answer:
        return answer.status == 503 and not (await answer.json())["livekit"]


async def test_a_call_survives_a_restart_of_livekit_server(world: World) -> None:
    async with world.a_call() as line:
        await line.caller.hears_nothing()
        server = world.media.server
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        await wait_until(lambda: not server.running)
        await server.__aenter__()  # the same configuration on the same port
        # Both come back by themselves within seconds; nobody is told that anybody left.
        await wait_until(
            lambda: (
                line.caller.room.isconnected()
                and any(one.track_publications for one in line.caller.room.remote_participants.values())
            ),
            within_s=40,
            what="caller and agent are in the room again",
        )
        assert not await line.of(CallEnded)
        assert len(await line.of(CallStarted)) == 1
        await line.caller.hang_up()
        over = await line.until(CallEnded, within_s=30)
        assert over.cause in ("CLIENT_INITIATED", "VANISHED", "ROOM_CLOSED")
    assert not await line.unfinished()


async def test_health_tells_while_livekit_server_is_gone_and_when_it_is_back(world: World) -> None:
    server, worker = world.media.server, world.worker
    assert server is not None
    assert worker is not None
    os.kill(server.pid, signal.SIGKILL)
    await wait_until(lambda: unwell(world), within_s=15, what="the worker says that LiveKit is gone")
    await server.__aenter__()
    await worker.healthy(world.worker_url, 30)
