"""The protocol's promises (docs: ``call_events.consumer``) under seeded random schedules on the real server."""

from typing import Any

import pytest
from redis.asyncio import Redis

from call_events import keys
from call_events.claims import Claim, FencedError, Held, Refusal
from call_events.ports import Receipt
from call_events.testing import speaking, started
from support.log_model import CALLS, GROUP, Mutate, Schedule

STEPS = 60
CALL = CALLS[0]


@pytest.mark.parametrize("batch", range(5))
async def test_every_promise_holds_after_every_step_of_any_schedule(redis: Redis, batch: int) -> None:
    for seed in range(batch * 20, batch * 20 + 20):
        try:
            await Schedule(redis, seed).run(STEPS)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def replacing(script: str, old: str, new: str) -> Mutate:
    def mutate(name: str, text: str) -> str:
        if name != script:
            return text
        assert old in text, f"the fault no longer fits {script}.lua"
        return text.replace(old, new)

    return mutate


def both(first: Mutate, second: Mutate) -> Mutate:
    return lambda name, text: second(name, first(name, text))


FENCE = "if g[2] ~= ARGV[1] or g[3] ~= ARGV[2] then return {-1} end"
CAS = "if tonumber(g[1] or '0') ~= tonumber(ARGV[4]) then return {-2} end"
STEP = "if g[4] ~= ARGV[3] then return {-3} end"
FAULTS = {
    "no dedupe": replacing("append", "if r[1] then return {'DUP', tonumber(r[1])} end", ""),
    "no stale check": replacing("append", "if ARGV[6] ~= '' and", "if false and"),
    "append rings nobody": replacing("append", "redis.call('XADD', KEYS[3], '*', 'c', ARGV[3], 'n', n)", ""),
    "cursor off by one": replacing("claim", "cur+1), '+'", "cur+2), '+'"),
    "epoch not raised": replacing(
        "claim", "redis.call('HINCRBY', KEYS[2], 'ep', 1)", "tonumber(redis.call('HGET', KEYS[2], 'ep') or '1')"
    ),
    "claim ignores due": replacing("claim", "if #ev == 0 and not g[6]", "if #ev == 0"),
    "neither fence nor compare-and-set": both(
        replacing("commit", FENCE, ""), both(replacing("commit", CAS, ""), replacing("commit", STEP, ""))
    ),
    "release without a look at the tail": replacing("commit", "if #ev > 0 then", "if false then"),
    "receipts before the fence": replacing(
        "commit",
        FENCE,
        "for i = 14, 13 + 3 * ARGV[13], 3 do redis.call('XADD', KEYS[5], '*', 'r', ARGV[i+2]) end " + FENCE,
    ),
    "wake not stored": replacing("commit", "redis.call('ZADD', KEYS[4], ARGV[7], ARGV[11])", ""),
    "wake without bell": replacing("wake", "redis.call('XADD', KEYS[3], '*', 'c', ARGV[1], 'n', 0)", ""),
    "wake without due": replacing("wake", "redis.call('HSET', KEYS[2], 'due', 1)", ""),
    "release forgets its token": replacing(
        "release", "redis.call('XCLAIM'", "redis.call('XACK', KEYS[2], ARGV[2], ARGV[4]) redis.call('XCLAIM'"
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_in_a_script_is_found(redis: Redis, fault: str) -> None:
    """The schedules are worth something only if they catch what would break the log."""
    for seed in range(60):
        try:
            await Schedule(redis, 1000 + seed, mutate=FAULTS[fault]).run(STEPS)
        except AssertionError:
            return
    pytest.fail(f"60 schedules did not notice: {fault}")


class Directed(Schedule):
    """The steps of a schedule by hand."""

    async def doorbell(self, reader: int) -> bytes:
        await self.redis.xreadgroup(GROUP, self.workers[reader].name, {self.bell: ">"}, count=1)
        newest = await self.redis.xrevrange(self.bell, count=1)
        return newest[0][0]  # type: ignore[return-value, index]  # redis-py types every entry as perhaps absent

    async def accept(self, name: str) -> None:
        event = speaking(CALL, name) if self.calls[CALL].accepted else started(CALL)
        await self.log.append(event)
        self.calls[CALL].accepted.append(event)


async def sits_on_a_finished_token(redis: Redis, mutate: Mutate | None = None) -> None:
    """A sits on a token that B has taken over and finished; then A claims with it, and dies."""
    play = Directed(redis, 0, mutate=mutate)
    await play.start()
    a, b, _ = play.workers
    await play.accept("first")
    token = await play.doorbell(reader=0)
    await play.take(b, token)
    await play.claim(b)
    await play.commit(b, finish=True)
    await play.accept("second")
    await a.claims.claim(CALL, token.decode())
    second = await play.doorbell(reader=1)
    await b.claims.claim(CALL, second.decode())
    await play.check()


async def acknowledges_the_holders_only_token(redis: Redis, mutate: Mutate | None = None) -> None:
    """A sits on a token with which B holds the call; A is told "busy", and B dies."""
    play = Directed(redis, 0, mutate=mutate)
    await play.start()
    a, b, _ = play.workers
    await play.accept("first")
    token = await play.doorbell(reader=0)
    await play.take(b, token)
    await play.claim(b)
    assert await a.claims.claim(CALL, token.decode()) is Refusal.BUSY
    await play.check()


NO_PENDING_CHECK = replacing("claim", "if not rung or rung[2][2] ~=", "if rung and rung[2][2] ~=")
BUSY_ACKS_ALL = replacing("claim", "if g[4] ~= ARGV[5] then", "if true then")


async def test_a_token_taken_over_and_finished_by_another_worker_grants_nothing(redis: Redis) -> None:
    await sits_on_a_finished_token(redis)
    with pytest.raises(AssertionError, match="I6"):
        await sits_on_a_finished_token(redis, NO_PENDING_CHECK)


async def test_busy_never_acknowledges_the_only_token_of_the_holder(redis: Redis) -> None:
    await acknowledges_the_holders_only_token(redis)
    with pytest.raises(AssertionError, match="I6"):
        await acknowledges_the_holders_only_token(redis, BUSY_ACKS_ALL)


async def test_more_tokens_than_lua_can_unpack_are_all_acknowledged(redis: Redis) -> None:
    play = Directed(redis, 0)
    await play.start()
    a = play.workers[0]
    await play.accept("first")
    for number in range(9000):
        play.calls[CALL].accepted.append(speaking(CALL, str(number)))
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
    play = Directed(redis, 0)
    await play.start()
    a = play.workers[0]
    await play.accept("first")
    await a.claims.claim(CALL, (await play.doorbell(reader=0)).decode())
    stale = Held(CALL, "0-1", epoch=99)
    with pytest.raises(FencedError):
        await a.claims.commit(stale, to=1, seen=1, receipts=[Receipt(1, "refused", {"reason": "400 bad channel"})])
    assert await redis.xlen(keys.dead_letters(keys.tag_of(CALL), GROUP)) == 0

    held = Held(CALL, "0-1", epoch=1)
    await a.claims.commit(held, to=1, seen=1, receipts=[Receipt(1, "refused", {"reason": "400 bad channel"})])
    letters: Any = await redis.xrange(keys.dead_letters(keys.tag_of(CALL), GROUP))
    ((_, letter),) = letters
    assert letter == {b"c": CALL.encode(), b"n": b"1", b"kind": b"refused", b"why": b"400 bad channel"}


async def test_going_on_with_the_rest_sends_no_event_that_is_known_already(redis: Redis) -> None:
    """``to`` short of ``seen`` without a wake: the lease is kept, and only what came meanwhile is sent."""
    play = Directed(redis, 0)
    await play.start()
    a = play.workers[0]
    await play.accept("first")
    token = (await play.doorbell(reader=0)).decode()
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
