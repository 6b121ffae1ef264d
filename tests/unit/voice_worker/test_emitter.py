"""A call's events reach the log in the order in which they happened, whatever the log's mood."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from call_events.catalogue import AgentActivated
from call_events.errors import LogUnavailable
from call_events.ids import CallId
from call_events.ports import AnyEvent, Appended, Ownership
from call_events.spool import Spool, read_lines
from call_events.testing import START, InMemoryEventLog, ended, started
from support.waiting import wait_until
from voice_worker.handlers.emitter import Emitter
from voice_worker.ports import CallSpool

CALL = CallId("call-1")


class MoodyLog(InMemoryEventLog):
    """Is away for a while when told so."""

    away = False
    fault: Exception | None = None
    asked = 0

    async def append(
        self,
        event: AnyEvent,
        *,
        expected_tail: int | None = None,
        epoch: int | None = None,
        first_wins: bool = False,
    ) -> Appended:
        self.asked += 1
        if self.away:
            raise LogUnavailable("away")
        if self.fault is not None:
            raise self.fault
        return await super().append(event, expected_tail=expected_tail, epoch=epoch, first_wins=first_wins)

    async def own(self, call: CallId, worker: str, *, lease_ms: int, epoch: int | None = None) -> Ownership:
        if self.away:
            raise LogUnavailable("away")
        return await super().own(call, worker, lease_ms=lease_ms, epoch=epoch)


@asynccontextmanager
async def emitting(
    log: MoodyLog, *, queue_limit: int = 100, spool: CallSpool | None = None
) -> AsyncIterator[tuple[Emitter, list[str]]]:
    lost: list[str] = []
    emitter = Emitter(
        log,
        CALL,
        "worker",
        lease_ms=60,
        on_lost=lambda: lost.append("lost"),
        queue_limit=queue_limit,
        spool=spool,
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in emitter.jobs().values()]
        yield emitter, lost
        for task in tasks:
            task.cancel()


def agent(number: int) -> AgentActivated:
    return AgentActivated(agent=f"a{number}", name="x")


async def test_events_keep_their_order_and_their_time() -> None:
    log = MoodyLog()
    async with emitting(log) as (emitter, _):
        emitter.emit(started(CALL).data, at=START)
        for number in range(20):
            emitter.emit(agent(number), at=START)
        assert await emitter.drained(5)
    events = await log.read(CALL)
    assert [getattr(event.data, "agent", None) for event in events[1:]] == [f"a{number}" for number in range(20)]
    assert {event.time for event in events} == {START}


async def test_while_the_log_is_away_the_same_event_is_tried_again_and_nothing_overtakes_it() -> None:
    log = MoodyLog()
    log.away = True
    async with emitting(log) as (emitter, _):
        assert not await emitter.own(0.5)
        emitter.emit(started(CALL).data, at=START)
        emitter.emit(agent(1), at=START)
        await asyncio.sleep(0)
        assert await log.read(CALL) == []
        log.away = False
        assert await emitter.drained(5)
    assert [event.type for event in await log.read(CALL)] == ["call.started.v1", "agent.activated.v1"]


async def test_a_worker_that_lost_its_call_is_told_once_and_writes_nothing_more() -> None:
    """A paused worker that wakes up after its call was given to another must not write."""
    log = MoodyLog()
    async with emitting(log) as (emitter, lost):
        emitter.emit(started(CALL).data, at=START)
        assert await emitter.drained(5)
        log._call(CALL).epoch += 1  # another worker took over
        emitter.emit(agent(1), at=START)
        await wait_until(lambda: lost)
        emitter.emit(agent(2), at=START)
        assert await emitter.drained(5)
    assert lost == ["lost"]
    assert len(await log.read(CALL)) == 1


async def test_losing_the_lease_is_noticed_without_an_event() -> None:
    log = MoodyLog()
    async with emitting(log) as (emitter, lost):
        assert await emitter.own(1)
        log._call(CALL).epoch += 1
        await wait_until(lambda: lost, within_s=5)
        assert not emitter.owner


async def test_the_same_fact_reported_twice_is_stored_once() -> None:
    log = MoodyLog()
    async with emitting(log) as (emitter, _):
        for _ in range(2):
            emitter.emit(started(CALL).data, at=START, once=("call.started",))
        assert await emitter.drained(5)
    assert len(await log.read(CALL)) == 1


async def test_a_refused_event_does_not_hold_up_the_queue() -> None:
    log = MoodyLog()
    async with emitting(log) as (emitter, _):
        emitter.emit(started(CALL).data, at=START)
        emitter.emit(ended(CALL).data, at=START)
        emitter.emit(agent(1), at=START)
        assert await emitter.drained(5)
    assert [event.type for event in await log.read(CALL)] == ["call.started.v1", "call.ended.v1"]


async def test_memory_is_bounded_while_the_log_is_away() -> None:
    log = MoodyLog()
    log.away = True
    async with emitting(log, queue_limit=5) as (emitter, _):
        emitter.emit(started(CALL).data, at=START)
        await wait_until(lambda: True)
        for number in range(50):
            emitter.emit(agent(number), at=START)
        log.away = False
        assert await emitter.drained(5)
    assert len(await log.read(CALL)) <= 7


async def test_an_event_that_was_being_written_when_the_writing_stopped_is_written_first_when_it_goes_on() -> None:
    log = MoodyLog()
    log.away = True
    async with emitting(log) as (emitter, _):
        emitter.emit(started(CALL).data, at=START)
        emitter.emit(agent(1), at=START)
        await wait_until(lambda: log.asked or emitter._pending)
    assert not await emitter.drained(0)
    log.away = False
    async with asyncio.TaskGroup() as group:
        again = group.create_task(emitter.run())
        assert await emitter.drained(5)
        again.cancel()
    assert [event.type for event in await log.read(CALL)] == ["call.started.v1", "agent.activated.v1"]


def spooled(directory: Path) -> int:
    return sum(1 for path in Spool(directory).files() for line in read_lines(path) if line.whole)


async def test_what_memory_has_no_room_for_waits_on_disk_and_comes_back_in_its_order(tmp_path: Path) -> None:
    log = MoodyLog()
    log.away = True
    async with emitting(log, queue_limit=5, spool=Spool(tmp_path).of(CALL)) as (emitter, _):
        emitter.emit(started(CALL).data, at=START)
        await wait_until(lambda: spooled(tmp_path) == 1)
        for number in range(60):
            emitter.emit(agent(number), at=START)
            await wait_until(lambda n=number: spooled(tmp_path) == n + 2)
        assert len(emitter._pending) == 5
        log.away = False
        assert await emitter.drained(10)
        await wait_until(lambda: not Spool(tmp_path).files())
    events = await log.read(CALL)
    assert [getattr(event.data, "agent", None) for event in events[1:]] == [f"a{number}" for number in range(60)]


async def test_a_log_that_answers_in_time_leaves_the_disk_alone(tmp_path: Path) -> None:
    log = MoodyLog()
    async with emitting(log, spool=Spool(tmp_path / "spool").of(CALL)) as (emitter, _):
        emitter.emit(started(CALL).data, at=START)
        assert await emitter.drained(5)
    assert not (tmp_path / "spool").exists()


async def test_at_the_end_what_is_on_disk_need_not_be_waited_for(tmp_path: Path) -> None:
    log = MoodyLog()
    log.away = True
    async with emitting(log, spool=Spool(tmp_path).of(CALL)) as (emitter, _):
        emitter.emit(started(CALL).data, at=START)
        emitter.emit(agent(1), at=START)
        assert await emitter.drained(60)
    emitter.close()
    assert spooled(tmp_path) == 2


async def test_a_worker_that_lost_its_call_leaves_what_it_had_put_down_to_the_keeper(tmp_path: Path) -> None:
    """It was said while the log was away, before anybody else had the call."""
    log = MoodyLog()
    async with emitting(log, spool=Spool(tmp_path).of(CALL)) as (emitter, lost):
        emitter.emit(started(CALL).data, at=START)
        assert await emitter.drained(5)
        log.away = True
        emitter.emit(agent(1), at=START)
        await wait_until(lambda: spooled(tmp_path) == 1)
        log._call(CALL).epoch += 1  # another worker took over
        log.away = False
        await wait_until(lambda: lost)
        emitter.emit(agent(2), at=START)
        assert await emitter.drained(5)
    emitter.close()
    assert spooled(tmp_path) == 1


async def test_a_disk_that_takes_nothing_is_an_alarm_and_memory_goes_on(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()  # a file where the directory should be
    log = MoodyLog()
    log.away = True
    async with emitting(log, spool=Spool(tmp_path / "spool").of(CALL)) as (emitter, _):
        emitter.emit(started(CALL).data, at=START)
        with capture_logs() as logs:
            await wait_until(lambda: any(one["event"] == "spool.cannot_write" for one in logs), within_s=5)
        emitter.emit(agent(1), at=START)
        log.away = False
        assert await emitter.drained(5)
    assert [event.type for event in await log.read(CALL)] == ["call.started.v1", "agent.activated.v1"]


async def test_an_event_too_large_for_the_log_is_an_alarm_and_stops_nothing() -> None:
    log = MoodyLog()
    async with emitting(log) as (emitter, _):
        emitter.emit(started(CALL).data, at=START)
        with capture_logs() as logs:
            emitter.emit(AgentActivated(agent="a", name="x" * 300_000), at=START)
        emitter.emit(agent(1), at=START)
        assert await emitter.drained(5)
    assert [one["event"] for one in logs] == ["events.dropped"]
    assert [event.type for event in await log.read(CALL)] == ["call.started.v1", "agent.activated.v1"]


async def test_an_event_that_the_log_cannot_take_for_a_reason_that_does_not_pass_is_counted_and_told() -> None:
    """As where the user of this service may no longer run the script."""
    log = MoodyLog()
    before = REGISTRY.get_sample_value("cc_eventlog_dropped_total") or 0
    emitter = Emitter(log, CALL, "worker", lease_ms=60, on_lost=lambda: None)
    emitter.emit(started(CALL).data, at=START)
    emitter.emit(agent(1), at=START)
    log.fault = ResponseError("NOPERM")
    with capture_logs() as logs, pytest.raises(ResponseError):
        await emitter.run()
    log.fault = None
    assert [(one["event"], one["type"], one["why"]) for one in logs] == [
        ("events.dropped", "call.started.v1", "ResponseError")
    ]
    assert REGISTRY.get_sample_value("cc_eventlog_dropped_total") == before + 1
