"""The bridge as it runs: the real consumer on a real Redis, the strict stand-in over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from call_events.envelope import Event, EventData, now
from call_events.ids import CallId
from call_events.ports import AnyEvent
from call_events.redis_log import RedisEventLog
from call_events.testing import said, speaking, started
from ccm_bridge.bootstrap import build
from ccm_bridge.entrypoints.stream import follow_calls
from ccm_bridge.settings import Settings
from standins.ccm import Behaviour, CcmStandIn, Mode
from support.waiting import wait_until
from unit.ccm_bridge.world import BILLING, CUSTOMER, DIALECT, call_ended, connected, ended_speaking, requested


@pytest.fixture
async def ccm() -> AsyncIterator[CcmStandIn]:
    async with CcmStandIn() as one:
        yield one


@asynccontextmanager
async def running(redis_url: str, ccm: CcmStandIn, **settings: Any) -> AsyncIterator[str]:
    """A bridge in this process; yields the URL of its health server."""
    fields: dict[str, Any] = {
        "REDIS_URL": redis_url,
        "CCM_URL": ccm.url,
        "bot_id": DIALECT.bot_id,
        "human_id": DIALECT.human_id,
        "request_timeout_s": 1.0,
        **settings,
    }
    stop = asyncio.Event()
    async with build(Settings(**fields), registry=CollectorRegistry()) as bridge, asyncio.TaskGroup() as tasks:
        tasks.create_task(follow_calls(bridge.consumer, stop))
        try:
            yield f"http://127.0.0.1:{bridge.health.port}"
        finally:
            stop.set()


async def append(redis: Redis, *events: AnyEvent) -> None:
    log = RedisEventLog(redis)
    for one in events:
        await log.append(one)


def fresh(call: CallId, like: AnyEvent) -> AnyEvent:
    """The same fact, of this call and of now: the bridge's clock is real here."""
    return Event[EventData](data=like.data, call=call, producer="test", time=now())


def talk(call: CallId, turns: int) -> list[AnyEvent]:
    """A call of some turns; each event bears the time of now."""
    events = [fresh(call, started(call))]
    for number in range(turns):
        speaker = BILLING if number % 2 else CUSTOMER
        events.append(fresh(call, speaking(call, f"u{number}", speaker=speaker)))
        events.append(fresh(call, said(call, f"u{number}", f"Turn {number}", speaker=speaker)))
    return events


def texts(ccm: CcmStandIn, call: CallId) -> list[str]:
    return [message["body"]["markdownText"] for message in ccm.record.messages(call)]


def told(turns: int) -> list[str]:
    return ["Call started", *(f"Turn {number}" for number in range(turns))]


async def test_many_calls_at_once_each_in_order_one_request_in_flight(
    redis_url: str, redis: Redis, ccm: CcmStandIn
) -> None:
    calls = [CallId(f"call-{number}") for number in range(12)]
    ccm.behave(Behaviour(mode=Mode.SLOW, delay_s=0.005))
    async with running(redis_url, ccm), asyncio.TaskGroup() as tasks:
        for call in calls:
            tasks.create_task(append(redis, *talk(call, 6)))
        await wait_until(lambda: len(ccm.record.taken()) == 12 * 7, within_s=30)
    assert all(texts(ccm, call) == told(6) for call in calls)
    assert set(ccm.record.max_in_flight.values()) == {1}
    assert not any(arrival.duplicate for arrival in ccm.record.arrivals)
    assert {arrival.outcome for arrival in ccm.record.arrivals} == {"accepted"}


async def test_a_backlog_of_more_calls_than_slots_is_taken_up_at_once(
    redis_url: str, redis: Redis, ccm: CcmStandIn
) -> None:
    """Every slot reads its call's history at once. A pool too small for that fails, and each failure costs a lease."""
    calls = [CallId(f"call-{number}") for number in range(150)]
    async with asyncio.TaskGroup() as tasks:
        for call in calls:
            tasks.create_task(append(redis, *talk(call, 1)))
    async with running(redis_url, ccm, lease_s=60):
        await wait_until(lambda: len(ccm.record.taken()) == 150 * 2, within_s=20, what="without waiting for a lease")
    assert all(texts(ccm, call) == told(1) for call in calls)


async def test_a_transfer_holds_its_call_and_no_other(redis_url: str, redis: Redis, ccm: CcmStandIn) -> None:
    held, free = CallId("held"), CallId("free")
    async with running(redis_url, ccm):
        await append(redis, *talk(held, 2), fresh(held, requested(0)), *talk(held, 4)[5:])
        await append(redis, *talk(free, 3))
        await wait_until(lambda: texts(ccm, free) == told(3) and len(texts(ccm, held)) == 3)
        await append(redis, fresh(held, connected(0)))
        await wait_until(lambda: len(texts(ccm, held)) == 7)
    assert [message["header"]["entities"]["bridge"]["event"] for message in ccm.record.messages(held)][3:] == [
        "transfer.requested",
        "utterance",
        "utterance",
        "transfer.connected",
    ]


async def test_ccm_down_then_up_loses_nothing(redis_url: str, redis: Redis, ccm: CcmStandIn) -> None:
    calls = [CallId(f"call-{number}") for number in range(6)]
    async with running(redis_url, ccm, longest_retry_s=0.5) as health, httpx.AsyncClient(trust_env=False) as client:
        await ccm.go_down()
        for call in calls:
            await append(redis, *talk(call, 3))

        async def ccm_is_told_down() -> bool:
            answer = await client.get(f"{health}/health")
            return answer.status_code == 200 and "does not serve" in answer.json()["ccm"]

        await wait_until(ccm_is_told_down)
        await ccm.come_up()
        await wait_until(lambda: len(ccm.record.taken()) == 6 * 4, within_s=30)
    assert all(texts(ccm, call) == told(3) for call in calls)
    assert set(ccm.record.max_in_flight.values()) == {1}


async def test_a_refused_message_parks_nothing(redis_url: str, redis: Redis, ccm: CcmStandIn) -> None:
    bad, good = CallId("bad"), CallId("good")
    ccm.behave(Behaviour(mode=Mode.FAIL, status=400, text="Turn 1", call=bad))
    async with running(redis_url, ccm):
        await append(redis, *talk(bad, 4))
        await append(redis, *talk(good, 4))
        await wait_until(lambda: len(texts(ccm, bad)) == 4 and len(texts(ccm, good)) == 5)
    assert texts(ccm, bad) == ["Call started", "Turn 0", "Turn 2", "Turn 3"]
    assert [arrival.outcome for arrival in ccm.record.arrivals].count("refused") + [
        arrival.outcome for arrival in ccm.record.arrivals
    ].count("failed") == 1


async def test_a_hanging_call_delays_no_other(redis_url: str, redis: Redis, ccm: CcmStandIn) -> None:
    stuck = CallId("stuck")
    ccm.behave(Behaviour(mode=Mode.HANG, call=stuck))
    others = [CallId(f"call-{number}") for number in range(5)]
    async with running(redis_url, ccm, request_timeout_s=5):
        await append(redis, *talk(stuck, 2))
        await wait_until(lambda: ccm.record.arrivals)
        for call in others:
            await append(redis, *talk(call, 3))
        await wait_until(lambda: all(texts(ccm, call) == told(3) for call in others), within_s=4)
        assert texts(ccm, stuck) == []
        ccm.behave()
        await wait_until(lambda: texts(ccm, stuck) == told(2))


async def test_dropped_answers_are_repeated_with_the_same_bytes(redis_url: str, redis: Redis, ccm: CcmStandIn) -> None:
    call = CallId("dropped")
    ccm.behave(Behaviour(mode=Mode.DROP, times=2))
    async with running(redis_url, ccm):
        await append(redis, *talk(call, 2))
        await wait_until(lambda: len(texts(ccm, call)) == 3 and ccm.record.taken(call)[-1].outcome == "accepted")
    bodies: dict[str, set[bytes]] = {}
    for arrival in ccm.record.taken(call):
        bodies.setdefault(arrival.id, set()).add(arrival.raw)
    assert all(len(same) == 1 for same in bodies.values())
    assert texts(ccm, call) == told(2)


async def test_a_text_that_does_not_come_is_passed_over_in_time_and_sent_late(
    redis_url: str, redis: Redis, ccm: CcmStandIn
) -> None:
    """The wait is a wake in Redis: nothing but time moves the call on."""
    call = CallId("late")
    begun, done = speaking(call, "slow", speaker=BILLING), said(call, "slow", "Slow", speaker=BILLING)
    async with running(redis_url, ccm, text_wait_s=0.3):
        events = talk(call, 1)
        await append(redis, events[0], fresh(call, begun), *events[1:], fresh(call, ended_speaking("slow", 0)))
        await wait_until(lambda: texts(ccm, call) == ["Call started", "Turn 0"])
        await append(redis, fresh(call, done))
        await wait_until(lambda: texts(ccm, call) == ["Call started", "Turn 0", "Slow"])
    late = ccm.record.messages(call)[-1]["header"]
    assert late["entities"]["bridge"]["late"] is True
    assert late["providerMessageId"] == "late:2"


async def test_a_transfer_without_outcome_lets_go_in_the_end(redis_url: str, redis: Redis, ccm: CcmStandIn) -> None:
    call = CallId("forgotten")
    async with running(redis_url, ccm, hold_s=0.5):
        await append(redis, *talk(call, 1), fresh(call, requested(0)))
        await wait_until(lambda: len(texts(ccm, call)) == 3)
    assert texts(ccm, call)[2].startswith("billing asks for a human agent")


async def test_a_place_of_several_messages_is_sent_whole_and_in_order(
    redis_url: str, redis: Redis, ccm: CcmStandIn
) -> None:
    call = CallId("legs")
    async with running(redis_url, ccm, call_legs="human"):
        outcome = [fresh(call, one) for one in (requested(0), connected(0), call_ended(0))]
        await append(redis, *talk(call, 1), *outcome)
        await wait_until(lambda: len(texts(ccm, call)) == 7)
    intents = [message["header"].get("intent") for message in ccm.record.messages(call)]
    assert intents[3:] == [None, "CALL_LEG_STARTED", "CALL_LEG_ENDED", "END_CHAT"]
