"""What becomes of the calls in hand when the way to Redis breaks, and when another server answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from call_events import keys
from call_events.claims import Claim, GroupClaims
from call_events.connection import connect
from call_events.consumer import ConsumerOptions
from call_events.embedded import EmbeddedRedis
from call_events.errors import LogUnavailable
from call_events.held import Held
from call_events.ids import CallId
from call_events.ports import CallView, Progress, Receipt
from call_events.reader import create_groups
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.testing import speaking, started
from integration.log.test_faults import at, consuming
from support.black_hole import BlackHole
from support.waiting import wait_until

CALL = CallId("call-1")
BELL = keys.bell(keys.tag_of(CALL))
#: Whoever waits for a lease to end waits longer than these tests do.
LONG = ConsumerOptions(lease_s=60, wake_poll_s=0.1, stop_budget_s=0.5)
WITHIN_S = 5.0
#: Nothing but the calls is asked about: no other question takes a connection and waits on it for an answer.
QUIET = ConsumerOptions(lease_s=60, wake_poll_s=60, sweep_s=60, trim_s=60, stop_budget_s=0.5)


@asynccontextmanager
async def failing_over() -> AsyncIterator[tuple[EmbeddedRedis, EmbeddedRedis, BlackHole]]:
    """A master, its replica, and an address that leads to the master."""
    async with EmbeddedRedis(options=("--repl-diskless-sync-delay", "0")) as master:
        port = master.url.rpartition(":")[2].partition("/")[0]
        async with EmbeddedRedis(options=("--replicaof", f"127.0.0.1 {port}")) as replica, BlackHole(master.url) as way:
            yield master, replica, way


async def caught_up(master: Redis, replica: Redis) -> bool:
    ours, theirs = await master.info("replication"), await replica.info("replication")
    return bool(ours["master_repl_offset"] == theirs.get("slave_repl_offset"))


def repeats() -> float:
    return REGISTRY.get_sample_value("cc_eventlog_repeats_total", {"group": "g"}) or 0


class Slow:
    """A handler that waits in the middle, the first time."""

    def __init__(self) -> None:
        self.given: list[list[str]] = []
        self.in_hand, self.cancelled, self.go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, view: CallView) -> Progress:
        self.given.append([one.id for one in view.events])
        self.in_hand.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Progress(through=len(view.events))


async def test_another_server_means_that_every_call_in_hand_is_lost_at_once_and_taken_up_again() -> None:
    """A fail-over: what the old server granted the new one may not know. Nobody waits for the lease to end."""
    async with (
        failing_over() as (one, two, way),
        connect(one.url) as master,
        connect(two.url) as replica,
        connect(way.url) as redis,
    ):
        handler, before = Slow(), repeats()
        await RedisEventLog(master).append(started(CALL))
        async with consuming(redis, handler, options=LONG):
            await handler.in_hand.wait()
            await wait_until(lambda: caught_up(master, replica))
            await replica.replicaof("NO", "ONE")
            way.lead_to(two.url)
            way.cut()
            await wait_until(handler.cancelled.is_set, within_s=WITHIN_S, what="the handler is cancelled")
            handler.go_on.set()
            await wait_until(lambda: at(replica, 1), within_s=WITHIN_S, what="the call goes on, on the new server")
        assert not await at(master, 1), "nothing was committed to the old one"
        assert (len(handler.given), repeats() - before) == (2, 1), "what was given twice is counted"


async def test_nothing_is_committed_to_a_server_that_has_not_granted_the_claim() -> None:
    """The replica lacks the last event; another one has its number there. To commit it would skip what nobody saw."""
    async with (
        failing_over() as (one, two, way),
        connect(one.url) as master,
        connect(two.url) as replica,
        connect(way.url) as redis,
    ):
        handler = Slow()
        handler.go_on.set()
        old, new = RedisEventLog(master), RedisEventLog(replica)
        await old.append(started(CALL))
        async with consuming(redis, handler, options=LONG):
            await wait_until(lambda: at(master, 1))
            await wait_until(lambda: caught_up(master, replica))
            await replica.replicaof("NO", "ONE")
            handler.go_on.clear()
            handler.in_hand.clear()
            await old.append(speaking(CALL, "forgotten"))
            await handler.in_hand.wait()
            kept = speaking(CALL, "kept")
            assert (await new.append(kept)).seq == 2
            way.lead_to(two.url)
            way.cut()
            handler.go_on.set()
            await wait_until(lambda: at(replica, 2), within_s=WITHIN_S)
        assert handler.given[-1][-1] == kept.id, "the event that has the number now was shown"


async def test_what_was_known_of_calls_is_forgotten_with_the_server_that_told_it() -> None:
    """Two events in another order on the new server, then one that both have: nothing of the old order is left."""
    async with (
        failing_over() as (one, two, way),
        connect(one.url) as master,
        connect(two.url) as replica,
        connect(way.url) as redis,
    ):
        handler = Slow()
        handler.go_on.set()
        old, new = RedisEventLog(master), RedisEventLog(replica)
        opening, a, b, last = started(CALL), speaking(CALL, "a"), speaking(CALL, "b"), speaking(CALL, "c")
        await old.append(opening)
        async with consuming(redis, handler, options=LONG):
            await wait_until(lambda: at(master, 1))
            await wait_until(lambda: caught_up(master, replica))
            await replica.replicaof("NO", "ONE")
            for event in (a, b, last):
                await old.append(event)
            await wait_until(lambda: at(master, 4))
            for event in (b, a, last):
                await new.append(event)
            way.lead_to(two.url)
            way.cut()
            await wait_until(lambda: at(replica, 4), within_s=WITHIN_S)
        assert handler.given[-1] == [one.id for one in (opening, b, a, last)]


async def test_a_handler_bears_a_cut_connection_and_its_answer_is_committed_once(redis: Redis, redis_url: str) -> None:
    """Nothing happened to the server, so nothing is given up: the commit is tried again on another connection."""
    handler, before = Slow(), repeats()
    await RedisEventLog(redis).append(started(CALL))
    async with BlackHole(redis_url) as way, connect(way.url) as shaky, consuming(shaky, handler, options=LONG):
        await handler.in_hand.wait()
        way.cut()
        handler.go_on.set()
        await wait_until(lambda: at(redis, 1), within_s=WITHIN_S)
    assert (len(handler.given), repeats() - before) == (1, 0)


async def test_a_call_whose_commit_was_carried_out_but_not_answered_goes_on_within_a_moment(
    redis: Redis, redis_url: str
) -> None:
    """The lease is ours and stands, for there were newer events: it is let go of, not waited out."""
    await create_groups(redis, "g")
    log = RedisEventLog(redis)
    await log.append(started(CALL))
    first = True

    async with BlackHole(redis_url) as way, connect(way.url) as shaky:

        async def handler(view: CallView) -> Progress:
            nonlocal first
            if first:
                first = False
                await log.append(speaking(CALL, "u1"))
                way.swallow_answers()
            return Progress(through=len(view.events), receipts=(Receipt(len(view.events), "delivered", {}),))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):  # a connection for everybody: to make one, an answer is needed
                tasks.create_task(RedisEventLog(shaky).read(CALL))
        async with consuming(shaky, handler, options=QUIET):
            await wait_until(lambda: at(redis, 1), what="the commit has reached the server")
            way.cut()
            way.let_through()
            await wait_until(lambda: at(redis, 2), within_s=WITHIN_S)


async def test_a_claim_whose_answer_was_lost_is_had_again_by_its_own_worker_only(redis: Redis) -> None:
    await create_groups(redis, "g")
    await RedisEventLog(redis).append(started(CALL))
    runner = ScriptRunner(redis)
    ours, theirs = [
        GroupClaims(runner, group="g", worker=name, lease_ms=60_000, max_events=10) for name in ("ours", "theirs")
    ]
    taken: Any = await redis.xreadgroup("g", "ours", {BELL: ">"})
    token = taken[BELL.encode()][0][0][0].decode()
    lost = await ours.claim(CALL, token)
    assert isinstance(lost, Claim)
    assert not isinstance(await theirs.claim(CALL, token), Claim)
    again = await ours.claim(CALL, token)
    assert isinstance(again, Claim)
    assert (again.epoch, again.taken_over) == (lost.epoch + 1, False)
    assert not await ours.renew(Held(CALL, token, epoch=lost.epoch)), "the one that was lost is worth nothing"


@pytest.mark.parametrize("how", ["commit", "park"])
async def test_what_is_bound_to_a_server_that_has_gone_changes_nothing_on_the_next(redis: Redis, how: str) -> None:
    await create_groups(redis, "g")
    await RedisEventLog(redis).append(started(CALL))
    claims = GroupClaims(ScriptRunner(redis), group="g", worker="w", lease_ms=60_000, max_events=10)
    taken: Any = await redis.xreadgroup("g", "w", {BELL: ">"})
    token = taken[BELL.encode()][0][0][0].decode()
    claim = await claims.claim(CALL, token)
    assert isinstance(claim, Claim)
    held = Held(CALL, token, epoch=claim.epoch, server="0" * 40)
    with pytest.raises(LogUnavailable):
        await (claims.commit(held, to=1, seen=1) if how == "commit" else claims.park(held, to=0, reason="x"))
    assert not await at(redis, 1)


async def test_a_worker_that_stops_gives_its_doorbells_to_those_who_wait_for_one(redis: Redis) -> None:
    """Not to whoever looks for abandoned ones next, which is a quarter of a lease later."""
    in_hand = asyncio.Event()
    by: list[tuple[str, CallId]] = []

    async def hangs(view: CallView) -> Progress:
        by.append(("first", view.call))
        in_hand.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def quick(view: CallView) -> Progress:
        by.append(("second", view.call))
        return Progress(through=len(view.events))

    calls = [CallId(f"call-{n}") for n in range(8)]
    for call in calls:
        await RedisEventLog(redis).append(started(call))
    one_slot = ConsumerOptions(lease_s=120, slots=1, stop_budget_s=0.1)
    async with consuming(redis, hangs, worker="first", options=one_slot) as first:
        await in_hand.wait()
        async with consuming(redis, quick, worker="second", options=LONG):
            first.stop()
            for call in calls:
                await wait_until(lambda c=call: at(redis, 1, c), within_s=WITHIN_S)
    assert sorted(call for who, call in by if who == "second") == calls
    assert await redis.xpending(BELL, "g") == {"pending": 0, "min": None, "max": None, "consumers": []}


async def test_a_doorbell_by_which_a_call_is_held_is_not_passed_on(redis: Redis) -> None:
    """It is that lease's only token: without it nobody would look at the call when its holder has died."""
    await create_groups(redis, "g")
    await RedisEventLog(redis).append(started(CALL))
    claims = GroupClaims(ScriptRunner(redis), group="g", worker="w", lease_ms=60_000, max_events=10)
    taken: Any = await redis.xreadgroup("g", "w", {BELL: ">"})
    token = taken[BELL.encode()][0][0][0].decode()
    assert isinstance(await claims.claim(CALL, token), Claim)
    assert not await claims.pass_on(CALL, token)
    await redis.xclaim(BELL, "g", "other", 0, [token])
    await redis.hdel(keys.group_keys("g", CALL).state, "ow", "dl", "tok")
    assert not await claims.pass_on(CALL, token), "another worker has it"
    assert await redis.xlen(BELL) == 1
