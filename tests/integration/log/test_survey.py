"""What is told of a log, its groups and its calls: against a real server, in every state a call can be in."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from call_events import keys, overview
from call_events.admin import Admin
from call_events.consumer import ConsumerOptions, ParkCall
from call_events.envelope import Event, EventData, now
from call_events.ids import CallId
from call_events.ports import CallView, Progress
from call_events.reader import create_groups
from call_events.redis_log import RedisEventLog
from call_events.registry import UnknownData
from call_events.runner import ScriptRunner
from call_events.survey import NEVER, CallStanding, survey
from call_events.testing import ended, speaking, started
from integration.log.test_faults import consuming
from support.waiting import wait_until

OPTIONS = ConsumerOptions(wake_poll_s=0.05, sweep_s=0.2, lease_s=5)


async def look(
    redis: Redis, groups: Sequence[str] = ("g",), *, least_events: int = NEVER
) -> tuple[int, int, dict[CallId, CallStanding]]:
    calls, done, found = 0, 0, dict[CallId, CallStanding]()
    async for page in survey(redis, ScriptRunner(redis), groups, least_events=least_events):
        calls, done = calls + page.calls, done + page.ended
        found |= {one.call: one for one in page.standings}
    return calls, done, found


class Each:
    """Parks one call, holds one, lets one wait, fails with one, finishes the others."""

    def __init__(self) -> None:
        self.holds = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, view: CallView) -> Progress:
        match view.call:
            case "parked":
                raise ParkCall("no such channel", through=1)
            case "held":
                self.holds.set()
                await self.let_go.wait()
            case "waits":
                return Progress(view.cursor, wake_at=now() + timedelta(minutes=5))
            case "fails":
                raise TimeoutError
        return Progress(len(view.events))


async def test_every_call_is_counted_and_only_the_unfinished_are_told(redis: Redis) -> None:
    log, handler = RedisEventLog(redis), Each()
    for name in ("parked", "held", "waits", "fails", "fine", "over"):
        await log.append(started(name))
        await log.append(speaking(name, "u1"))
    await log.append(ended("over"))
    async with consuming(redis, handler, worker="w1", options=OPTIONS):
        await handler.holds.wait()

        async def all_stand() -> bool:
            calls, done, found = await look(redis)
            return (calls, done, set(found)) == (6, 1, {"parked", "held", "waits", "fails"}) and all(
                (one.parked, one.wake_at, one.worker) != (None, None, None) for s in found.values() for one in s.groups
            )

        await wait_until(all_stand, what="four of six are unfinished")
        _, _, found = await look(redis)
        parked, held, waits, fails = (found[CallId(name)].groups[0] for name in ("parked", "held", "waits", "fails"))
        assert (parked.parked, parked.cursor, parked.behind) == ("no such channel", 1, 1)
        assert (held.worker, held.parked, held.behind) == ("w1", None, 2)
        assert 0 < held.lease_left_s <= 5
        assert (waits.worker, waits.event_type) == (None, "call.started.v1")
        assert waits.wake_at is not None
        assert waits.wake_at > now() + timedelta(minutes=4)
        assert fails.attempts > 0
        assert parked.event_type == "utterance.started.v1"
        assert parked.age_s is not None
        assert abs((now() - speaking("parked", "u1").time).total_seconds() - parked.age_s) < 60
        handler.let_go.set()


async def test_a_group_that_has_never_looked_is_told_of_every_call(redis: Redis) -> None:
    log = RedisEventLog(redis)
    for number in range(120):
        await log.append(started(f"call-{number}"))
    calls, done, found = await look(redis, ("g", "never"))
    assert (calls, done, len(found)) == (120, 0, 120)
    assert {tuple(one.group for one in call.groups) for call in found.values()} == {("g", "never")}


async def test_long_calls_are_told_when_asked_for(redis: Redis) -> None:
    log = RedisEventLog(redis)
    for name, length in (("short", 2), ("long", 9)):
        await log.append(started(name))
        for number in range(1, length):
            await log.append(speaking(name, f"u{number}"))

    async def everything(view: CallView) -> Progress:
        return Progress(len(view.events))

    async with consuming(redis, everything, options=OPTIONS):

        async def finished() -> bool:
            return (await look(redis))[2] == {}

        await wait_until(finished)
    _, _, found = await look(redis, least_events=5)
    assert {call: one.events for call, one in found.items()} == {"long": 9}


async def test_an_entry_that_is_no_event_is_told_without_its_kind_and_time(redis: Redis) -> None:
    log = RedisEventLog(redis)
    for name in ("garbage", "newer"):
        await log.append(started(name))
    await redis.xadd(keys.call_keys(CallId("garbage")).stream, {"e": b'\xff"time":"no"'}, id="0-*")
    quoted = UnknownData(wire_type="x.y.v9", raw={"said": '"type":"forged","time":"1"'})
    await log.append(Event[EventData](data=quoted, call=CallId("newer"), producer='p","type":"forged'))
    for name in ("garbage", "newer"):
        await redis.hset(keys.group_keys("g", CallId(name)).state, "cur", 1)
    _, _, found = await look(redis)
    garbage, newer = found[CallId("garbage")].groups[0], found[CallId("newer")].groups[0]
    assert (garbage.event_type, garbage.age_s) == ("", None)
    assert newer.event_type == "x.y.v9"
    assert newer.age_s is not None
    assert newer.age_s < 60


async def test_the_overview_of_an_empty_log_is_empty(redis: Redis) -> None:
    bells, groups = await overview.overview(redis, [])
    assert (bells.length, bells.calls, bells.retired, groups) == (0, 0, 0, [])


async def test_doorbells_workers_and_waits_are_counted_over_all_shards(redis: Redis) -> None:
    log, handler = RedisEventLog(redis), Each()
    await create_groups(redis, "idle")
    for number in range(40):
        await log.append(started(f"call-{number}"))
    await log.append(started("waits"))
    await log.append(started("held"))
    async with consuming(redis, handler, worker="w1", options=OPTIONS):
        await handler.holds.wait()

        async def settled() -> bool:
            _, (group,) = await overview.overview(redis, ["g"])
            return (group.undelivered, group.in_hand, group.waiting) == (0, 1, 1)

        await wait_until(settled)
        bells, (g, idle) = await overview.overview(redis, ["g", "idle"])
        assert (bells.length, bells.calls) == (42, 42)
        assert [worker.name for worker in g.workers] == ["w1"]
        assert g.workers[0].seen_s < 5
        assert (g.workers[0].pending, g.overdue) == (1, 0)
        assert (idle.undelivered, idle.in_hand, idle.workers) == (42, 0, [])
        assert idle.oldest_doorbell_s > 0
        handler.let_go.set()


async def test_a_time_that_has_passed_is_overdue_while_nobody_rings(redis: Redis) -> None:
    await create_groups(redis, "g")
    call = CallId("late")
    await redis.zadd(keys.wake(keys.tag_of(call), "g"), {call: now().timestamp() * 1000 - 60_000})
    _, (group,) = await overview.overview(redis, ["g"])
    assert (group.waiting, group.overdue) == (1, 1)
    assert 55 < group.overdue_s < 120


async def test_undelivered_doorbells_are_counted_where_the_server_cannot_tell(redis: Redis) -> None:
    """A group made in the middle of a stream has a lag that the server does not know."""
    log = RedisEventLog(redis)
    await log.append(started("call-1"))
    bell = keys.call_keys(CallId("call-1")).bell
    for number in range(3):
        await log.append(speaking("call-1", f"u{number}"))
    entries: Any = await redis.xrange(bell)
    ids = [entry for entry, _ in entries]
    await redis.xgroup_create(bell, "g", id=ids[1])
    await redis.xdel(bell, ids[2])
    (info,) = await redis.xinfo_groups(bell)
    assert info["lag"] is None, "else this test shows nothing"
    _, (group,) = await overview.overview(redis, ["g"])
    assert group.undelivered == 1


async def test_the_server_tells_what_it_is_and_whether_it_keeps_anything(redis: Redis) -> None:
    (about,) = await overview.servers(redis)
    assert about.kind in {"valkey", "redis"}
    assert about.version[0].isdigit()
    assert (about.role, about.last_write_ok) == ("master", True)
    assert about.memory_bytes > 0


async def test_every_kind_of_server_is_looked_at_in_the_same_way(backend: Redis) -> None:
    """Also a Cluster, where each shard is on one of three masters."""
    log, handler = RedisEventLog(backend), Each()
    for name in ("parked", "held", "waits", *(f"call-{number}" for number in range(40))):
        await log.append(started(name))
        await log.append(speaking(name, "u1"))
    async with consuming(backend, handler, worker="w1", options=OPTIONS):
        await handler.holds.wait()

        async def stand() -> bool:
            return set((await look(backend))[2]) == {"parked", "held", "waits"}

        await wait_until(stand)
        await Admin(backend).discard("g", CallId("parked"), at_event=2, what="rest", who="anna", why="a test")
        calls, _, found = await look(backend)
        assert (calls, set(found)) == (43, {"held", "waits"})
        bells, (group,) = await overview.overview(backend, ["g"])
        assert (bells.calls, group.undelivered, group.waiting) == (43, 0, 1)
        assert [worker.name for worker in group.workers] == ["w1"]
        assert {one.role for one in await overview.servers(backend)} == {"master"}
        handler.let_go.set()
