"""Schedules by hand: those that once failed, and those too rare to be met at random. Each with the fault it is for."""

from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis

from call_events import keys
from call_events.claims import Claim, FencedError, Refusal
from call_events.errors import StaleOwner
from call_events.held import Held
from call_events.testing import ended, started
from call_events.views import Views
from support.log_model import Mutate
from support.log_model.directed import CALL, GROUP, OTHER_CALL, playing
from support.log_model.mutants import (
    ANY_CALLS_TOKEN,
    BUSY_ACKS_ALL,
    BUSY_ACKS_BESIDE_A_LOST_ONE,
    BY_EPOCH_ONLY,
    FENCE,
    NO_TOKEN_CHECK,
    PARKS_BY_EPOCH_ONLY,
    RENEWS,
    RETIRES_IN_SPITE,
    STEPS_NOT_COUNTED,
    UNPARKS_WITHOUT_DUE,
    replacing,
)
from support.log_model.stage import LEASE_MS, PRODUCERS


async def sits_on_a_finished_token(redis: Redis, mutate: Mutate | None = None) -> None:
    """A sits on a token that B has taken over and finished; then A claims with it, and dies."""
    play = await playing(redis, mutate)
    a, b, _ = play.workers
    await play.accept("first")
    token = await play.doorbell(a)
    await play.take(b, token)
    await play.claim(b)
    await play.commit(b, finish=True)
    await play.accept("second")
    if isinstance(claim := await a.claims.claim(CALL, token.decode()), Claim):
        play.calls[CALL].groups[GROUP].epoch = claim.epoch
    second = await play.doorbell(b)
    if isinstance(claim := await b.claims.claim(CALL, second.decode()), Claim):
        play.calls[CALL].groups[GROUP].epoch = claim.epoch
    await play.check()


async def acknowledges_the_holders_only_token(redis: Redis, mutate: Mutate | None = None) -> None:
    """A sits on a token with which B holds the call; A is told "busy", and B dies."""
    play = await playing(redis, mutate)
    a, b, _ = play.workers
    await play.accept("first")
    token = await play.doorbell(a)
    await play.take(b, token)
    await play.claim(b)
    assert await a.claims.claim(CALL, token.decode()) is Refusal.BUSY
    await play.check()


async def is_told_busy_by_a_holder_whose_token_was_lost(redis: Redis, mutate: Mutate | None = None) -> None:
    """A trim takes the doorbell by which A holds the call, and the sweeper rings again when A's lease has run out.

    A goes on before anybody has come, then B does with the new doorbell, the only one there is; and A dies.
    """
    play = await playing(redis, mutate)
    a, b, _ = play.workers
    await play.accept("first")
    held = await play.takes(a)
    play.calls[CALL].groups[GROUP].epoch = held.epoch
    await play.lose_doorbells()
    assert await a.claims.commit(held, to=0, seen=1) == []
    token = await play.doorbell(b)
    assert await b.claims.claim(CALL, token.decode()) is Refusal.BUSY
    await play.check()


async def two_workers_with_one_epoch(redis: Redis, mutate: Mutate | None = None, *, parks: bool = False) -> int:
    """A's claim and the event it was given are forgotten by a fail-over; B claims, under the epoch that A has.

    The two producers put their events back in another order. If A's commit is taken, what stands at its number now was
    never given to anybody.
    """
    play = await playing(redis, mutate)
    a, b, _ = play.workers
    await play.accept("opening")
    first = await play.takes(a)
    await a.claims.commit(first, to=1, seen=1)
    await play.remember()
    theirs = await play.accept("theirs", producer=PRODUCERS[0])
    mine = await play.accept("mine", producer=PRODUCERS[1])
    old = await play.takes(a)
    await play.fail_over()
    await play.send(play.producers[PRODUCERS[1]], mine)
    new = await play.takes(b)
    assert (old.epoch, old.cursor) == (new.epoch, new.cursor)
    try:
        if parks:
            await a.claims.park(old, to=2, reason="broken")
        else:
            await a.claims.commit(old, to=2, seen=2)
    finally:
        await play.send(play.producers[PRODUCERS[0]], theirs)
    return await play.cursor()


async def a_claim_that_outlives_its_last_commit(redis: Redis, mutate: Mutate | None = None) -> int:
    """The replica has A's claim and not A's commit, which moved no cursor but brought A another event."""
    play = await playing(redis, mutate)
    a, _, _ = play.workers
    await play.accept("opening")
    held = await play.takes(a)
    await play.remember()
    theirs = await play.accept("theirs", producer=PRODUCERS[0])
    assert len(await a.claims.commit(held, to=0, seen=1) or ()) == 1
    await play.fail_over()
    await play.accept("ours", producer=PRODUCERS[1])
    try:
        await a.claims.commit(held, to=2, seen=2)
    finally:
        await play.send(play.producers[PRODUCERS[0]], theirs)
    return await play.cursor()


async def two_owners_with_one_epoch(redis: Redis, mutate: Mutate | None = None) -> None:
    """Two voice workers own a call under one epoch after a fail-over: the one the server knows keeps it."""
    play = await playing(redis, mutate)
    await play.remember()
    old = await play.log.own(CALL, "worker-a", lease_ms=LEASE_MS)
    await play.fail_over()
    new = await play.log.own(CALL, "worker-b", lease_ms=LEASE_MS)
    assert old == new
    await play.log.own(CALL, "worker-a", lease_ms=LEASE_MS, epoch=old.epoch)


async def a_token_whose_id_was_given_anew(redis: Redis, mutate: Mutate | None = None) -> None:
    """A holds a token of one call; the new master, whose clock is behind, gave its id to another call."""
    play = await playing(redis, mutate)
    a, b, _ = play.workers
    for call in (CALL, OTHER_CALL):
        await play.accept("opening", call)
    await play.doorbell(a)
    theirs = await play.doorbell(b)
    claim = await a.claims.claim(CALL, theirs.decode())
    if isinstance(claim, Claim):
        await a.claims.commit(Held(CALL, theirs.decode(), epoch=claim.epoch), to=1, seen=1)
    pending: Any = await redis.xpending_range(play.bell, GROUP, "-", "+", 10)
    assert theirs in {one["message_id"] for one in pending}, "I6: the other call's doorbell is gone"


async def test_a_token_taken_over_and_finished_by_another_worker_grants_nothing(redis: Redis) -> None:
    await sits_on_a_finished_token(redis)
    with pytest.raises(AssertionError, match="I6"):
        await sits_on_a_finished_token(redis, NO_TOKEN_CHECK)


async def test_busy_never_acknowledges_the_only_token_of_the_holder(redis: Redis) -> None:
    await acknowledges_the_holders_only_token(redis)
    with pytest.raises(AssertionError, match="I6"):
        await acknowledges_the_holders_only_token(redis, BUSY_ACKS_ALL)


async def test_busy_never_acknowledges_the_only_token_where_the_holders_was_lost(redis: Redis) -> None:
    await is_told_busy_by_a_holder_whose_token_was_lost(redis)
    with pytest.raises(AssertionError, match="I6"):
        await is_told_busy_by_a_holder_whose_token_was_lost(redis, BUSY_ACKS_BESIDE_A_LOST_ONE)


async def test_after_a_fail_over_an_epoch_alone_fences_nobody(redis: Redis) -> None:
    with pytest.raises(FencedError):
        await two_workers_with_one_epoch(redis)
    assert await two_workers_with_one_epoch(redis, replacing("commit", FENCE, BY_EPOCH_ONLY)) == 2
    with pytest.raises(FencedError):
        await two_workers_with_one_epoch(redis, parks=True)
    assert await two_workers_with_one_epoch(redis, PARKS_BY_EPOCH_ONLY, parks=True) == 2


async def test_a_claim_that_outlives_its_last_commit_is_fenced(redis: Redis) -> None:
    """Else the event that now stands where A's was would be passed over, and nobody would ever be given it."""
    with pytest.raises(FencedError):
        await a_claim_that_outlives_its_last_commit(redis)
    assert await a_claim_that_outlives_its_last_commit(redis, STEPS_NOT_COUNTED) == 2


async def test_after_a_fail_over_only_the_owner_the_server_knows_can_renew(redis: Redis) -> None:
    with pytest.raises(StaleOwner, match="worker-b"):
        await two_owners_with_one_epoch(redis)
    await two_owners_with_one_epoch(redis, replacing("own", RENEWS, "if g[3] ~= ARGV[3] then"))


async def parked_while_its_time_had_come(redis: Redis, mutate: Mutate | None = None) -> Claim | Refusal:
    """A call at its end is woken, parked in that turn, and given back: nothing is new, and its time is still due."""
    play = await playing(redis, mutate)
    a, _, _ = play.workers
    await play.accept("opening")
    held = await play.takes(a)
    await a.claims.commit(held, to=1, seen=1, wake_at=datetime.fromtimestamp(play.now_ms / 1000, UTC))
    assert await a.claims.wake(CALL)
    await a.claims.park(await play.takes(a), to=1, reason="broken")
    assert await play.admin.unpark(GROUP, CALL)
    return await a.claims.claim(CALL, (await play.doorbell(a)).decode())


async def test_a_call_that_is_given_back_is_asked_about_also_if_nothing_is_new(redis: Redis) -> None:
    assert isinstance(await parked_while_its_time_had_come(redis), Claim)
    assert await parked_while_its_time_had_come(redis, UNPARKS_WITHOUT_DUE) is Refusal.NOTHING_NEW


@pytest.mark.parametrize("stands", RETIRES_IN_SPITE)
async def test_a_call_with_which_somebody_has_to_do_is_not_retired(redis: Redis, stands: str) -> None:
    for mutate, answer in ((None, "BEHIND"), (RETIRES_IN_SPITE[stands], "OK")):
        play = await playing(redis, mutate)
        for event in (started(CALL), ended(CALL)):
            await play.log.append(event)
        await redis.hset(keys.group_keys(GROUP, CALL).state, mapping={"cur": 2, stands: 1})
        assert await play.admin.retire(CALL, groups=[GROUP], grace_s=10) == answer


class BelievesTheNextServer(Views):
    """It may have the same events at other numbers."""

    def forget_all(self) -> None:
        pass


async def sees_the_last_event_where_it_was(redis: Redis, views: type[Views]) -> tuple[list[str], list[str]]:
    """After a fail-over two events have changed places. Epoch, cursor and the last event are as this worker left them.

    What it shows of the call, and what is there.
    """
    play = await playing(redis)
    a, b, _ = play.workers
    one, other = (play.producers[name] for name in PRODUCERS)
    a.views = views(a.claims, clock=play.clock, max_bytes=10**7)
    await play.accept("opening")
    opening = await play.takes(a)
    await a.claims.commit(opening, to=1, seen=1)
    await play.remember()
    first, second, third = [await play.accept(str(n), producer=p.name) for n, p in enumerate((one, other, one))]
    token = (await play.doorbell(a)).decode()
    claim = await a.claims.claim(CALL, token)
    assert isinstance(claim, Claim)
    known = await a.views.load(CALL, claim)
    held = Held(CALL, token, epoch=claim.epoch, cursor=claim.cursor)
    known.view(held)
    await a.claims.commit(held, to=4, seen=4)
    known.committed(held, ())
    a.views.keep(known)
    await play.fail_over()
    for producer, event in ((other, second), (one, first), (one, third)):
        await play.send(producer, event)
    await b.claims.commit(await play.takes(b), to=4, seen=4)
    await play.accept("new")
    await redis.xreadgroup(GROUP, a.name, {play.bell: ">"})
    newest: Any = await redis.xrevrange(play.bell, count=1)
    claim = await a.claims.claim(CALL, newest[0][0].decode())
    assert isinstance(claim, Claim)
    view = (await a.views.load(CALL, claim)).view(Held(CALL, "", epoch=claim.epoch, cursor=claim.cursor))
    return [event.id for event in view.events], [event.id for event in play.calls[CALL].accepted]


async def test_nothing_that_was_known_of_another_server_is_shown(redis: Redis) -> None:
    shown, there = await sees_the_last_event_where_it_was(redis, Views)
    assert shown == there
    shown, there = await sees_the_last_event_where_it_was(redis, BelievesTheNextServer)
    assert shown != there


async def test_a_token_is_good_for_its_own_call_only(redis: Redis) -> None:
    await a_token_whose_id_was_given_anew(redis)
    with pytest.raises(AssertionError, match="I6"):
        await a_token_whose_id_was_given_anew(redis, ANY_CALLS_TOKEN)
