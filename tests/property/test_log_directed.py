"""Schedules by hand: those that once failed, and those too rare to be met at random. Each with the fault it is for."""

from typing import Any

import pytest
from redis.asyncio import Redis

from call_events import keys
from call_events.claims import Claim, FencedError, Held, Refusal
from call_events.errors import StaleOwner
from call_events.ids import CallId
from call_events.ports import AnyEvent, Receipt
from call_events.testing import speaking, started
from support.log_model import CALLS, Mutate, Schedule
from support.log_model.mutants import (
    ANY_CALLS_TOKEN,
    BUSY_ACKS_ALL,
    BY_EPOCH_ONLY,
    FENCE,
    NO_TOKEN_CHECK,
    RENEWS,
    STEP,
    replacing,
)
from support.log_model.stage import LEASE_MS, PRODUCERS, Worker

CALL, OTHER_CALL, _ = CALLS
GROUP = "g"


class Directed(Schedule):
    """The steps of a schedule by hand."""

    def __init__(self, redis: Redis, mutate: Mutate | None = None) -> None:
        super().__init__(redis, 0, mutate=mutate, groups=1)

    async def doorbell(self, worker: Worker) -> bytes:
        """The next doorbell, given to this worker."""
        answer: Any = await self.redis.xreadgroup(GROUP, worker.name, {self.bell: ">"}, count=1)
        ((entries,),) = answer.values()
        return bytes(entries[0][0])

    async def accept(self, name: str, call: CallId = CALL, producer: str = PRODUCERS[0]) -> AnyEvent:
        event = speaking(call, name) if self.calls[call].accepted else started(call)
        event = event.model_copy(update={"producer": producer})
        assert await self.send(self.producers[producer], event) is not None
        self.note(self.producers[producer], event)
        return event

    async def takes(self, worker: Worker, call: CallId = CALL) -> Held:
        """The worker reads the next doorbell and claims its call with it."""
        token = (await self.doorbell(worker)).decode()
        claim = await worker.claims.claim(call, token)
        assert isinstance(claim, Claim)
        return Held(call, token, epoch=claim.epoch, cursor=claim.cursor)

    async def elapse(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        await self.set_clock()

    async def cursor(self) -> int:
        return int((await self.state(GROUP, CALL)).get(b"cur", 0))


async def playing(redis: Redis, mutate: Mutate | None = None) -> Directed:
    play = Directed(redis, mutate)
    await play.start()
    return play


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


async def two_workers_with_one_epoch(redis: Redis, mutate: Mutate | None = None) -> int:
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


async def test_after_a_fail_over_an_epoch_alone_fences_nobody(redis: Redis) -> None:
    with pytest.raises(FencedError):
        await two_workers_with_one_epoch(redis)
    assert await two_workers_with_one_epoch(redis, replacing("commit", FENCE, BY_EPOCH_ONLY)) == 2


async def test_a_claim_that_outlives_its_last_commit_is_fenced(redis: Redis) -> None:
    """Else the event that now stands where A's was would be passed over, and nobody would ever be given it."""
    with pytest.raises(FencedError):
        await a_claim_that_outlives_its_last_commit(redis)
    assert await a_claim_that_outlives_its_last_commit(redis, replacing("commit", STEP, "")) == 2


async def test_after_a_fail_over_only_the_owner_the_server_knows_can_renew(redis: Redis) -> None:
    with pytest.raises(StaleOwner, match="worker-b"):
        await two_owners_with_one_epoch(redis)
    await two_owners_with_one_epoch(redis, replacing("own", RENEWS, "if g[3] ~= ARGV[3] then"))


async def test_a_token_is_good_for_its_own_call_only(redis: Redis) -> None:
    await a_token_whose_id_was_given_anew(redis)
    with pytest.raises(AssertionError, match="I6"):
        await a_token_whose_id_was_given_anew(redis, ANY_CALLS_TOKEN)


async def test_more_tokens_than_lua_can_unpack_are_all_acknowledged(redis: Redis) -> None:
    play = await playing(redis)
    a = play.workers[0]
    await play.accept("first")
    async with redis.pipeline(transaction=False) as pipe:
        for number in range(9000):
            pipe.xadd(play.bell, {"c": CALL, "n": number})
        await pipe.execute()
    await redis.xreadgroup(GROUP, a.name, {play.bell: ">"}, count=10_000)
    tokens = [entry[0].decode() for entry in await redis.xrange(play.bell)]  # type: ignore[union-attr]
    claim = await a.claims.claim(CALL, tokens[0])
    assert isinstance(claim, Claim)
    held = Held(CALL, tokens[0], epoch=claim.epoch, later=dict.fromkeys(tokens[1:]))
    await a.claims.commit(held, to=1, seen=1)

    assert (await redis.xpending(play.bell, GROUP))["pending"] == 0


async def test_a_refused_receipt_is_a_dead_letter_of_the_same_commit(redis: Redis) -> None:
    play = await playing(redis)
    a = play.workers[0]
    await play.accept("first")
    held = await play.takes(a)
    stale = Held(CALL, "0-1", epoch=99)
    with pytest.raises(FencedError):
        await a.claims.commit(stale, to=1, seen=1, receipts=[Receipt(1, "refused", {"reason": "400 bad channel"})])
    assert await redis.xlen(keys.dead_letters(keys.tag_of(CALL), GROUP)) == 0

    await a.claims.commit(held, to=1, seen=1, receipts=[Receipt(1, "refused", {"reason": "400 bad channel"})])
    letters: Any = await redis.xrange(keys.dead_letters(keys.tag_of(CALL), GROUP))
    ((_, letter),) = letters
    assert letter == {b"c": CALL.encode(), b"n": b"1", b"kind": b"refused", b"why": b"400 bad channel"}


async def test_going_on_with_the_rest_sends_no_event_that_is_known_already(redis: Redis) -> None:
    """``to`` short of ``seen`` without a wake: the lease is kept, and only what came meanwhile is sent."""
    play = await playing(redis)
    a = play.workers[0]
    await play.accept("first")
    token = (await play.doorbell(a)).decode()
    for name in ("second", "third"):
        await play.accept(name)
    claim = await a.claims.claim(CALL, token)
    assert isinstance(claim, Claim)
    assert [entry_id for entry_id, _ in claim.entries] == [b"0-1", b"0-2", b"0-3"]
    held = Held(CALL, token, epoch=claim.epoch)

    assert await a.claims.commit(held, to=1, seen=3) == []
    await play.accept("fourth")
    newer = await a.claims.commit(held, to=2, seen=3)
    assert newer is not None
    assert [entry_id for entry_id, _ in newer] == [b"0-4"]
    assert await a.claims.commit(held, to=3, seen=4) == []
    assert await a.claims.commit(held, to=4, seen=4) is None
