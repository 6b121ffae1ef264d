"""The archiver is killed at every step: the stream or the archive is whole at any moment, and the next one goes on."""

import asyncio
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from call_archive.archive import Archive
from call_archive.directory import DirectoryStore
from call_archive.errors import NotThere
from call_archive.findings import Finding
from call_archive.head import RedisHead
from call_archive.verify import verify_archive
from call_events import keys
from call_events.admin import Admin
from call_events.ids import CallId
from integration.archive.conftest import Start, consuming, play
from support.archiver_process import Step
from support.waiting import wait_until

CALL = CallId("call-1")
EVENTS = 6
STEPS = [step for step in Step if step is not Step.NONE]


async def proof(redis: Redis, root: Path) -> list[Finding]:
    archive = Archive(DirectoryStore(root))
    found = verify_archive(archive, known_head=await RedisHead(redis).newest())
    return [finding async for finding in found]


async def events_in_redis(redis: Redis, call: CallId) -> int:
    """Of a log that will not be forgotten."""
    stream = keys.call_keys(call).stream
    return int(await redis.xlen(stream)) if await redis.ttl(stream) == -1 else 0


async def events_in_archive(root: Path, call: CallId) -> int:
    try:
        return len((await Archive(DirectoryStore(root)).load(call)).events)
    except NotThere:
        return 0


async def let_go(redis: Redis, call: CallId) -> bool:
    at = keys.call_keys(call)
    return await redis.zscore(at.live, call) is None and await redis.ttl(at.stream) > 0


@pytest.mark.usefixtures("others")
async def test_an_ended_call_is_sealed_linked_and_let_go(redis: Redis, root: Path, start: Start) -> None:
    await start()
    await play(redis, CALL)

    await wait_until(lambda: let_go(redis, CALL), what="the call is let go")

    sealed = await Archive(DirectoryStore(root)).load(CALL)
    stream = await redis.xrange(keys.call_keys(CALL).stream)
    assert [(b"0-%d" % event.seq, {b"e": event.raw}) for event in sealed.events] == stream
    assert sealed.manifest.receipts == {"ccm": EVENTS, "transfer": EVENTS}
    assert await proof(redis, root) == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.usefixtures("others")
async def test_killed_at_any_step_the_call_is_whole_and_the_next_archiver_finishes(
    redis: Redis, root: Path, start: Start, step: Step
) -> None:
    victim = await start(step)
    await play(redis, CALL)
    async with asyncio.timeout(20):
        assert await victim.wait() == -signal.SIGKILL

    whole_in_redis = await events_in_redis(redis, CALL) == EVENTS
    whole_in_archive = await events_in_archive(root, CALL) == EVENTS
    assert whole_in_redis or whole_in_archive
    assert whole_in_redis or await proof(redis, root) == [], "what Redis forgets is linked"

    await start()
    await wait_until(lambda: let_go(redis, CALL), within_s=20, what="the next one lets the call go")
    assert await events_in_archive(root, CALL) == EVENTS
    assert await proof(redis, root) == []
    linked = [one.call async for _, one in Archive(DirectoryStore(root)).linked()]
    assert linked == [CALL], "its link was found again"


@pytest.mark.usefixtures("others")
async def test_several_archivers_share_the_calls_and_make_one_chain(redis: Redis, root: Path, start: Start) -> None:
    calls = [CallId(f"call-{number}") for number in range(40)]
    victim = await start()
    for _ in range(2):
        await start()
    for number, call in enumerate(calls):
        await play(redis, call)
        if number == len(calls) // 2:
            victim.send_signal(signal.SIGKILL)

    for call in calls:
        await wait_until(lambda c=call: let_go(redis, c), within_s=30, what=f"{call} is let go")

    assert await proof(redis, root) == []
    assert {call async for call in Archive(DirectoryStore(root)).calls()} == set(calls)


async def test_a_call_that_a_group_has_not_finished_stays(redis: Redis, root: Path, start: Start) -> None:
    await start()
    async with consuming(redis, "ccm"):
        await play(redis, CALL)
        await play(redis, CallId("call-2"), end=False)
        await wait_until(lambda: seen_by_archive(redis), what="the archiver has seen the end")

    assert await events_in_archive(root, CALL) == 0
    async with consuming(redis, "ccm", "transfer"):
        await wait_until(lambda: let_go(redis, CALL), within_s=20, what="the call is let go once transfer has had it")
    assert await events_in_archive(root, CallId("call-2")) == 0
    assert await proof(redis, root) == []


async def seen_by_archive(redis: Redis) -> bool:
    return bool(await redis.xlen(keys.group_keys("archive", CALL).receipts))


@pytest.mark.usefixtures("others")
async def test_sigterm_finishes_what_is_in_hand(redis: Redis, root: Path, start: Start) -> None:
    process = await start(ARCHIVER_LINK_PAUSE_S="1")
    await play(redis, CALL)
    await wait_until(lambda: events_in_archive(root, CALL), what="the file is written, its link is not")

    process.send_signal(signal.SIGTERM)

    async with asyncio.timeout(10):
        assert await process.wait() == 0
    assert await proof(redis, root) == []
    assert [one.call async for _, one in Archive(DirectoryStore(root)).linked()] == [CALL]


async def test_a_call_that_a_person_let_the_archive_pass_over_is_not_let_go(
    redis: Redis, root: Path, start: Start
) -> None:
    """Nothing else holds it: better it stays in Redis than nowhere."""
    async with consuming(redis, "archive", "ccm", "transfer"):
        await play(redis, CALL)
        await wait_until(lambda: at_end(redis, "archive"))
    process = await start(ARCHIVER_GRACE_S="0")
    second = CallId("call-2")
    async with consuming(redis, "ccm", "transfer"):
        await play(redis, second)
        await wait_until(lambda: events_in_archive(root, second), what="it is at work")
        await wait_until(lambda: gone(redis, second), what="and has swept")
    process.terminate()
    await process.wait()
    assert await events_in_redis(redis, CALL) == EVENTS


async def at_end(redis: Redis, group: str) -> bool:
    return (await Admin(redis).state(group, CALL)).cursor == EVENTS


async def gone(redis: Redis, call: CallId) -> bool:
    return not await redis.exists(keys.call_keys(call).stream)
