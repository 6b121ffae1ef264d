"""Nothing that lies in a log, and nothing a handler answers, ends the process: the next one would be given the same."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from call_events import keys
from call_events.admin import Admin
from call_events.catalogue import Speaker
from call_events.claims import GroupClaims
from call_events.clock import SystemClock
from call_events.consumer import Consumer, ConsumerOptions, ParkCall
from call_events.ids import CallId
from call_events.ports import CallView, Handler, Progress, Receipt
from call_events.reader import create_groups
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.testing import speaking, started
from call_events.upkeep import Upkeep
from call_events.workbench import Workbench
from support.waiting import wait_until

BROKEN, FINE = CallId("broken"), CallId("fine")
QUICK = ConsumerOptions(
    lease_s=1.0, sweep_s=0.2, wake_poll_s=0.1, trim_s=0.05, first_pause_s=0.02, longest_pause_s=0.05, max_attempts=2
)
SPOKEN = "my card is 4929 1234"


@asynccontextmanager
async def consuming(redis: Redis, handler: Handler) -> AsyncIterator[Consumer]:
    consumer = Consumer(redis, group="g", worker="w1", handler=handler, options=QUICK)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.run())
        try:
            yield consumer
        finally:
            consumer.stop()


async def everything(view: CallView) -> Progress:
    return Progress(through=len(view.events))


async def reaches(redis: Redis, call: CallId, seq: int) -> None:
    async def there() -> bool:
        return (await Admin(redis).state("g", call)).cursor == seq

    await wait_until(there, what=f"{call} is handled up to {seq}")


async def parked(redis: Redis, call: CallId = BROKEN) -> str:
    async def is_parked() -> bool:
        return (await Admin(redis).state("g", call)).parked is not None

    await wait_until(is_parked, what=f"{call} is parked")
    return (await Admin(redis).state("g", call)).parked or ""


async def opened(redis: Redis, calls: Sequence[CallId] = (BROKEN, FINE)) -> RedisEventLog:
    log = RedisEventLog(redis)
    for call in calls:
        await log.append(started(call))
    return log


@pytest.mark.parametrize("bad", [object(), {1, 2}, "\ud800", 2**70], ids=["object", "set", "lone surrogate", "huge"])
async def test_a_receipt_that_cannot_be_written_parks_its_call_only(redis: Redis, bad: object) -> None:
    async def handler(view: CallView) -> Progress:
        detail = {"answer": bad} if view.call == BROKEN else {}
        return Progress(through=len(view.events), receipts=(Receipt(1, "delivered", detail),))

    async with consuming(redis, handler):
        log = await opened(redis)
        assert "cannot be drained after event 0" in await parked(redis)
        await log.append(speaking(FINE, "u1"))
        await reaches(redis, FINE, 2)
    assert (await Admin(redis).state("g", BROKEN)).cursor == 0


@pytest.mark.parametrize("stored", [b"not json", b"{}", b"\xff"])
async def test_a_stored_receipt_that_cannot_be_read_parks_its_call_only(redis: Redis, stored: bytes) -> None:
    log = await opened(redis)
    at = keys.group_keys("g", BROKEN)
    await redis.xadd(at.receipts, {"r": stored})
    await redis.hset(at.state, "ep", "1")  # it has been held before, so the receipts are read

    async with consuming(redis, everything):
        assert "cannot be drained" in await parked(redis)
        await log.append(speaking(FINE, "u1"))
        await reaches(redis, FINE, 2)


async def test_a_reason_that_cannot_be_written_parks_the_call_with_one_that_can(redis: Redis) -> None:
    async def handler(view: CallView) -> Progress:
        if view.call == BROKEN:
            raise ParkCall("half a character \ud800")
        return await everything(view)

    async with consuming(redis, handler):
        await opened(redis)
        reason = await parked(redis)
        await reaches(redis, FINE, 1)
    assert "an argument cannot be sent" in reason


async def test_a_parked_call_goes_on_once_what_was_broken_is_mended(redis: Redis) -> None:
    mended = False

    async def handler(view: CallView) -> Progress:
        detail = {} if mended else {"answer": object()}
        return Progress(through=len(view.events), receipts=(Receipt(1, "delivered", detail),))

    async with consuming(redis, handler):
        await opened(redis, [BROKEN])
        await parked(redis)
        mended = True
        assert await Admin(redis).unpark("g", BROKEN)
        await reaches(redis, BROKEN, 1)


async def test_what_was_said_is_in_no_log_line_and_no_dead_letter_when_a_handler_fails(redis: Redis) -> None:
    async def handler(view: CallView) -> Progress:
        if view.call == BROKEN:
            Speaker.model_validate({"role": SPOKEN, "name": {"x": SPOKEN}})
        raise KeyError(SPOKEN)

    with capture_logs() as lines:
        async with consuming(redis, handler):
            await opened(redis)
            reasons = [await parked(redis), await parked(redis, FINE)]
            letters = await Admin(redis).set_aside("g")

    everything_told = f"{lines} {letters} {reasons}"
    assert SPOKEN not in everything_told
    assert "4929" not in everything_told
    assert "ValidationError of Speaker at log/test_poison.py:" in reasons[0]
    assert "role (" in reasons[0]
    assert "KeyError at log/test_poison.py:" in reasons[1]
    assert any(line["event"] == "call.failed_for_good" and line["way"] for line in lines)


async def test_a_server_that_was_emptied_ends_no_consumer(redis: Redis) -> None:
    async with consuming(redis, everything) as consumer:
        await opened(redis)
        await reaches(redis, FINE, 1)
        for _ in range(3):
            await redis.flushall()
            log = await opened(redis)
            await log.append(speaking(FINE, "u1"))
            await reaches(redis, FINE, 2)
        assert consumer.status().reading


def upkeep(redis: Redis, bench: Workbench, *, lease_s: float = 60) -> Upkeep:
    claims = GroupClaims(ScriptRunner(redis), group="g", worker="w1", lease_ms=int(lease_s * 1000), max_events=10)
    return Upkeep(
        redis,
        claims,
        bench,
        group="g",
        worker="w1",
        options=ConsumerOptions(lease_s=lease_s),
        clock=SystemClock(),
        stopping=asyncio.Event(),
    )


@pytest.mark.parametrize("job", ["trim", "reclaim", "renew", "sweep", "wake"])
async def test_a_side_task_that_finds_no_streams_makes_the_groups_again(redis: Redis, job: str) -> None:
    jobs = upkeep(redis, Workbench(4))
    await jobs._bear_outages(getattr(jobs, job))

    if job in ("trim", "reclaim"):
        for tag in keys.TAGS:
            (group,) = await redis.xinfo_groups(keys.bell(tag))
            assert group["name"] == b"g"


async def test_abandoned_tokens_behind_many_that_are_in_work_are_found(redis: Redis) -> None:
    """The server looks at ten entries per token asked for; from the beginning each time it would see the same ones."""
    await create_groups(redis, "g")
    bell = keys.bell(keys.tag_of(BROKEN))
    tokens = [await redis.xadd(bell, {"c": BROKEN, "n": number}) for number in range(35)]
    await redis.xreadgroup("g", "busy", {bell: ">"}, count=100)
    await redis.xclaim(bell, "g", "dead", 0, (tokens[-1],), idle=1_000_000, justid=True)
    bench = Workbench(1)
    jobs = upkeep(redis, bench)

    for _ in range(4):
        await jobs.reclaim()

    assert bench.waiting == 1


@pytest.mark.parametrize("fields", [{"x": "y"}, {"c": "no call/{}"}, {"c": b"\xff"}])
@pytest.mark.parametrize("by", ["read", "reclaimed"])
async def test_a_doorbell_that_names_no_call_is_passed_over_and_told_without_its_content(
    redis: Redis, fields: dict[str, bytes | str], by: str
) -> None:
    await create_groups(redis, "g")
    bell = keys.call_keys(FINE).bell
    raw: Any = fields
    await redis.xadd(bell, raw)
    if by == "reclaimed":
        await redis.xreadgroup("g", "a dead worker", {bell: ">"})
    await RedisEventLog(redis).append(started(FINE))
    with capture_logs() as lines:
        async with consuming(redis, everything):
            await reaches(redis, FINE, 1)

            async def all_done() -> bool:
                return bool((await redis.xpending(bell, "g"))["pending"] == 0)

            await wait_until(all_done, what="the bad one is acknowledged")
    (told,) = [line for line in lines if line["event"] == "consumer.bad_doorbell"]
    assert told["bell"] == bell
    assert "no call" not in str(told)


@pytest.mark.parametrize("fields", [{"x": "y"}, {"c": b"\xff"}])
async def test_what_names_no_call_ends_no_side_task(redis: Redis, fields: dict[str, bytes | str]) -> None:
    await create_groups(redis, "g")
    await RedisEventLog(redis).append(started(FINE))
    at, tag, raw = keys.call_keys(FINE), keys.tag_of(FINE), dict[Any, Any](fields)
    await redis.zadd(keys.live(tag), {b"\xff": 0})
    await redis.zadd(keys.wake(tag, "g"), {b"\xff": 0})
    await redis.xadd(at.bell, raw)
    jobs = upkeep(redis, Workbench(4))
    await jobs.sweep()
    await jobs.wake()
    await redis.xreadgroup("g", "w1", {at.bell: ">"})
    await jobs.hand_back()
