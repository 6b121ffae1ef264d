"""Events that the log does not take are on disk, and come into the log whoever dies in between. Real processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from redis.asyncio import Redis

from call_events.admin import Admin
from call_events.catalogue import UtteranceStarted
from call_events.codec import encode
from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.ids import CallId
from call_events.ports import AnyEvent
from call_events.redis_log import RedisEventLog
from call_events.spool import Spool, SpoolFull, read_lines
from call_events.spool_keeper import REFUSED, SpoolKeeper
from call_events.testing import ended, speaking, started
from support.waiting import wait_until

CALL = CallId("call-1")
ROOT = Path(__file__).parents[2]


class Producer:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def emit(self, *lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        await self.process.stdin.drain()

    async def end(self) -> str:
        assert self.process.stdout is not None
        await self.emit("end")
        async with asyncio.timeout(30):
            said = (await self.process.stdout.read()).decode().splitlines()
            assert await self.process.wait() == 0
        return said[-1]

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


@asynccontextmanager
async def producer(url: str, directory: Path, call: CallId = CALL) -> AsyncIterator[Producer]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "support.spool_producer", url, str(directory), call),
        env={"PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Producer(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def names(events: list[AnyEvent]) -> list[str]:
    return [one.data.utterance_id if isinstance(one.data, UtteranceStarted) else one.type for one in events]


def on_disk(directory: Path) -> int:
    return sum(1 for path in Spool(directory).files() for line in read_lines(path) if line.whole)


async def in_log(redis: Redis, call: CallId = CALL) -> list[str]:
    return names(list(await RedisEventLog(redis).read(call)))


async def keep(redis: Redis, directory: Path) -> None:
    """As the worker's main process does, until nothing is left."""
    keeper = SpoolKeeper(Spool(directory), RedisEventLog(redis))
    await wait_until(lambda: looked(keeper), within_s=20)


async def looked(keeper: SpoolKeeper) -> bool:
    return (await keeper.look()).left == 0


async def test_a_producer_killed_while_redis_is_away_loses_nothing(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    async with EmbeddedRedis(tmp_path / "redis") as server, connect(server.url) as redis:
        async with producer(server.url, spool) as worker:
            await worker.emit("start", "u1")
            await wait_until(lambda: has(redis, 2))
            await server.kill()
            await worker.emit(*(f"u{n}" for n in range(2, 40)))
            await wait_until(lambda: on_disk(spool) == 40, within_s=15)
            await worker.kill()
        await server.start()
        assert len(await in_log(redis)) <= 2  # less, if Redis answered before it wrote: then they are in the file too
        await keep(redis, spool)
        assert await in_log(redis) == ["call.started.v1", *(f"u{n}" for n in range(1, 40))]
        assert not Spool(spool).files()


async def has(redis: Redis, count: int) -> bool:
    return len(await in_log(redis)) == count


async def test_a_producer_that_ends_while_redis_is_away_leaves_its_events_and_does_not_wait(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    async with EmbeddedRedis(tmp_path / "redis") as server, connect(server.url) as redis:
        async with producer(server.url, spool) as worker:
            await worker.emit("start")
            await wait_until(lambda: has(redis, 1))
            await server.kill()
            await worker.emit("u1", "u2")
            assert await worker.end() == "safe"
        await server.start()
        await keep(redis, spool)
        assert await in_log(redis) == ["call.started.v1", "u1", "u2"]


async def test_a_producer_that_ends_leaves_what_the_server_may_have_forgotten_as_well(tmp_path: Path) -> None:
    """Redis comes back without its last second, with the call's beginning in it, and nobody is left who has that."""
    spool = tmp_path / "spool"
    async with EmbeddedRedis(tmp_path / "redis") as server, connect(server.url) as redis:
        async with producer(server.url, spool) as worker:
            await worker.emit("start", "u1")
            await wait_until(lambda: has(redis, 2))
            await server.kill()
            await worker.emit("u2")
            assert await worker.end() == "safe"
        (forgets,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
        forgets.write_bytes(b"")
        await server.start()
        await keep(redis, spool)
        assert await in_log(redis) == ["call.started.v1", "u1", "u2"]


async def test_what_a_server_forgets_after_its_producer_has_ended_is_appended_again(tmp_path: Path) -> None:
    """The last second of an append-only file is lost in a power cut, and the call had just ended."""
    spool = tmp_path / "spool"
    async with EmbeddedRedis(tmp_path / "redis") as server, connect(server.url) as redis:
        async with producer(server.url, spool) as worker:
            await worker.emit("start", "u1")
            await wait_until(lambda: has(redis, 2))
            (file,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
            await wait_until(lambda: b"u1" in file.read_bytes())
            kept = file.read_bytes()
            await worker.emit("u2", "u3")
            assert await worker.end() == "safe"
        assert await in_log(redis) == ["call.started.v1", "u1", "u2", "u3"]
        assert not Spool(spool).files(), "what the log has is no outage"
        await server.kill()
        file.write_bytes(kept)
        log = RedisEventLog(redis, deadline_s=0.2)
        (bequest,) = Spool(spool).bequests(min_age_s=0)
        await SpoolKeeper(Spool(spool), log, bequests_after_s=0).look()
        assert bequest.exists(), "nobody answers"
        await server.start()
        assert await in_log(redis) == ["call.started.v1", "u1"]
        await SpoolKeeper(Spool(spool), log, bequests_after_s=60).look()
        assert bequest.exists(), "too early to tell"
        await SpoolKeeper(Spool(spool), log, bequests_after_s=0).look()
        assert await in_log(redis) == ["call.started.v1", "u1", "u2", "u3"]
        assert not list(spool.iterdir())


async def test_a_bequest_that_the_log_has_or_refuses_goes_and_disturbs_nobody(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    async with EmbeddedRedis(tmp_path / "redis") as server, connect(server.url) as redis:
        log = RedisEventLog(redis)
        events = [started(CALL), speaking(CALL, "u1"), ended(CALL)]
        for event in events:
            await log.append(event)
        spool.of(CALL).bequeath([encode(event) for event in events])
        spool.of(CallId("call-gone")).bequeath([encode(speaking(CallId("call-gone"), "u1"))])
        (torn,) = [path for path in spool.bequests(min_age_s=0) if path.name.startswith(CALL)]
        torn.write_bytes(torn.read_bytes() + b"00000000 {")
        await SpoolKeeper(spool, log, bequests_after_s=0).look()
        assert await in_log(redis) == ["call.started.v1", "u1", "call.ended.v1"]
        assert not list(spool.directory.iterdir())


@pytest.mark.parametrize("outage", ["killed", "stopped"])
async def test_after_an_outage_the_producer_itself_goes_on_in_order_and_the_file_goes(
    tmp_path: Path, outage: str
) -> None:
    spool = tmp_path / "spool"
    async with EmbeddedRedis(tmp_path / "redis") as server, connect(server.url) as redis:
        async with producer(server.url, spool) as worker:
            await worker.emit("start")
            await wait_until(lambda: has(redis, 1))
            if outage == "killed":
                await server.kill()
            else:
                os.kill(server.pid, signal.SIGSTOP)
            await worker.emit(*(f"u{n}" for n in range(20)))
            await wait_until(
                lambda: on_disk(spool) == 21,
                within_s=15,
                what="the beginning, which Redis may have forgotten, and all behind it",
            )
            if outage == "killed":
                await server.start()
            else:
                os.kill(server.pid, signal.SIGCONT)
            await worker.emit(*(f"u{n}" for n in range(20, 30)))
            assert await worker.end() == "safe"
        assert await in_log(redis) == ["call.started.v1", *(f"u{n}" for n in range(30))]
        assert not Spool(spool).files()


def left_behind(directory: Path, call: CallId, *events: AnyEvent) -> Path:
    file = Spool(directory).of(call)
    file.write([encode(one) for one in events])
    file.close()
    return file.path


async def test_a_torn_line_is_kept_aside_and_all_others_are_appended(redis: Redis, tmp_path: Path) -> None:
    path = left_behind(tmp_path, CALL, started(CALL), speaking(CALL, "u1"), speaking(CALL, "u2"))
    path.write_bytes(path.read_bytes()[:-20])

    done = await SpoolKeeper(Spool(tmp_path), RedisEventLog(redis)).look()

    assert (done.events, done.refused) == (2, 1)
    assert await in_log(redis) == ["call.started.v1", "u1"]
    (aside,) = (tmp_path / REFUSED).glob("*.jsonl")
    assert orjson.loads(aside.read_bytes())["why"] == "the line is torn or was changed"


async def test_what_a_closed_log_refuses_is_kept_aside_with_the_reason(redis: Redis, tmp_path: Path) -> None:
    log = RedisEventLog(redis)
    for one in (started(CALL), ended(CALL)):
        await log.append(one)
    assert await Admin(redis).retire(CALL, groups=[], grace_s=100) == "OK"
    left_behind(tmp_path, CALL, started(CALL), speaking(CALL, "late"))

    done = await SpoolKeeper(Spool(tmp_path), log).look()

    assert (done.events, done.refused) == (1, 1)
    assert await in_log(redis) == ["call.started.v1", "call.ended.v1"]
    (aside,) = (tmp_path / REFUSED).glob("*.jsonl")
    kept = orjson.loads(aside.read_bytes())
    assert kept["why"] == "the log refuses it: CallClosed"
    assert "late" in kept["raw"]


async def test_a_call_that_another_worker_has_is_told_of_the_past_but_never_ended(redis: Redis, tmp_path: Path) -> None:
    """Its former worker was cut off from the log, believed the call was over, and left that on its disk."""
    log = RedisEventLog(redis)
    old = await log.own(CALL, "test", lease_ms=0)
    await log.append(started(CALL), epoch=old.epoch)
    new = await log.own(CALL, "somebody-else", lease_ms=60_000)
    left_behind(tmp_path, CALL, started(CALL), speaking(CALL, "u1"), ended(CALL))

    done = await SpoolKeeper(Spool(tmp_path), log).look()

    assert (done.events, done.refused) == (2, 1)
    (aside,) = (tmp_path / REFUSED).glob("*.jsonl")
    assert orjson.loads(aside.read_bytes())["why"] == "another worker speaks for the call"
    mine = speaking(CALL, "u2").model_copy(update={"producer": "somebody-else"})
    await log.append(mine, epoch=new.epoch)
    assert await in_log(redis) == ["call.started.v1", "u1", "u2"]


async def test_the_keeper_stands_in_nobodys_way(redis: Redis, tmp_path: Path) -> None:
    log = RedisEventLog(redis)
    left_behind(tmp_path, CALL, started(CALL), speaking(CALL, "u1"))
    assert (await SpoolKeeper(Spool(tmp_path), log).look()).events == 2
    assert (await log.own(CALL, "the-next-worker", lease_ms=60_000)).epoch == 2


async def test_events_of_a_worker_whose_lease_still_runs_wait_for_its_end(redis: Redis, tmp_path: Path) -> None:
    log = RedisEventLog(redis)
    await log.own(CALL, "test", lease_ms=700)
    left_behind(tmp_path, CALL, started(CALL))
    keeper = SpoolKeeper(Spool(tmp_path), log)
    assert (await keeper.look()).left == 1
    await keep(redis, tmp_path)
    assert await in_log(redis) == ["call.started.v1"]


async def test_a_keeper_interrupted_anywhere_is_finished_by_another_without_a_double(
    redis: Redis, tmp_path: Path
) -> None:
    calls = [CallId(f"call-{n}") for n in range(12)]
    for call in calls:
        left_behind(tmp_path, call, started(call), *(speaking(call, f"u{n}") for n in range(20)))
    keepers = [SpoolKeeper(Spool(tmp_path), RedisEventLog(redis)) for _ in range(3)]

    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(keepers[0].look())
        await wait_until(lambda: has(redis, 21))
        first.cancel()
        for keeper in keepers[1:]:
            tasks.create_task(keeper.look())

    assert not Spool(tmp_path).files()
    for call in calls:
        assert await in_log(redis, call) == ["call.started.v1", *(f"u{n}" for n in range(20))]


async def test_a_file_whose_owner_lives_is_left_alone(redis: Redis, tmp_path: Path) -> None:
    file = Spool(tmp_path).of(CALL)
    file.write([encode(started(CALL))])
    keeper = SpoolKeeper(Spool(tmp_path), RedisEventLog(redis))
    assert (await keeper.look()).left == 1
    assert await in_log(redis) == []
    file.close()
    assert (await keeper.look()).files == 1
    assert await in_log(redis) == ["call.started.v1"]


def test_the_directory_is_bounded_and_a_refused_block_leaves_nothing(tmp_path: Path) -> None:
    file = Spool(tmp_path, max_bytes=50).of(CALL)
    file.write([b'{"a":1}'])
    with pytest.raises(SpoolFull):
        file.write([b'{"a":"' + b"x" * 60 + b'"}'])
    assert [line.raw for line in read_lines(file.path)] == [b'{"a":1}']
    file.discard()
    assert not list(tmp_path.iterdir())


async def test_a_disk_that_fills_up_in_the_middle_of_a_block_leaves_no_half_of_it(tmp_path: Path) -> None:
    """The limit on file sizes stands for the disk: the write ends short, as it does on a full one."""
    code = (
        "import resource, sys; from pathlib import Path; from call_events.spool import Spool\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "file = Spool(Path(sys.argv[1])).of('call-1')\n"
        "file.write([b'{\"a\":1}'])\n"
        "try: file.write([b'x' * 300] * 4)\n"
        "except OSError as error: print(error.strerror)\n"
        "file.write([b'{\"a\":2}'])\n"
    )
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await child.communicate()
    assert said == b"File too large\n"
    (path,) = Spool(tmp_path).files()
    assert [(line.raw, line.whole) for line in read_lines(path)] == [(b'{"a":1}', True), (b'{"a":2}', True)]


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    file = Spool(tmp_path / "spool").of(CALL)
    file.write([b"{}"])
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.close()
