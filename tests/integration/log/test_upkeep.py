"""What keeps calls going when doorbells get lost, and what it costs."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from structlog.testing import capture_logs

from call_events import keys
from call_events.claims import GroupClaims
from call_events.clock import SystemClock
from call_events.consumer import ConsumerOptions
from call_events.ids import CallId
from call_events.ports import CallView, Progress
from call_events.reader import create_groups
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.sweeper import Sweeper
from call_events.testing import ManualClock, speaking, started
from call_events.trimmer import Trimmer
from integration.log.test_faults import QUICK, at, consuming, everything
from support.waiting import wait_until

CALL = CallId("call-1")
BELL = keys.bell(keys.tag_of(CALL))
ALWAYS = ConsumerOptions(sweep_s=0.001, sweep_calls_per_s=1_000_000)


def sweeper(redis: Redis, *, worker: str = "w1", options: ConsumerOptions = ALWAYS) -> Sweeper:
    claims = GroupClaims(ScriptRunner(redis), group="g", worker=worker, lease_ms=1000, max_events=10)
    return Sweeper(redis, claims, group="g", worker=worker, options=options, clock=SystemClock())


async def doorbells(redis: Redis) -> int:
    return int(await redis.xlen(BELL))


@pytest.fixture
async def opened(redis: Redis) -> Redis:
    """One call with one event and one unread doorbell."""
    await create_groups(redis, "g")
    await RedisEventLog(redis).append(started(CALL))
    return redis


async def test_a_call_whose_doorbell_is_merely_unread_is_not_rung_for(opened: Redis) -> None:
    await sweeper(opened).sweep()
    assert await doorbells(opened) == 1


async def test_a_call_whose_doorbell_is_pending_is_not_rung_for(opened: Redis) -> None:
    """Also when its worker has died: it is reclaimed, one lease later."""
    await opened.xreadgroup("g", "dead", {BELL: ">"})
    await sweeper(opened).sweep()
    assert await doorbells(opened) == 1


async def test_a_call_whose_doorbell_is_lost_is_rung_for_once(opened: Redis) -> None:
    await opened.xtrim(BELL, maxlen=0, approximate=False)
    with capture_logs() as lines:
        await sweeper(opened).sweep()
        await sweeper(opened).sweep()
    assert await doorbells(opened) == 1
    assert [(line["event"], line["calls"]) for line in lines] == [("consumer.swept", 1)]


async def test_a_lost_doorbell_is_found_among_others_of_its_shard(opened: Redis) -> None:
    """One call waits unread, one is stuck in a slow handler, one was lost."""
    same_shard = [c for c in (CallId(f"call-{n}") for n in range(2, 200)) if keys.tag_of(c) == keys.tag_of(CALL)]
    stuck, unread = same_shard[:2]
    await opened.xtrim(BELL, maxlen=0, approximate=False)
    await RedisEventLog(opened).append(started(stuck))
    await opened.xreadgroup("g", "slow", {BELL: ">"})
    await RedisEventLog(opened).append(started(unread))
    await sweeper(opened).sweep()
    newest: Any = await opened.xrevrange(BELL, count=1)
    assert await doorbells(opened) == 3
    assert newest[0][1][b"c"] == CALL.encode()


async def test_a_pending_doorbell_that_was_trimmed_away_is_rung_again(opened: Redis) -> None:
    await opened.xreadgroup("g", "dead", {BELL: ">"})
    await opened.xtrim(BELL, maxlen=0, approximate=False)
    await sweeper(opened).sweep()
    assert await doorbells(opened) == 1


async def test_workers_that_are_behind_are_not_rung_for_on_top(opened: Redis) -> None:
    async with opened.pipeline(transaction=False) as pipe:
        for _ in range(2500):
            pipe.xadd(BELL, {"c": "other", "n": 1})
        await pipe.execute()
    oldest: Any = await opened.xrange(BELL, count=1)
    await opened.xdel(BELL, oldest[0][0])
    before = await doorbells(opened)
    await sweeper(opened).sweep()
    assert await doorbells(opened) == before


async def commands(redis: Redis, names: Sequence[str]) -> int:
    stats = await redis.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in names)


async def test_a_round_costs_the_same_however_many_workers_there_are(opened: Redis) -> None:
    log = RedisEventLog(opened)
    for number in range(300):
        await log.append(started(CallId(f"many-{number}")))
    options = ConsumerOptions(sweep_s=60, sweep_calls_per_s=1_000_000)
    looks = ("hmget", "xlen")
    costs = []
    for workers in (1, 5):
        await opened.delete(*[keys.sweep(tag, "g") for tag in keys.TAGS])
        before = await commands(opened, looks)
        async with asyncio.TaskGroup() as tasks:
            for number in range(workers):
                tasks.create_task(sweeper(opened, worker=f"w{number}", options=options).sweep())
        costs.append(await commands(opened, looks) - before)
    assert costs[0] == costs[1] == 2 * 301


async def test_a_round_keeps_to_its_pace(opened: Redis) -> None:
    async with opened.pipeline(transaction=False) as pipe:
        for number in range(300):
            pipe.zadd(keys.live(keys.tag_of(CALL)), {f"open-{number}": number})
        await pipe.execute()
    began = asyncio.get_running_loop().time()
    await sweeper(opened, options=ConsumerOptions(sweep_s=60, sweep_calls_per_s=1000)).sweep()
    assert asyncio.get_running_loop().time() - began >= 0.3, "301 calls of one shard at 1,000 a second"


async def test_load_alone_makes_the_sweeper_ring_for_nobody(redis: Redis) -> None:
    """Slow handlers, more calls than slots, and a sweep at every moment."""
    calls = [CallId(f"call-{n}") for n in range(60)]

    async def slow(view: CallView) -> Progress:
        await asyncio.sleep(0.005)
        return Progress(through=view.cursor + 1)

    before = REGISTRY.get_sample_value("cc_eventlog_swept_total", {"group": "g"}) or 0
    log = RedisEventLog(redis)
    async with consuming(redis, slow, options=ConsumerOptions(slots=4, sweep_s=0.01)):
        for number in range(4):
            for call in calls:
                await log.append(speaking(call, f"u{number}") if number else started(call))
        for call in calls:
            await wait_until(lambda c=call: at(redis, 4, c))
    assert (REGISTRY.get_sample_value("cc_eventlog_swept_total", {"group": "g"}) or 0) - before == 0


async def test_a_group_that_nobody_reads_as_is_told_of_and_keeps_its_doorbells(redis: Redis) -> None:
    await create_groups(redis, "gone")
    await create_groups(redis, "g")
    clock = ManualClock()
    old_ms = int((clock.now().timestamp() - 3600) * 1000)
    async with redis.pipeline(transaction=False) as pipe:
        for number in range(10_500):
            pipe.xadd(BELL, {"c": CALL, "n": 1}, id=f"{old_ms + number}-0")
        await pipe.execute()
    await redis.xgroup_setid(BELL, "g", "$")
    trimmer = Trimmer(redis, group="g", clock=clock)
    with capture_logs() as lines:
        await trimmer.trim()
        await trimmer.trim()
    (line,) = lines
    assert (line["event"], line["group"], line["doorbells"]) == ("consumer.bell_grows", "gone", 10_500)
    assert "XGROUP DESTROY" in line["mend"]
    assert await doorbells(redis) == 10_500
    assert REGISTRY.get_sample_value("cc_eventlog_bell_length", {"shard": keys.tag_of(CALL)}) == 10_500

    for tag in keys.TAGS:
        await redis.xgroup_destroy(keys.bell(tag), "gone")
    await trimmer.trim()
    assert await doorbells(redis) <= 1000


async def test_a_pending_doorbell_is_never_trimmed_however_many_came_after_it(opened: Redis) -> None:
    """XAUTOCLAIM would drop it without a word, and its call with it."""
    for number in range(500):
        await RedisEventLog(opened).append(speaking(CALL, f"u{number}"))
    taken: Any = await opened.xreadgroup("g", "slow", {BELL: ">"})
    first, *others = [entry for entry, _ in taken[BELL.encode()][0]]
    await opened.xack(BELL, "g", *others)
    await Trimmer(opened, group="g", clock=SystemClock()).trim()
    assert await doorbells(opened) == 501
    await opened.xack(BELL, "g", first)
    await Trimmer(opened, group="g", clock=SystemClock()).trim()
    assert await doorbells(opened) < 501


async def test_a_call_that_was_rung_for_is_handled(redis: Redis) -> None:
    await RedisEventLog(redis).append(started(CALL))
    await redis.xtrim(BELL, maxlen=0, approximate=False)
    async with consuming(redis, everything, options=QUICK), consuming(redis, everything, worker="w2", options=QUICK):
        await wait_until(lambda: at(redis, 1), within_s=5)
