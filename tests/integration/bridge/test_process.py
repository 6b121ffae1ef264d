"""The bridge as a process: killed in the middle of a POST, told to stop, started where it cannot work."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from call_events.envelope import Event, EventData, now
from call_events.ids import CallId
from call_events.ports import AnyEvent
from call_events.redis_log import RedisEventLog
from call_events.testing import said, speaking, started
from standins.ccm import Behaviour, CcmStandIn, Mode
from support.waiting import wait_until
from unit.ccm_bridge.world import CUSTOMER, DIALECT

STOP_S = 20


def environment(redis_url: str, ccm_url: str, **settings: str) -> dict[str, str]:
    """What the process sees: the shell's, and the bridge's settings."""
    shared = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}  # noqa: TID251 - to hand on
    settings = {"bot_id": DIALECT.bot_id, "human_id": DIALECT.human_id} | settings
    ours = {f"CCM_BRIDGE_{name.upper()}": value for name, value in settings.items()}
    return {**shared, "REDIS_URL": redis_url, "CCM_URL": ccm_url, "CALLWEAVE_LOG_LEVEL": "info", **ours}


@asynccontextmanager
async def bridge_process(redis_url: str, ccm_url: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A bridge; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "ccm_bridge"),
        env=environment(redis_url, ccm_url, **settings),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def conversation(call: CallId) -> list[AnyEvent]:
    events = [started(call)]
    for number in range(3):
        events += [speaking(call, f"u{number}", speaker=CUSTOMER), said(call, f"u{number}", f"Turn {number}")]
    return [Event[EventData](data=one.data, call=call, producer="test", time=now()) for one in events]


async def append(redis: Redis, call: CallId) -> None:
    log = RedisEventLog(redis)
    for one in conversation(call):
        await log.append(one)


def texts(ccm: CcmStandIn, call: CallId) -> list[str]:
    return [message["body"]["markdownText"] for message in ccm.record.messages(call)]


TOLD = ["Call started", "Turn 0", "Turn 1", "Turn 2"]


async def test_killed_in_the_middle_of_a_post_the_next_process_repeats_at_most_one_message(
    redis_url: str, redis: Redis
) -> None:
    """CCM takes the message slowly; the bridge dies before it has the answer, so it cannot know."""
    call = CallId("killed")
    async with CcmStandIn() as ccm:
        ccm.behave(Behaviour(mode=Mode.SLOW, text="Turn 1", delay_s=0.5, times=1))
        async with bridge_process(redis_url, ccm.url, lease_s="1") as first:
            await append(redis, call)
            await wait_until(lambda: len(ccm.record.arrivals) == 3, within_s=STOP_S, what="Turn 1 is on its way")
            first.send_signal(signal.SIGKILL)
            await first.wait()
        async with bridge_process(redis_url, ccm.url, lease_s="1"):
            await wait_until(lambda: texts(ccm, call) == TOLD, within_s=STOP_S)
        arrived = [arrival for arrival in ccm.record.arrivals if arrival.message["body"]["markdownText"] == "Turn 1"]
        assert [arrival.duplicate for arrival in arrived] == [False, True]
        assert arrived[0].raw == arrived[1].raw, "another process, the same bytes"
        assert len(ccm.record.arrivals) == 5, "nothing else was repeated"


async def test_two_bridges_share_the_calls_and_one_killed_loses_none(redis_url: str, redis: Redis) -> None:
    calls = [CallId(f"call-{number}") for number in range(8)]
    async with CcmStandIn() as ccm:
        ccm.behave(Behaviour(mode=Mode.SLOW, delay_s=0.02))
        async with (
            bridge_process(redis_url, ccm.url, lease_s="1") as first,
            bridge_process(redis_url, ccm.url, lease_s="1"),
        ):
            async with asyncio.TaskGroup() as tasks:
                for call in calls:
                    tasks.create_task(append(redis, call))
            await wait_until(lambda: len(ccm.record.arrivals) >= 10, within_s=STOP_S)
            first.send_signal(signal.SIGKILL)
            await wait_until(lambda: all(texts(ccm, call) == TOLD for call in calls), within_s=STOP_S)


async def test_told_to_stop_it_finishes_what_is_in_hand_and_ends_with_code_0(redis_url: str, redis: Redis) -> None:
    call = CallId("stopped")
    async with CcmStandIn() as ccm:
        ccm.behave(Behaviour(mode=Mode.SLOW, delay_s=0.3))
        async with bridge_process(redis_url, ccm.url) as process:
            await append(redis, call)
            await wait_until(lambda: ccm.record.arrivals, within_s=STOP_S)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_S):
                _, complaint = await process.communicate()
            assert (process.returncode, complaint) == (0, b"")
        assert all(arrival.status == 202 for arrival in ccm.record.arrivals), "none was cut off"
        ccm.behave()
        async with bridge_process(redis_url, ccm.url):
            await wait_until(lambda: texts(ccm, call) == TOLD, within_s=STOP_S)
        assert not any(arrival.duplicate for arrival in ccm.record.arrivals)


@pytest.mark.parametrize("missing", ["ccm", "redis"])
async def test_what_cannot_be_reached_is_one_line_that_names_the_setting(redis_url: str, missing: str) -> None:
    async with CcmStandIn() as ccm:
        gone = f"http://127.0.0.1:{ccm.port}/ccm/message/receive"
        if missing == "ccm":
            await ccm.go_down()
        redis_or_not = redis_url if missing == "ccm" else "redis://127.0.0.1:1/0"
        async with bridge_process(redis_or_not, gone) as process, asyncio.timeout(STOP_S):
            _, complaint = await process.communicate()
    assert process.returncode == 3
    lines = complaint.decode().splitlines()
    assert len(lines) == 1
    assert {"ccm": "CCM_URL", "redis": "REDIS_URL"}[missing] in lines[0]


async def test_told_not_to_need_ccm_it_starts_and_delivers_when_it_comes(redis_url: str, redis: Redis) -> None:
    call = CallId("patient")
    async with CcmStandIn() as ccm:
        await ccm.go_down()
        async with bridge_process(redis_url, ccm.url, require_ccm_at_start="false", longest_retry_s="0.5"):
            await append(redis, call)
            await ccm.come_up()
            await wait_until(lambda: texts(ccm, call) == TOLD, within_s=STOP_S)


async def test_without_the_channels_bot_id_it_does_not_start(redis_url: str) -> None:
    async with bridge_process(redis_url, "http://127.0.0.1:9/", bot_id="") as process, asyncio.timeout(STOP_S):
        _, complaint = await process.communicate()
    assert process.returncode == 2
    (line,) = complaint.decode().splitlines()
    assert "CCM_BRIDGE_BOT_ID is missing; set it to the channel's botId: channelConfig.botId" in line


async def test_a_bad_setting_ends_with_code_2_and_one_line(redis_url: str) -> None:
    async with bridge_process(redis_url, "http://127.0.0.1:9/", hold_s="soon") as process, asyncio.timeout(STOP_S):
        _, complaint = await process.communicate()
    assert process.returncode == 2
    assert complaint.decode().count("\n") == 1
    assert "CCM_BRIDGE_HOLD_S" in complaint.decode()
