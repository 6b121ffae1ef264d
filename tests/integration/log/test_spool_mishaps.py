"""What may go wrong beside an outage: one bad call, another worker, a disk that is slow at the wrong moment."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

from redis.asyncio import Redis
from structlog.testing import capture_logs

from call_events import keys
from call_events.codec import encode
from call_events.ids import CallId
from call_events.redis_log import RedisEventLog
from call_events.spool import Spool, read_lines
from call_events.spool_keeper import SpoolKeeper
from call_events.testing import said, speaking, started
from support.waiting import wait_until
from voice_worker.handlers.safety import Safety

CALL, BAD = CallId("call-1"), CallId("call-0")


async def test_one_call_with_bad_keys_keeps_no_other_call_waiting(redis: Redis, tmp_path: Path) -> None:
    spool, log = Spool(tmp_path), RedisEventLog(redis)
    await redis.set(keys.call_keys(BAD).dedupe, "not a hash")
    for call in (BAD, CALL):
        file = spool.of(call)
        file.write([encode(started(call)), encode(speaking(call, "u1"))])
        file.close()
    spool.of(BAD).bequeath([encode(started(BAD))])
    keeper = SpoolKeeper(spool, log, bequests_after_s=0)
    with capture_logs() as lines:
        assert (await keeper.look()).files == 1
        assert (await keeper.look()).left == 1
    told = [line for line in lines if line["event"] == "spool.cannot_be_replayed"]
    assert len(told) == 2, "each file once"
    assert all(line["file"].startswith(BAD) for line in told)
    assert len(await log.read(CALL)) == 2
    await redis.delete(keys.call_keys(BAD).dedupe)
    assert (await keeper.look()).left == 0
    assert len(await log.read(BAD)) == 2


async def test_a_keeper_takes_no_call_from_a_worker_who_is_about_to_renew(redis: Redis, tmp_path: Path) -> None:
    """The next worker has the call; an outage let its lease run out; what the one before it left is found now."""
    spool, log = Spool(tmp_path), RedisEventLog(redis)
    await log.append(started(CALL))
    left = spool.of(CALL)
    left.write([encode(said(CALL, "u1", "Hello.")), encode(started(CALL))])
    left.close()
    next_one = await log.own(CALL, "the-next-worker", lease_ms=0)
    assert (await SpoolKeeper(spool, log).look()).left == 0
    assert (await log.own(CALL, "the-next-worker", lease_ms=5000, epoch=next_one.epoch)).epoch == next_one.epoch
    said_on = speaking(CALL, "u2").model_copy(update={"producer": "the-next-worker"})
    await log.append(said_on, epoch=next_one.epoch)
    assert len(await log.read(CALL)) == 3


def test_what_is_written_after_a_file_was_left_never_takes_its_place(tmp_path: Path) -> None:
    file = Spool(tmp_path).of(CALL)
    file.write([b"first"])
    file.close()
    file.write([b"second"])
    kept = [line.raw for path in Spool(tmp_path).files() for line in read_lines(path)]
    assert sorted(kept) == [b"first", b"second"]


class SlowDisk:
    """Writes when it is let."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.did: list[str] = []

    def write(self, events: Sequence[bytes]) -> None:
        self.may.wait(10)
        self.did.append(f"wrote {len(events)}")

    def read(self, *, after: int, limit: int) -> list[bytes]:
        raise AssertionError((after, limit))

    def discard(self) -> None:
        self.did.append("discarded")

    def close(self) -> None:
        self.did.append("left")


async def test_a_file_is_left_when_the_write_on_its_way_is_through() -> None:
    disk = SlowDisk()
    safety = Safety(CALL, disk)
    safety.begin([b"an event"])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(safety.write())
        await asyncio.sleep(0)
        safety.leave()
        assert disk.did == []
        disk.may.set()
    await wait_until(lambda: disk.did == ["wrote 1", "left"])
