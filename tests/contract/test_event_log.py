"""What every event log does, the real one and the one in memory."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import pytest_asyncio
from blockbuster import BlockBuster

from call_events.catalogue import CallEnded, EndedBy
from call_events.codec import MAX_EVENT_BYTES
from call_events.errors import BadCallId, BadEvent, CallClosed, CallUnknown, IdTaken, StaleOwner, TailMoved
from call_events.ids import CallId, EventId
from call_events.ports import AnyEvent, Appended, EventLog
from call_events.redis_log import RedisEventLog, connect
from call_events.registry import UnknownData
from call_events.testing import InMemoryEventLog, ended, event, said, speaking, started
from support.backends import BACKENDS, Backends

CALL = CallId("call-1")


class Log(EventLog, Protocol):
    async def calls(self, limit: int = 100) -> list[CallId]: ...


@pytest_asyncio.fixture(params=["memory", "redis", *BACKENDS])
async def log(request: pytest.FixtureRequest, redis_server: str, backends: Backends) -> AsyncIterator[EventLog]:
    """In memory, on what REDIS_URL names, on every kind of server."""
    if request.param == "memory":
        yield InMemoryEventLog()
        return
    url = redis_server if request.param == "redis" else await asyncio.to_thread(backends.url, request.param)
    async with connect(url) as redis:
        yield RedisEventLog(redis)
        await redis.flushdb()


def by(worker: str, one: AnyEvent) -> AnyEvent:
    return one.model_copy(update={"producer": worker})


@pytest.fixture(autouse=True)
def nothing_blocks(log: EventLog, no_blocking: BlockBuster) -> None:
    """From when the server is there: to start one takes a disk."""


def numbered(*events: AnyEvent) -> list[AnyEvent]:
    return [one.model_copy(update={"seq": seq}) for seq, one in enumerate(events, 1)]


async def test_events_are_numbered_without_gaps_and_read_back_as_they_were(log: EventLog) -> None:
    events = [started(CALL), speaking(CALL, "u1"), said(CALL, "u1", "Hello"), ended(CALL)]

    answers = [await log.append(one) for one in events]

    assert [Appended(seq=n, duplicate=False) for n in (1, 2, 3, 4)] == answers
    assert numbered(*events) == list(await log.read(CALL))


async def test_the_same_event_again_is_told_its_first_place_and_changes_nothing(log: EventLog) -> None:
    first, second = started(CALL), speaking(CALL, "u1")
    await log.append(first)
    await log.append(second)

    assert Appended(seq=1, duplicate=True) == await log.append(first)
    assert Appended(seq=2, duplicate=True) == await log.append(second)
    assert len(await log.read(CALL)) == 2


async def test_another_event_under_the_same_id_is_refused_and_named_by_its_place(log: EventLog) -> None:
    first = speaking(CALL, "u1")
    await log.append(started(CALL))
    await log.append(first)
    other = said(CALL, "u1", "the customer's words").model_copy(update={"id": first.id})

    with pytest.raises(IdTaken, match="number 2") as refused:
        await log.append(other)

    assert "words" not in str(refused.value)
    assert numbered(started(CALL), first) == list(await log.read(CALL))


async def test_where_the_first_one_wins_another_event_under_the_same_id_is_a_duplicate(log: EventLog) -> None:
    await log.append(started(CALL))
    await log.append(ended(CALL))
    ours = event(CALL, CallEnded(ended_by=EndedBy.SYSTEM, cause="x", duration_ms=1), id=ended(CALL).id)

    assert Appended(seq=2, duplicate=True) == await log.append(ours, first_wins=True)
    assert numbered(started(CALL), ended(CALL)) == list(await log.read(CALL))


async def test_an_event_out_of_all_proportion_is_refused_by_the_name_of_its_field(log: EventLog) -> None:
    await log.append(started(CALL))

    with pytest.raises(BadEvent, match=r"most of it is in data\.text") as refused:
        await log.append(said(CALL, "u1", "word " * (MAX_EVENT_BYTES // 5)))
    with pytest.raises(BadEvent, match=r"most of it is in data$"):
        await log.append(event(CALL, UnknownData(wire_type="x.v9", raw={"their": "word" * MAX_EVENT_BYTES})))

    assert "word" not in str(refused.value)
    assert len(await log.read(CALL)) == 1
    await log.append(said(CALL, "u1", "w" * (MAX_EVENT_BYTES - 1000)))


async def test_an_id_that_means_something_else_to_the_log_is_refused(log: EventLog) -> None:
    await log.append(started(CALL))

    with pytest.raises(BadEvent, match="must not begin with #"):
        await log.append(speaking(CALL, "u1").model_copy(update={"id": EventId("#closed")}))
    await log.append(speaking(CALL, "u1"))


@pytest.mark.parametrize("hostile", ["", "{18}", "a}b", "a b", "../../etc", "x" * 129, "a\n", "ü", ":a"])
async def test_what_cannot_be_a_call_id_never_becomes_a_key(log: EventLog, hostile: str) -> None:
    with pytest.raises(BadCallId) as refused:
        await log.append(started(CALL).model_copy(update={"call": CallId(hostile)}))
    assert not hostile or hostile not in str(refused.value)


async def test_only_the_opening_event_opens_a_log(log: EventLog) -> None:
    with pytest.raises(CallUnknown, match="call-1"):
        await log.append(speaking(CALL, "u1"))
    assert list(await log.read(CALL)) == []


async def test_nothing_follows_the_end(log: EventLog) -> None:
    await log.append(started(CALL))
    await log.append(ended(CALL))

    with pytest.raises(CallClosed):
        await log.append(speaking(CALL, "u1"))
    assert Appended(seq=2, duplicate=True) == await log.append(ended(CALL))


async def test_an_append_that_expects_another_tail_is_refused(log: EventLog) -> None:
    await log.append(started(CALL), expected_tail=0)
    await log.append(speaking(CALL, "u1"), expected_tail=1)

    with pytest.raises(TailMoved):
        await log.append(speaking(CALL, "u2"), expected_tail=1)
    assert len(await log.read(CALL)) == 2


async def test_a_call_has_one_owner_and_renewing_keeps_the_epoch(log: EventLog) -> None:
    first = await log.own(CALL, "worker-a", lease_ms=60_000)
    again = await log.own(CALL, "worker-a", lease_ms=60_000, epoch=first.epoch)

    assert first == again
    with pytest.raises(StaleOwner, match="worker-a"):
        await log.own(CALL, "worker-b", lease_ms=60_000)


async def test_an_owner_whose_lease_ran_out_can_neither_append_nor_renew(log: EventLog) -> None:
    old = await log.own(CALL, "worker-a", lease_ms=0)
    await log.append(by("worker-a", started(CALL)), epoch=old.epoch)
    new = await log.own(CALL, "worker-b", lease_ms=60_000)

    assert new.epoch > old.epoch
    with pytest.raises(StaleOwner):
        await log.append(by("worker-a", speaking(CALL, "u1")), epoch=old.epoch)
    with pytest.raises(StaleOwner):
        await log.own(CALL, "worker-a", lease_ms=60_000, epoch=old.epoch)
    await log.append(by("worker-b", speaking(CALL, "u1")), epoch=new.epoch)


async def test_the_owners_epoch_is_of_no_use_to_anybody_else(log: EventLog) -> None:
    """After a fail-over to a replica that lacks the last claim, two workers may hold the same epoch."""
    right = await log.own(CALL, "worker-a", lease_ms=60_000)
    await log.append(by("worker-a", started(CALL)), epoch=right.epoch)

    with pytest.raises(StaleOwner):
        await log.append(by("worker-b", speaking(CALL, "u1")), epoch=right.epoch)
    with pytest.raises(StaleOwner, match="worker-a"):
        await log.own(CALL, "worker-b", lease_ms=60_000, epoch=right.epoch)


async def test_a_repeat_of_an_accepted_append_is_a_duplicate_even_from_a_stale_owner(log: EventLog) -> None:
    old = await log.own(CALL, "worker-a", lease_ms=0)
    await log.append(by("worker-a", started(CALL)), epoch=old.epoch)
    await log.own(CALL, "worker-b", lease_ms=60_000)

    again = await log.append(by("worker-a", started(CALL)), epoch=old.epoch)
    assert Appended(seq=1, duplicate=True) == again


async def test_reading_starts_after_a_place_and_stops_at_a_limit(log: EventLog) -> None:
    events = [started(CALL), *(speaking(CALL, f"u{n}") for n in range(5))]
    for one in events:
        await log.append(one)

    assert [one.seq for one in await log.read(CALL, after=2, limit=2)] == [3, 4]
    assert list(await log.read(CALL, after=6)) == []
    assert list(await log.read(CallId("nobody"))) == []


async def test_appends_of_one_call_started_together_keep_the_order_they_were_started_in(log: EventLog) -> None:
    await log.append(started(CALL))
    events = [speaking(CALL, f"u{n}") for n in range(40)]

    async with asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(log.append(one)) for one in events]

    assert list(range(2, 42)) == [answer.result().seq for answer in answers]


async def test_following_gives_what_is_there_and_what_comes_and_ends_with_the_call(log: EventLog) -> None:
    await log.append(started(CALL))
    seen: list[int] = []
    first_seen = asyncio.Event()

    async def follow() -> None:
        async for one in log.follow(CALL):
            seen.append(one.seq)
            first_seen.set()

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(follow())
        await first_seen.wait()
        await log.append(speaking(CALL, "u1"))
        await log.append(ended(CALL))

    assert seen == [1, 2, 3]


async def test_following_may_start_in_the_middle(log: EventLog) -> None:
    for one in (started(CALL), speaking(CALL, "u1"), ended(CALL)):
        await log.append(one)

    async with asyncio.timeout(10):
        assert [one.seq async for one in log.follow(CALL, after=2)] == [3]


async def test_events_of_another_release_pass_through_unharmed(log: EventLog) -> None:
    stranger = event(CALL, UnknownData(wire_type="call.teleported.v9", raw={"to": "Mars"}))
    await log.append(started(CALL))
    await log.append(stranger)

    assert stranger.data == (await log.read(CALL))[1].data


async def test_calls_are_listed_once_and_only_if_they_were_opened(log: Log) -> None:
    await log.own(CallId("never-opened"), "worker-a", lease_ms=60_000)
    for name in ("call-a", "call-b"):
        await log.append(started(name))
        await log.append(speaking(name, "u1"))

    assert {"call-a", "call-b"} == set(await log.calls())
    assert len(await log.calls(limit=1)) == 1


async def test_an_event_keeps_its_frame(log: EventLog) -> None:
    one = started(CALL).model_copy(
        update={"causation_id": EventId("cause"), "correlation_id": "transfer-1", "traceparent": "00-0af7-b7ad-01"}
    )
    await log.append(one)

    assert numbered(one) == list(await log.read(CALL))
