"""Further doorbells of a call, shown with the one that claims it: they need no claim of their own, and lose nobody."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from call_events import keys
from call_events.claims import Claim, Refusal
from call_events.consumer import Consumer
from call_events.ports import CallView, Progress
from call_events.redis_log import RedisEventLog
from call_events.testing import speaking, started
from support.log_model import Mutate
from support.log_model.directed import CALL, GROUP, OTHER_CALL, Directed, playing
from support.log_model.mutants import ACKS_ANY_CALLS_LATER, BUSY_ACKS_THE_HOLDERS_AMONG_LATER
from support.waiting import wait_until


async def pending(play: Directed) -> set[bytes]:
    found: Any = await play.redis.xpending_range(play.bell, GROUP, "-", "+", 20)
    return {one["message_id"] for one in found}


async def test_where_nothing_is_new_they_are_acknowledged_and_an_event_that_comes_rings_anew(redis: Redis) -> None:
    play = await playing(redis)
    a, _, _ = play.workers
    await play.accept("first")
    await play.accept("second")
    await play.accept("third")
    held = await play.takes(a)
    assert await a.claims.commit(held, to=3, seen=3) is None
    first, second = await play.doorbell(a), await play.doorbell(a)
    later = {second.decode(): None}
    assert await a.claims.claim(CALL, first.decode(), later) is Refusal.NOTHING_NEW
    assert (later, await pending(play)) == ({}, set())
    await play.accept("fourth")
    assert isinstance(await a.claims.claim(CALL, (await play.doorbell(a)).decode()), Claim)


async def test_of_a_call_with_something_to_do_they_stay_until_its_commit(redis: Redis) -> None:
    play = await playing(redis)
    a, _, _ = play.workers
    await play.accept("first")
    await play.accept("second")
    first, second = await play.doorbell(a), await play.doorbell(a)
    later = {second.decode(): None}
    assert isinstance(await a.claims.claim(CALL, first.decode(), later), Claim)
    assert (later, await pending(play)) == ({second.decode(): None}, {first, second})


async def is_told_busy_with_the_holders_own_among_the_later(redis: Redis, mutate: Mutate | None = None) -> None:
    """B holds the call by a token that A sits on as well; A claims with another, and B dies."""
    play = await playing(redis, mutate)
    a, b, _ = play.workers
    await play.accept("first")
    await play.accept("second")
    token, another = await play.doorbell(a), await play.doorbell(a)
    await play.take(b, token)
    await play.claim(b)
    later = {token.decode(): None}
    assert await a.claims.claim(CALL, another.decode(), later) is Refusal.BUSY
    assert not later
    await play.check()


async def test_a_holders_own_token_is_never_acknowledged_among_them(redis: Redis) -> None:
    await is_told_busy_with_the_holders_own_among_the_later(redis)
    with pytest.raises(AssertionError, match="I6"):
        await is_told_busy_with_the_holders_own_among_the_later(redis, BUSY_ACKS_THE_HOLDERS_AMONG_LATER)


async def shows_another_calls_token(redis: Redis, mutate: Mutate | None = None) -> None:
    """As after a fail-over to a server that gave a token's id anew."""
    play = await playing(redis, mutate)
    a, _, _ = play.workers
    await play.accept("first")
    await play.accept("second")
    await play.accept("its first", OTHER_CALL)
    await play.take(a, await play.doorbell(a))
    await play.claim(a)
    await play.commit(a, finish=True)
    mine, others = await play.doorbell(a), await play.doorbell(a)
    assert await a.claims.claim(CALL, mine.decode(), {others.decode(): None}) is Refusal.NOTHING_NEW
    await play.check()


async def test_another_calls_token_is_never_acknowledged_among_them(redis: Redis) -> None:
    await shows_another_calls_token(redis)
    with pytest.raises(AssertionError, match="I6"):
        await shows_another_calls_token(redis, ACKS_ANY_CALLS_LATER)


async def test_a_thousand_doorbells_of_a_call_that_is_done_cost_some_claims_and_not_a_thousand(redis: Redis) -> None:
    call, events = CALL, 1000
    log = RedisEventLog(redis)
    await log.append(started(call))
    for number in range(events):
        await log.append(speaking(call, f"u{number}"))

    async def handler(view: CallView) -> Progress:
        return Progress(through=len(view.events))

    consumer = Consumer(redis, group="g", worker="w", handler=handler)
    bell = keys.call_keys(call).bell

    async def all_acknowledged() -> bool:
        groups = await redis.xinfo_groups(bell)
        return bool(groups) and not groups[0]["lag"] and not groups[0]["pending"]

    await redis.config_resetstat()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.run())
        try:
            await wait_until(all_acknowledged, within_s=20, what="every doorbell is acknowledged")
        finally:
            consumer.stop()
    stats: Any = await redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] < events / 4
