"""What is kept of a call between claims: how little is read again, what is let go, and what must never be believed."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from call_events import keys
from call_events.admin import Admin
from call_events.claims import Claim, GroupClaims
from call_events.consumer import Consumer, ConsumerOptions, ParkCall
from call_events.entries import Entry
from call_events.errors import LogDamaged
from call_events.held import Held
from call_events.ids import CallId
from call_events.ports import CallView, Handler, Progress, Receipt
from call_events.reader import create_groups
from call_events.redis_log import RedisEventLog
from call_events.runner import Arg, ScriptRunner
from call_events.testing import ManualClock, ended, said, speaking, started
from call_events.views import Known, Views
from support.waiting import wait_until

CALL, OTHER = CallId("call-1"), CallId("call-2")
ROOM = 10**7
QUICK = ConsumerOptions(lease_s=1.0, wake_poll_s=0.1, first_pause_s=0.02, longest_pause_s=0.05)


class CountingRunner(ScriptRunner):
    """Knows how many events were read to catch up with a call."""

    caught_up: int = 0

    async def ask(self, *commands: Sequence[Arg]) -> list[Any]:
        events, receipts = await super().ask(*commands)
        self.caught_up += len(events)
        return [events, receipts]


class Worker:
    """A worker by hand: claims, looks, commits."""

    def __init__(self, redis: Redis, name: str, *, max_bytes: int = ROOM) -> None:
        self.redis = redis
        self.name = name
        self.clock = ManualClock()
        self.runner = CountingRunner(redis)
        self.claims = GroupClaims(self.runner, group="g", worker=name, lease_ms=60_000, max_events=500)
        self.views = Views(self.claims, clock=self.clock, max_bytes=max_bytes, dice=random.Random(6))

    async def take(self, call: CallId = CALL) -> tuple[Held, Known]:
        """Claim a call that has something new."""
        (token, _), *_ = (await self.redis.xrevrange(keys.bell(keys.tag_of(call)), count=1)) or [(None, None)]
        assert isinstance(token, bytes)
        await self.redis.xgroup_setid(keys.bell(keys.tag_of(call)), "g", "0")
        await self.redis.xreadgroup("g", self.name, {keys.bell(keys.tag_of(call)): ">"})
        claim = await self.claims.claim(call, token.decode())
        assert isinstance(claim, Claim)
        held = Held(call, token.decode(), epoch=claim.epoch, cursor=claim.cursor)
        return held, await self.views.load(call, claim)

    async def finish(self, held: Held, known: Known, *receipts: Receipt) -> None:
        """Commit all that there is, and let go."""
        while True:
            seen = len(known.view(held).events)
            more = await self.claims.commit(held, to=seen, seen=seen, receipts=receipts)
            known.committed(held, receipts)
            if more is None:
                break
            known.extend(more)
            receipts = ()
        self.views.keep(known)

    async def turn(self, call: CallId = CALL, *receipts: Receipt) -> CallView:
        """Take the call and finish with it; what was shown."""
        held, known = await self.take(call)
        view = known.view(held)
        view = replace(view, events=tuple(view.events), receipts=tuple(view.receipts))  # good for longer than the turn
        await self.finish(held, known, *receipts)
        return view


@pytest.fixture
async def log(redis: Redis) -> RedisEventLog:
    await create_groups(redis, "g")
    return RedisEventLog(redis)


async def spoken(log: RedisEventLog, count: int, call: CallId = CALL) -> None:
    for number in range(count):
        await log.append(said(call, f"u{number}", "Hello."))


def delivered(seq: int) -> Receipt:
    return Receipt(seq, "delivered", {"id": f"m{seq}"})


async def test_a_call_another_worker_has_had_is_caught_up_with_not_read_again(redis: Redis, log: RedisEventLog) -> None:
    a, b = Worker(redis, "a"), Worker(redis, "b")
    await log.append(started(CALL))
    await spoken(log, 300)
    await a.turn(CALL, *map(delivered, range(1, 302)))
    await spoken(log, 2)
    await b.turn(CALL, delivered(302), delivered(303))
    await spoken(log, 1)

    view = await a.turn(CALL, delivered(304))

    assert a.runner.caught_up == 3, "the two that were missed, and the last one known, to see that it is still there"
    assert b.runner.caught_up == 301, "what was there before it came"
    assert list(view.events) == list(await log.read(CALL))
    assert list(view.receipts) == list(map(delivered, range(1, 304)))


async def test_a_call_nobody_else_has_had_costs_no_read_at_all(redis: Redis, log: RedisEventLog) -> None:
    worker = Worker(redis, "a")
    await log.append(started(CALL))
    for number in range(5):
        await worker.turn(CALL, delivered(number))
        await spoken(log, 1)
    view = await worker.turn()

    assert worker.runner.caught_up == 0
    assert list(view.receipts) == list(map(delivered, range(5)))


async def test_a_finished_call_is_forgotten_at_once(redis: Redis, log: RedisEventLog) -> None:
    worker = Worker(redis, "a")
    await log.append(started(CALL))
    await worker.turn()
    assert worker.views.size > 0
    await log.append(ended(CALL))
    await worker.turn()
    assert worker.views.size == 0


async def test_what_does_not_fit_loses_its_bytes_first_and_what_was_worked_out_last(
    redis: Redis, log: RedisEventLog
) -> None:
    calls = [CallId(f"call-{n}") for n in range(40)]
    worker = Worker(redis, "a", max_bytes=500_000)
    for call in calls:
        await log.append(started(call))
        await spoken(log, 20, call)
        view = await worker.turn(call)
        view.memory["count"] = len(view.events)
        assert worker.views.size <= 500_000
    for call in calls:
        await spoken(log, 1, call)
        view = await worker.turn(call)
        assert view.memory["count"] == 21
        assert list(view.events) == list(await log.read(call))
        assert worker.views.size <= 500_000
    assert 0 < worker.runner.caught_up < len(calls) * 21, "some had their events still"


async def test_a_call_nobody_has_asked_for_in_a_minute_goes_before_any_other(redis: Redis, log: RedisEventLog) -> None:
    worker = Worker(redis, "a", max_bytes=60_000)
    for call, count in ((OTHER, 20), (CALL, 40)):
        await log.append(started(call))
        await spoken(log, count, call)
    (await worker.turn(OTHER)).memory["here"] = True
    worker.clock.advance(61)
    (await worker.turn(CALL)).memory["here"] = True
    await spoken(log, 40)

    assert (await worker.turn(CALL)).memory
    assert worker.runner.caught_up == 0
    await spoken(log, 1, OTHER)
    assert not (await worker.turn(OTHER)).memory


async def test_a_call_comes_back_as_long_as_it_was_although_its_cursor_is_far_behind(
    redis: Redis, log: RedisEventLog
) -> None:
    """A handler that waits has folded more events than a claim brings, which begins at the cursor."""
    worker = Worker(redis, "a", max_bytes=5_000)
    worker.claims.max_events = 3
    await log.append(started(CALL))
    await spoken(log, 9)
    held, known = await worker.take()
    more: list[Entry] | None = []
    while more is not None:
        known.extend(more)
        seen = len(known.view(held).events)
        more = await worker.claims.commit(held, to=1, seen=seen, wake_at=worker.clock.now())
        known.committed(held, ())
    assert seen == 10
    worker.views.keep(known)
    await worker.claims.wake(CALL)

    _, again = await worker.take()

    assert list(again.events.so_far()) == list(await log.read(CALL))


@pytest.mark.parametrize("claims_there", [1, 5])
async def test_another_log_of_the_same_name_is_never_mixed_with_the_one_known(
    redis: Redis, log: RedisEventLog, claims_there: int
) -> None:
    """The server was emptied, or what had been read was lost with the old master; others may have gone on since."""
    worker, other = Worker(redis, "a"), Worker(redis, "b")
    await log.append(started(CALL))
    for _ in range(3):
        await spoken(log, 1)
        await worker.turn(CALL, delivered(1))
    await redis.flushdb()
    await create_groups(redis, "g")
    await log.append(started(CALL, language="de-DE"))
    for _ in range(claims_there):
        await log.append(speaking(CALL, "another"))
        await other.turn(CALL, delivered(2))
    await log.append(speaking(CALL, "last"))

    view = await worker.turn()

    assert list(view.events) == list(await log.read(CALL))
    assert list(view.receipts) == [delivered(2)] * claims_there
    assert not view.memory


async def test_a_log_that_lacks_an_event_is_not_read_as_if_it_had_it(redis: Redis, log: RedisEventLog) -> None:
    await log.append(started(CALL))
    await spoken(log, 3)
    await redis.xdel(keys.call_keys(CALL).stream, "0-2")
    with pytest.raises(LogDamaged, match=r"the log lacks event 2$"):
        await Worker(redis, "a").take()


@asynccontextmanager
async def consuming(redis: Redis, handler: Handler) -> AsyncIterator[Consumer]:
    consumer = Consumer(redis, group="g", worker="w1", handler=handler, options=QUICK)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.run())
        try:
            yield consumer
        finally:
            consumer.stop()


async def test_what_a_handler_noted_before_it_failed_is_gone_when_it_is_asked_again(
    redis: Redis, log: RedisEventLog
) -> None:
    found: list[bool] = []

    async def handler(view: CallView) -> Progress:
        found.append("noted" in view.memory)
        view.memory["noted"] = True
        if len(found) == 2:
            raise ConnectionRefusedError
        return Progress(through=len(view.events))

    async with consuming(redis, handler):
        await log.append(started(CALL))
        await wait_until(lambda: len(found) == 1)
        await spoken(log, 1)
        await wait_until(lambda: len(found) == 3)
    assert found == [False, True, False]


async def test_receipts_of_a_call_put_aside_are_in_the_view_when_it_goes_on(redis: Redis, log: RedisEventLog) -> None:
    seen: list[list[Receipt]] = []

    async def handler(view: CallView) -> Progress:
        seen.append(list(view.receipts))
        if len(seen) == 1:
            raise ParkCall("look at this", receipts=(delivered(1),))
        return Progress(through=len(view.events))

    admin = Admin(redis)
    async with consuming(redis, handler):
        await log.append(started(CALL))
        await wait_until(lambda: admin.unpark("g", CALL))
        await wait_until(lambda: len(seen) == 2)
    assert seen == [[], [delivered(1)]]


async def test_an_entry_that_is_no_event_is_told_once_however_often_it_is_looked_at(
    redis: Redis, log: RedisEventLog
) -> None:
    worker = Worker(redis, "a")
    await log.append(started(CALL))
    await redis.xadd(keys.call_keys(CALL).stream, {"e": b"not json"}, id="0-*")
    await redis.hset(keys.call_keys(CALL).dedupe, "stranger", "2")
    await spoken(log, 1500)
    with capture_logs() as lines:
        for _ in range(2):
            held, known = await worker.take()
            list(known.view(held).events)
            await worker.finish(held, known)
            await spoken(log, 1)
    assert [line["seq"] for line in lines if line["event"] == "event.undecodable"] == [2]
