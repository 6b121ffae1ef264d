"""Passing over what a group cannot get past: only what is parked, only what was decided, and never without a trace."""

import asyncio
import random
from typing import Any

import pytest
from redis.asyncio import Redis

from call_events import keys
from call_events.admin import DISCARDED, Admin, CannotDiscard
from call_events.claims import Claim, FencedError, GroupClaims
from call_events.consumer import ConsumerOptions, ParkCall
from call_events.dead_letters import DeadLetters, NoSuchLetter
from call_events.held import Held
from call_events.ids import CallId
from call_events.ports import CallView, Progress, Receipt
from call_events.reader import create_groups
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.testing import ended, speaking, started
from integration.log.test_faults import consuming
from support.waiting import wait_until

CALL, OTHER = CallId("broken"), CallId("fine")
OPTIONS = ConsumerOptions(wake_poll_s=0.05, sweep_s=0.2)
ANNA = {"who": "anna", "why": "a test"}


class Stumbling:
    """A handler that cannot get past some events of one call, and remembers what it was given."""

    def __init__(self, *stones: int) -> None:
        self.stones = set(stones)
        self.done: list[int] = []
        self.receipts: list[tuple[int, str]] = []

    async def __call__(self, view: CallView) -> Progress:
        if view.call != CALL:
            return Progress(through=len(view.events))
        self.receipts = [(one.seq, one.outcome) for one in view.receipts]
        for event in view.new:
            if event.seq in self.stones:
                raise ParkCall("a stone", through=event.seq - 1)
            self.done.append(event.seq)
        return Progress(through=len(view.events), receipts=(Receipt(len(view.events), "delivered", {}),))


async def _call_of(redis: Redis, events: int) -> RedisEventLog:
    log = RedisEventLog(redis)
    await log.append(started(CALL))
    for number in range(1, events):
        await log.append(speaking(CALL, f"u{number}"))
    return log


async def _parked_at(redis: Redis, seq: int) -> None:
    async def is_there() -> bool:
        state = await Admin(redis).state("g", CALL)
        return state.parked is not None and state.cursor + 1 == seq

    await wait_until(is_there, what=f"parked at {seq}")


async def _stands_at(redis: Redis, cursor: int) -> None:
    async def is_there() -> bool:
        return (await Admin(redis).state("g", CALL)).cursor == cursor

    await wait_until(is_there, what=f"cursor at {cursor}")


async def test_one_event_is_passed_over_and_the_rest_is_handled_in_order(redis: Redis) -> None:
    handler = Stumbling(2, 4)
    log = await _call_of(redis, 5)
    async with consuming(redis, handler, options=OPTIONS):
        for stone in (2, 4):
            await _parked_at(redis, stone)
            assert await Admin(redis).discard("g", CALL, at_event=stone, what="one", **ANNA) == stone
        await _stands_at(redis, 5)
        await log.append(speaking(CALL, "more"))
        await _stands_at(redis, 6)
    assert handler.done == [1, 3, 5, 6]
    assert handler.receipts == [(2, DISCARDED), (4, DISCARDED), (5, "delivered")], (
        "a worker that knows the call sees it"
    )
    assert len(await log.read(CALL)) == 6, "the log keeps what was passed over"


async def test_the_group_is_asked_at_once_also_when_it_was_the_last_event_that_was_passed_over(redis: Redis) -> None:
    """Parking has taken the call's wake away: whether there is still something to wait for, only the handler knows."""
    asked: list[int] = []

    async def stumbles_at_the_last(view: CallView) -> Progress:
        asked.append(view.cursor)
        if view.cursor < 2:
            raise ParkCall("a stone", through=1)
        return Progress(len(view.events))

    await _call_of(redis, 2)
    async with consuming(redis, stumbles_at_the_last, options=ConsumerOptions(sweep_s=600)):
        await _parked_at(redis, 2)
        await Admin(redis).discard("g", CALL, at_event=2, what="one", **ANNA)
        await wait_until(lambda: 2 in asked, within_s=5)


async def test_a_decision_leaves_a_letter_and_a_receipt_that_say_who_and_why(redis: Redis) -> None:
    await _call_of(redis, 3)
    async with consuming(redis, Stumbling(2), options=OPTIONS):
        await _parked_at(redis, 2)
        await Admin(redis).unpark("g", CALL, who="ben", why="a try")
        await _parked_at(redis, 2)
        await Admin(redis).discard("g", CALL, at_event=2, what="one", **ANNA)
        await _stands_at(redis, 3)
    letters = await DeadLetters(redis).of_call("g", CALL)
    assert [(one.kind, one.seq, one.who, one.why, one.what) for one in letters] == [
        ("discarded", 2, "anna", "a test", "one"),
        ("parked", 2, "", "a stone", ""),
        ("requeued", 2, "ben", "a try", ""),
        ("parked", 2, "", "a stone", ""),
    ]
    assert await DeadLetters(redis).open("g") == []
    receipt = (await Admin(redis).receipts("g", CALL))[0]
    assert (receipt.seq, receipt.outcome) == (2, DISCARDED)
    assert receipt.detail == {"who": "anna", "reason": "a test", "what": "one"}


async def test_the_rest_of_a_call_is_passed_over_whatever_still_comes_and_the_call_can_be_let_go(redis: Redis) -> None:
    handler = Stumbling(2)
    log = await _call_of(redis, 4)
    async with consuming(redis, handler, options=OPTIONS):
        await _parked_at(redis, 2)
        assert await Admin(redis).discard("g", CALL, at_event=2, what="rest", **ANNA) == 4
        await log.append(speaking(CALL, "more"))
        await log.append(ended(CALL))
        await log.append(started(OTHER))
        await _stands_at(redis, 6)
        assert await Admin(redis).retire(CALL, groups=["g"], grace_s=60) == "OK"
    assert handler.done == [1]
    assert [(one.seq, one.outcome) for one in await Admin(redis).receipts("g", CALL)] == [(2, DISCARDED)]


async def test_a_call_that_was_let_go_does_not_hang_on_a_doorbell_that_was_lost(redis: Redis) -> None:
    log = await _call_of(redis, 2)
    async with consuming(redis, Stumbling(2), options=OPTIONS):
        await _parked_at(redis, 2)
    await Admin(redis).discard("g", CALL, at_event=2, what="rest", **ANNA)
    await log.append(speaking(CALL, "more"))
    await redis.xtrim(keys.call_keys(CALL).bell, maxlen=0, approximate=False)
    async with consuming(redis, Stumbling(), options=OPTIONS):
        await _stands_at(redis, 3)


async def test_only_what_is_parked_can_be_discarded_and_only_where_it_was_seen(redis: Redis) -> None:
    handler = Stumbling(2)
    await _call_of(redis, 3)
    admin = Admin(redis)
    async with consuming(redis, handler, options=OPTIONS):
        await _parked_at(redis, 2)
        before = await redis.hgetall(keys.group_keys("g", CALL).state)
        with pytest.raises(CannotDiscard, match="parked at event 2 now, not 1; look again"):
            await admin.discard("g", CALL, at_event=1, what="one", **ANNA)
        assert await redis.hgetall(keys.group_keys("g", CALL).state) == before
        await admin.discard("g", CALL, at_event=2, what="one", **ANNA)
        await _stands_at(redis, 3)
        with pytest.raises(CannotDiscard, match="has not parked broken"):
            await admin.discard("g", CALL, at_event=4, what="rest", **ANNA)
    assert [one.kind for one in await DeadLetters(redis).of_call("g", CALL)] == ["discarded", "parked"]


async def test_a_call_that_is_parked_behind_its_last_event_has_nothing_to_pass_over_but_the_rest(redis: Redis) -> None:
    log = await _call_of(redis, 1)

    async def parks_at_the_end(view: CallView) -> Progress:
        raise ParkCall("broken", through=len(view.events))

    async with consuming(redis, parks_at_the_end, options=OPTIONS):
        await _parked_at(redis, 2)
        with pytest.raises(CannotDiscard, match="behind the last of its 1 events"):
            await Admin(redis).discard("g", CALL, at_event=2, what="one", **ANNA)
        assert await Admin(redis).discard("g", CALL, at_event=2, what="rest", **ANNA) == 1
        await log.append(speaking(CALL, "more"))
        await _stands_at(redis, 2)


async def test_a_worker_that_was_paused_cannot_write_over_the_decision(redis: Redis) -> None:
    await _call_of(redis, 3)
    await create_groups(redis, "g")
    claims = GroupClaims(ScriptRunner(redis), group="g", worker="w", lease_ms=60_000, max_events=100)
    held = await _claimed(redis, claims)
    zombie = Held(CALL, held.token, epoch=held.epoch, cursor=held.cursor)
    await claims.park(held, to=1, reason="a stone")
    await Admin(redis).discard("g", CALL, at_event=2, what="one", **ANNA)
    with pytest.raises(FencedError):
        await claims.commit(zombie, to=3, seen=3)
    assert (await Admin(redis).state("g", CALL)).cursor == 2


async def test_a_refused_message_counts_until_somebody_has_seen_it(redis: Redis) -> None:
    async def refused(view: CallView) -> Progress:
        receipts = [Receipt(event.seq, "refused", {"reason": "too long"}) for event in view.new]
        return Progress(len(view.events), receipts=tuple(receipts))

    await _call_of(redis, 3)
    letters = DeadLetters(redis)
    async with consuming(redis, refused, options=OPTIONS):
        await _stands_at(redis, 3)
    (third, second, first) = sorted(await letters.open("g"), key=lambda one: -one.seq)
    assert await letters.mark_seen(second, **ANNA)
    assert not await letters.mark_seen(second, who="ben", why="again")
    assert {one.id for one in await letters.open("g")} == {first.id, third.id}
    seen = (await letters.history("g"))[0]
    assert (seen.kind, seen.seq, seen.who, seen.what) == ("seen", 2, "anna", second.id)
    assert await letters.find(second.id) == second


@pytest.mark.parametrize("letter", ["g/18/1-1", "g/18/x", "g/nowhere/1-1", "g//1-1", "g/18/1-1\x1b[2J", "/"])
async def test_an_id_that_leads_nowhere_is_told_in_one_line(redis: Redis, letter: str) -> None:
    with pytest.raises(NoSuchLetter) as told:
        await DeadLetters(redis).find(letter)
    assert str(told.value).isprintable()


async def _claimed(redis: Redis, claims: GroupClaims) -> Held:
    bell = keys.call_keys(CALL).bell
    answer: Any = await redis.xreadgroup("g", "w", {bell: ">"}, count=1)
    entries = next(iter(answer.values()))[0] if isinstance(answer, dict) else answer[0][1]
    token = entries[0][0].decode()
    claim = await claims.claim(CALL, token)
    assert isinstance(claim, Claim)
    return Held(CALL, token, epoch=claim.epoch, cursor=claim.cursor)


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_people_decide_meanwhile_every_event_is_handled_or_has_its_receipt(
    redis: Redis, seed: int
) -> None:
    """Random decisions beside a consumer that stumbles at random: no event is lost, doubled, reordered or let go
    without a trace."""
    dice = random.Random(seed)
    stones = {n for n in range(2, 25) if dice.random() < 0.3}
    handler = Stumbling(*stones)
    log, admin = await _call_of(redis, 5), Admin(redis)
    passed: list[int] = []
    rest: int | None = None
    async with consuming(redis, handler, options=OPTIONS):
        for number in range(5, 24):
            await log.append(speaking(CALL, f"u{number}"))
            state = await admin.state("g", CALL)
            at = state.cursor + 1
            if state.parked is None:
                await asyncio.sleep(0)
                continue
            if dice.random() < 0.3:
                handler.stones.discard(at)
                await admin.unpark("g", CALL, who="anna")
            elif dice.random() < 0.9:
                await admin.discard("g", CALL, at_event=at, what="one", **ANNA)
                passed.append(at)
            elif rest is None:
                await admin.discard("g", CALL, at_event=at, what="rest", **ANNA)
                rest = at
        while (await admin.state("g", CALL)).cursor < 24:
            state = await admin.state("g", CALL)
            if state.parked is not None:
                passed.append(state.cursor + 1)
                await admin.discard("g", CALL, at_event=passed[-1], what="one", **ANNA)
            await asyncio.sleep(0.002)
    assert handler.done == sorted(set(handler.done)), "in order, and once"
    told = [one.seq for one in await admin.receipts("g", CALL) if one.outcome == DISCARDED]
    assert told == [*passed, *([rest] if rest else [])]
    covered = {*handler.done, *passed, *range(rest or 25, 25)}
    assert covered == set(range(1, 25))
    assert set(handler.done).isdisjoint(passed)
