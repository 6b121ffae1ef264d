"""Acknowledged events survive a server that forgets them. Real servers that lag behind and die."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import structlog
from redis.asyncio import Redis

from call_events.catalogue import UtteranceStarted
from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.errors import CallClosed, StaleOwner
from call_events.ids import CallId
from call_events.ports import AnyEvent
from call_events.redis_log import RedisEventLog
from call_events.testing import ended, speaking, started
from support.black_hole import BlackHole
from support.counted import number_of
from support.waiting import wait_until

CALLS = [CallId(f"call-{n}") for n in range(12)]

#: A master waits five seconds for more replicas before it begins to copy, unless told not to.
AT_ONCE = ["--repl-diskless-sync-delay", "0"]


def replica_of(master: EmbeddedRedis) -> list[str]:
    return ["--replicaof", "127.0.0.1", str(urlsplit(master.url).port)]


class Pair:
    """A master, and a replica that has stopped listening; clients reach whichever is promoted, by one address."""

    def __init__(self, master: EmbeddedRedis, replica: EmbeddedRedis, proxy: BlackHole) -> None:
        self.master, self.replica, self.proxy = master, replica, proxy

    async def synced(self) -> None:
        async with connect(self.master.url) as master, connect(self.replica.url) as replica:
            await wait_until(lambda: _same(master, replica), within_s=10)

    async def let_the_replica_fall_behind(self) -> None:
        async with connect(self.replica.url) as replica:
            await replica.replicaof("NO", "ONE")

    async def fail_over(self) -> None:
        await self.master.kill()
        self.proxy.lead_to(self.replica.url)


async def _same(master: Redis, replica: Redis) -> bool:
    await master.set("sync", "done")
    return bool(await master.wait(1, 100)) and await replica.get("sync") == b"done"


async def a_name_in_order(redis: Redis, call: CallId, producer: str) -> list[str]:
    events = await RedisEventLog(redis).read(call)
    assert [one.seq for one in events] == list(range(1, len(events) + 1))
    assert len({one.id for one in events}) == len(events)
    return [
        one.data.utterance_id
        for one in events
        if isinstance(one.data, UtteranceStarted) and one.data.utterance_id.startswith(producer)
    ]


@pytest.mark.parametrize("lacks", ["the newest", "everything"])
async def test_a_fail_over_to_a_replica_that_lagged_loses_nothing_and_keeps_each_producers_order(lacks: str) -> None:
    async with (
        EmbeddedRedis(options=AT_ONCE) as master,
        EmbeddedRedis(options=replica_of(master)) as replica,
        BlackHole(master.url) as proxy,
        connect(proxy.url) as first,
        connect(proxy.url) as second,
    ):
        pair = Pair(master, replica, proxy)
        logs = {"a": RedisEventLog(first, deadline_s=20), "b": RedisEventLog(second, deadline_s=20)}
        await pair.synced()
        if lacks == "everything":
            await pair.let_the_replica_fall_behind()
        for call in CALLS:
            await logs["a"].append(started(call))
        acknowledged: dict[tuple[CallId, str], list[str]] = {(call, name): [] for call in CALLS for name in logs}
        go_on = asyncio.Event()

        async def produce(name: str, call: CallId) -> None:
            for number in range(40):
                if number == 25:
                    await go_on.wait()
                event = speaking(call, f"{name}{number}")
                await logs[name].append(event)
                acknowledged[call, name].append(f"{name}{number}")

        async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
            keeping = [tasks.create_task(log.keep_journal()) for log in logs.values()]
            producing = [tasks.create_task(produce(name, call)) for call in CALLS for name in logs]
            await wait_until(lambda: min(map(len, acknowledged.values())) >= 10)
            await pair.let_the_replica_fall_behind()
            await wait_until(lambda: min(map(len, acknowledged.values())) == 25)
            await pair.fail_over()
            go_on.set()
            await asyncio.wait(producing)
            for task in keeping:
                task.cancel()

        async with connect(replica.url) as now:
            for (call, name), said in acknowledged.items():
                assert await a_name_in_order(now, call, name) == said


async def test_a_call_that_says_nothing_more_is_appended_again_as_well() -> None:
    call = CALLS[0]
    async with (
        EmbeddedRedis(options=AT_ONCE) as master,
        EmbeddedRedis(options=replica_of(master)) as replica,
        BlackHole(master.url) as proxy,
        connect(proxy.url) as redis,
    ):
        pair = Pair(master, replica, proxy)
        log = RedisEventLog(redis)
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(log.keep_journal())
            await log.append(started(call))
            await pair.synced()
            await pair.let_the_replica_fall_behind()
            events: list[AnyEvent] = [speaking(call, "u1"), speaking(call, "u2"), ended(call)]
            for one in events:
                await log.append(one)
            await pair.fail_over()

            async with connect(replica.url) as now:
                await wait_until(lambda: has(now, call, 4), within_s=10)
            keeping.cancel()


async def has(redis: Redis, call: CallId, count: int) -> bool:
    return len(await RedisEventLog(redis).read(call)) == count


async def test_a_worker_whose_ownership_was_forgotten_keeps_its_call_unless_somebody_else_has_it() -> None:
    mine, theirs = CALLS[:2]
    async with (
        EmbeddedRedis(options=AT_ONCE) as master,
        EmbeddedRedis(options=replica_of(master)) as replica,
        BlackHole(master.url) as proxy,
        connect(proxy.url) as redis,
    ):
        pair = Pair(master, replica, proxy)
        log = RedisEventLog(redis)
        await pair.synced()
        await pair.let_the_replica_fall_behind()
        rights = {call: await log.own(call, "test", lease_ms=60_000) for call in (mine, theirs)}
        for call, right in rights.items():
            await log.append(started(call), epoch=right.epoch)
        await pair.fail_over()
        async with connect(replica.url) as now:
            await RedisEventLog(now).own(theirs, "somebody-else", lease_ms=60_000)

        assert (await log.append(speaking(mine, "u1"), epoch=rights[mine].epoch)).seq == 2
        with pytest.raises(StaleOwner, match="somebody-else"):
            await log.append(speaking(theirs, "u1"), epoch=rights[theirs].epoch)


async def test_a_server_that_comes_back_without_its_last_second_is_given_it(tmp_path: Path) -> None:
    """As after a power cut: the end of the append-only file is gone."""
    call = CALLS[0]
    async with EmbeddedRedis(tmp_path) as server, connect(server.url) as redis:
        log = RedisEventLog(redis, deadline_s=20)
        await log.append(started(call))
        for number in range(20):
            await log.append(speaking(call, f"u{number}"))
        await server.kill()
        (tail,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
        tail.write_bytes(tail.read_bytes()[:-3000])
        await server.start()
        async with connect(server.url) as fresh:
            assert len(await RedisEventLog(fresh).read(call)) < 21

        await log.append(speaking(call, "u20"))
        assert await a_name_in_order(redis, call, "u") == [f"u{number}" for number in range(21)]


async def test_a_call_whose_beginning_nobody_brings_keeps_no_other_waiting() -> None:
    """Its producer has died with the server; the others' quiet calls are there again within seconds."""
    orphan, quiet = CALLS[:2]
    async with (
        EmbeddedRedis(options=AT_ONCE) as master,
        EmbeddedRedis(options=replica_of(master)) as replica,
        BlackHole(master.url) as proxy,
        connect(proxy.url) as theirs,
        connect(proxy.url) as redis,
    ):
        pair = Pair(master, replica, proxy)
        await pair.synced()
        await pair.let_the_replica_fall_behind()
        await RedisEventLog(theirs).append(started(orphan))
        log = RedisEventLog(redis)
        await log.append(speaking(orphan, "u1"))
        for one in (started(quiet), speaking(quiet, "u1")):
            await log.append(one)
        await pair.fail_over()

        async with asyncio.TaskGroup() as tasks, connect(replica.url) as now:
            keeping = tasks.create_task(log.keep_journal())
            await wait_until(lambda: has(now, quiet, 2), within_s=6, what="the quiet call is there again")
            assert await has(now, orphan, 0), "it waits for its beginning"
            await RedisEventLog(now).append(started(orphan))
            await wait_until(lambda: has(now, orphan, 2), within_s=6, what="it follows its beginning")
            keeping.cancel()


async def test_what_the_new_server_refuses_for_good_is_counted_and_told_with_its_call() -> None:
    """Somebody has ended the call there without what was forgotten."""
    call = CALLS[0]
    before = number_of("cc_eventlog_journal_replayed_total", result="refused")
    async with (
        EmbeddedRedis(options=AT_ONCE) as master,
        EmbeddedRedis(options=replica_of(master)) as replica,
        BlackHole(master.url) as proxy,
        connect(proxy.url) as redis,
    ):
        pair = Pair(master, replica, proxy)
        log = RedisEventLog(redis)
        await log.append(started(call))
        await pair.synced()
        await pair.let_the_replica_fall_behind()
        await log.append(speaking(call, "u1"))
        await pair.fail_over()
        async with connect(replica.url) as now:
            await RedisEventLog(now).append(ended(call))

        with structlog.testing.capture_logs() as lines, pytest.raises(CallClosed):
            await log.append(speaking(call, "u2"))
        assert [
            (one["log_level"], one["call"], one["events"]) for one in lines if one["event"] == "journal.refused"
        ] == [("critical", call, 1)]
        assert number_of("cc_eventlog_journal_replayed_total", result="refused") - before == 1
