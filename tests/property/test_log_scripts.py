"""What single scripts do that no schedule comes to."""

from typing import Any

import pytest
from redis.asyncio import Redis

from call_events import keys
from call_events.claims import Claim, FencedError
from call_events.held import Held
from call_events.ports import Receipt
from support.log_model.directed import CALL, GROUP, playing


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
