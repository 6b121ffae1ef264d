"""The log and its consumers when something dies, forgets or gets lost. Real server, real processes, real signals."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from call_events import keys
from call_events.admin import Admin
from call_events.connection import connect
from call_events.consumer import Consumer, ConsumerOptions, ParkCall
from call_events.embedded import EmbeddedRedis
from call_events.errors import LogUnavailable
from call_events.ids import CallId
from call_events.ports import Appended, CallView, Handler, Progress
from call_events.redis_log import RedisEventLog
from call_events.testing import ended, speaking, started
from support.log_worker import GROUP as WITNESS
from support.waiting import wait_until

CALL = CallId("call-1")
QUICK = ConsumerOptions(lease_s=1.0, sweep_s=0.2, wake_poll_s=0.1, first_pause_s=0.05, longest_pause_s=0.2)


@asynccontextmanager
async def consuming(
    redis: Redis, handler: Handler, *, worker: str = "w1", options: ConsumerOptions = QUICK
) -> AsyncIterator[Consumer]:
    consumer = Consumer(redis, group="g", worker=worker, handler=handler, options=options)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.run())
        try:
            yield consumer
        finally:
            consumer.stop()


async def cursor(redis: Redis, call: CallId, group: str = "g") -> int:
    return (await Admin(redis).state(group, call)).cursor


async def everything(view: CallView) -> Progress:
    return Progress(through=len(view.events))


async def worker_process(url: str, name: str) -> asyncio.subprocess.Process:
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "support.log_worker", url, name, "1"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
    )


async def test_kill_nine_of_one_of_two_workers_loses_and_reorders_nothing(redis: Redis, redis_url: str) -> None:
    calls, each = [CallId(f"call-{n}") for n in range(30)], 12
    log = RedisEventLog(redis)
    victim, survivor = [await worker_process(redis_url, name) for name in ("victim", "survivor")]
    try:
        for call in calls:
            await log.append(started(call))
        await wait_until(lambda: redis.exists(f"witness:{calls[0]}"), what="the workers work")
        for number in range(each - 1):
            for call in calls:
                await log.append(speaking(call, f"u{number}"))
            if number == each // 2:
                victim.send_signal(signal.SIGKILL)
        for call in calls:
            await wait_until(lambda c=call: at_end(redis, c, each), within_s=20, what=f"{call} is finished")
        for call in calls:
            handled = [int(seq) for seq in await redis.lrange(f"witness:{call}", 0, -1)]
            first_times = list(dict.fromkeys(handled))
            assert first_times == list(range(1, each + 1))
            assert len(handled) <= each + 1, "at most the one event in hand is given twice"
            receipts = await Admin(redis).receipts(WITNESS, call)
            assert [receipt.seq for receipt in receipts] == list(range(1, each + 1))
    finally:
        survivor.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await survivor.wait() == 0
            await victim.wait()


async def at_end(redis: Redis, call: CallId, tail: int) -> bool:
    return await cursor(redis, call, WITNESS) == tail


async def test_what_was_appended_is_there_after_a_restart_and_consumers_go_on(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path) as server, connect(server.url) as redis:
        log = RedisEventLog(redis, deadline_s=10)
        await log.append(started(CALL))
        async with consuming(redis, everything) as consumer:
            await wait_until(lambda: at(redis, 1))
            await server.kill()
            async with asyncio.TaskGroup() as tasks:
                pending = tasks.create_task(log.append(speaking(CALL, "u1")))
                await server.start()
            assert pending.result() == Appended(seq=2, duplicate=False)
            await wait_until(lambda: at(redis, 2))
            assert consumer.status().reading
        assert [one.seq for one in await log.read(CALL)] == [1, 2]


async def at(redis: Redis, seq: int, call: CallId = CALL) -> bool:
    try:
        return await cursor(redis, call) == seq
    except LogUnavailable:
        return False


async def test_a_server_that_forgot_the_scripts_is_sent_them(redis: Redis) -> None:
    log = RedisEventLog(redis, deadline_s=0)
    await log.append(started(CALL))
    async with consuming(redis, everything):
        await wait_until(lambda: at(redis, 1))
        await redis.script_flush()
        assert (await log.append(speaking(CALL, "u1"))).seq == 2
        await redis.script_flush()
        assert (await log.append(ended(CALL))).seq == 3
        await wait_until(lambda: at(redis, 3))


async def test_a_lost_doorbell_is_rung_again_by_the_sweeper(redis: Redis) -> None:
    await RedisEventLog(redis).append(started(CALL))
    await redis.xtrim(keys.bell(keys.tag_of(CALL)), maxlen=0, approximate=False)

    async with consuming(redis, everything):
        await wait_until(lambda: at(redis, 1), within_s=5)


async def test_a_parked_call_disturbs_nobody_and_goes_on_where_it_was_when_unparked(redis: Redis) -> None:
    broken, fine = CallId("broken"), CallId("fine")
    log, admin = RedisEventLog(redis), Admin(redis)
    mended = False

    async def handler(view: CallView) -> Progress:
        if view.call == broken and not mended:
            raise ParkCall("no such channel", through=1)
        return Progress(through=len(view.events))

    async with consuming(redis, handler):
        for call in (broken, fine):
            await log.append(started(call))
            await log.append(speaking(call, "u1"))
        await wait_until(lambda: at(redis, 2, fine))
        await wait_until(lambda: admin.set_aside("g"))
        assert (await admin.state("g", broken)).parked == "no such channel"
        ((letter),) = await admin.set_aside("g")
        assert (letter.call, letter.seq, letter.kind, letter.why) == (broken, 2, "parked", "no such channel")
        await log.append(speaking(broken, "u2"))
        await log.append(speaking(fine, "u2"))
        await wait_until(lambda: at(redis, 3, fine))
        assert await cursor(redis, broken) == 1
        mended = True
        assert await admin.unpark("g", broken)
        await wait_until(lambda: at(redis, 3, broken))
        assert not await admin.unpark("g", broken)


async def test_an_unexpected_error_is_tried_again_and_then_parks_the_call(redis: Redis) -> None:
    attempts: list[int] = []

    async def handler(view: CallView) -> Progress:
        attempts.append(view.attempts)
        raise KeyError("channel")

    await RedisEventLog(redis).append(started(CALL))
    options = ConsumerOptions(max_attempts=3, first_pause_s=0.02, longest_pause_s=0.05, wake_poll_s=0.05)
    async with consuming(redis, handler, options=options):
        await wait_until(lambda: Admin(redis).set_aside("g"))

    assert attempts == [0, 1, 2]
    assert "failed 3 times" in ((await Admin(redis).state("g", CALL)).parked or "")


async def test_an_error_that_passes_is_tried_for_ever(redis: Redis) -> None:
    tries = 0

    async def handler(view: CallView) -> Progress:
        nonlocal tries
        tries += 1
        if tries <= 8:
            raise ConnectionRefusedError
        return Progress(through=len(view.events))

    await RedisEventLog(redis).append(started(CALL))
    options = ConsumerOptions(max_attempts=2, first_pause_s=0.01, longest_pause_s=0.02, wake_poll_s=0.05)
    async with consuming(redis, handler, options=options):
        await wait_until(lambda: at(redis, 1))
    assert tries == 9


async def test_a_wake_fires_after_the_worker_that_stored_it_has_gone(redis: Redis) -> None:
    due = datetime.now(UTC) + timedelta(seconds=0.6)

    async def waits(view: CallView) -> Progress:
        return Progress(through=0, wake_at=due)

    await RedisEventLog(redis).append(started(CALL))
    async with consuming(redis, waits, worker="first"):
        await wait_until(lambda: stored_wake(redis))

    asked_at: list[datetime] = []

    async def goes_on(view: CallView) -> Progress:
        asked_at.append(datetime.now(UTC))
        return await everything(view)

    async with consuming(redis, goes_on, worker="second"):
        await wait_until(lambda: at(redis, 1), within_s=5)
    assert asked_at[0] >= due - timedelta(milliseconds=5)


async def stored_wake(redis: Redis) -> bool:
    return (await Admin(redis).state("g", CALL)).wake_at is not None


async def test_a_new_event_is_handled_before_the_wake(redis: Redis) -> None:
    asked: list[int] = []

    async def waits(view: CallView) -> Progress:
        asked.append(len(view.events))
        if len(view.events) < 2:
            return Progress(through=0, wake_at=datetime.now(UTC) + timedelta(hours=1))
        return await everything(view)

    log = RedisEventLog(redis)
    async with consuming(redis, waits):
        await log.append(started(CALL))
        await wait_until(lambda: asked)
        await log.append(speaking(CALL, "u1"))
        await wait_until(lambda: at(redis, 2))
        assert not await stored_wake(redis)
    assert asked == [1, 2]


async def test_events_that_come_while_a_handler_runs_are_given_to_it_next(redis: Redis) -> None:
    running, go_on = asyncio.Event(), asyncio.Event()
    given: list[list[int]] = []

    async def handler(view: CallView) -> Progress:
        given.append([one.seq for one in view.new])
        running.set()
        await go_on.wait()
        return await everything(view)

    log = RedisEventLog(redis)
    async with consuming(redis, handler):
        await log.append(started(CALL))
        await running.wait()
        await log.append(speaking(CALL, "u1"))
        await log.append(speaking(CALL, "u2"))
        go_on.set()
        await wait_until(lambda: at(redis, 3))
    assert given == [[1], [2, 3]]


async def test_a_long_handler_keeps_its_call_by_renewing(redis: Redis) -> None:
    asked: list[str] = []
    go_on = asyncio.Event()

    def handler_of(name: str) -> Handler:
        async def handler(view: CallView) -> Progress:
            asked.append(name)
            await go_on.wait()
            return await everything(view)

        return handler

    short = ConsumerOptions(lease_s=0.4, sweep_s=0.1, wake_poll_s=0.1)
    async with (
        consuming(redis, handler_of("one"), worker="one", options=short),
        consuming(redis, handler_of("two"), worker="two", options=short),
    ):
        await RedisEventLog(redis).append(started(CALL))
        await wait_until(lambda: asked)
        state = keys.group_keys("g", CALL).state
        first = await redis.hget(state, "dl")
        await wait_until(lambda: deadline_moved(redis, state, first, by_ms=900))
        assert len(asked) == 1
        go_on.set()
        await wait_until(lambda: at(redis, 1))
    assert len(asked) == 1


async def deadline_moved(redis: Redis, state: str, first: Any, *, by_ms: int) -> bool:
    return int(await redis.hget(state, "dl") or 0) - int(first) > by_ms


async def test_a_lost_lease_cancels_the_handler(redis: Redis) -> None:
    cancelled = asyncio.Event()
    tries = 0

    async def handler(view: CallView) -> Progress:
        nonlocal tries
        tries += 1
        if tries > 1:
            return await everything(view)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError("unreachable")

    async with consuming(redis, handler, options=ConsumerOptions(lease_s=0.6, sweep_s=0.2, wake_poll_s=0.1)):
        await RedisEventLog(redis).append(started(CALL))
        await wait_until(lambda: tries)
        await redis.hincrby(keys.group_keys("g", CALL).state, "ep", 1)  # as if another worker had claimed it
        async with asyncio.timeout(5):
            await cancelled.wait()
        await wait_until(lambda: at(redis, 1), within_s=5)
    assert tries == 2


async def test_stopping_finishes_what_is_in_hand_and_hands_the_rest_to_the_next_worker(redis: Redis) -> None:
    calls = [CallId(f"call-{n}") for n in range(6)]
    in_hand, go_on = asyncio.Event(), asyncio.Event()
    by: dict[str, list[str]] = {"first": [], "second": []}

    async def slow(view: CallView) -> Progress:
        by["first"].append(view.call)
        in_hand.set()
        await go_on.wait()
        return await everything(view)

    async def quick(view: CallView) -> Progress:
        by["second"].append(view.call)
        return await everything(view)

    log = RedisEventLog(redis)
    for call in calls:
        await log.append(started(call))
    one_slot = ConsumerOptions(slots=1, lease_s=30)
    async with consuming(redis, slow, worker="first", options=one_slot) as first:
        await in_hand.wait()
        first.stop()
        first.stop()
        go_on.set()
    async with consuming(redis, quick, worker="second"):
        for call in calls:
            await wait_until(lambda c=call: at(redis, 1, c), within_s=10)
    assert len(by["first"]) == 1
    assert sorted(by["first"] + by["second"]) == sorted(calls)


async def test_a_handler_that_does_not_finish_in_the_budget_is_cut_and_its_call_goes_on_elsewhere(redis: Redis) -> None:
    in_hand = asyncio.Event()

    async def hangs(view: CallView) -> Progress:
        in_hand.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    await RedisEventLog(redis).append(started(CALL))
    async with consuming(redis, hangs, worker="first", options=ConsumerOptions(lease_s=30, stop_budget_s=0.1)):
        await in_hand.wait()
    async with consuming(redis, everything, worker="second"):
        await wait_until(lambda: at(redis, 1), within_s=5)


async def test_an_entry_that_is_no_event_is_passed_on_as_such(redis: Redis) -> None:
    await RedisEventLog(redis).append(started(CALL))
    await redis.xadd(keys.call_keys(CALL).stream, {"e": b"\xff not json"}, id="0-*")
    await redis.hset(keys.call_keys(CALL).dedupe, "stranger", "2")
    given: list[Any] = []

    async def handler(view: CallView) -> Progress:
        given[:] = [one.data for one in view.events]
        return await everything(view)

    async with consuming(redis, handler):
        await wait_until(lambda: at(redis, 2), within_s=5)
    assert given[1].wire_type == "undecodable"


async def test_read_doorbells_are_trimmed_but_never_one_that_somebody_still_needs(redis: Redis) -> None:
    log = RedisEventLog(redis)
    await log.append(started(CALL))
    await redis.xgroup_create(keys.bell(keys.tag_of(CALL)), "late", id="0")
    for number in range(300):
        await log.append(speaking(CALL, f"u{number}"))
    bell = keys.bell(keys.tag_of(CALL))
    async with consuming(redis, everything, options=ConsumerOptions(trim_s=0.05)):
        await wait_until(lambda: at(redis, 301))
        assert await redis.xlen(bell) == 301
        await redis.xgroup_destroy(bell, "late")
        await wait_until(lambda: shorter(redis, bell, 301))


async def shorter(redis: Redis, stream: str, than: int) -> bool:
    return await redis.xlen(stream) < than
