"""What an operator sees of a call that a consumer has put aside, and how it is given back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from call_events.admin import Admin
from call_events.consumer import ConsumerOptions, ParkCall
from call_events.envelope import now
from call_events.ids import CallId
from call_events.ports import CallView, Progress, Receipt
from call_events.redis_log import RedisEventLog
from call_events.testing import speaking, started
from callweave.stuck import NoSuchGroup, NotParked, ParkedAgain, line, outcome, put_aside, unpark
from integration.log.test_faults import consuming
from support.waiting import wait_until

BROKEN, FINE = CallId("broken"), CallId("fine")
OPTIONS = ConsumerOptions(wake_poll_s=0.05)


class Channel:
    """A handler that parks one call until it is mended, and has a message of the other refused."""

    def __init__(self) -> None:
        self.mended = False
        self.waits = False

    async def __call__(self, view: CallView) -> Progress:
        if view.call == BROKEN and not self.mended:
            raise ParkCall("no such channel\x1b[2J", through=1)
        if view.call == BROKEN and self.waits:
            return Progress(through=view.cursor, wake_at=now() + timedelta(minutes=5))
        refused = Receipt(2, "refused", {"reason": "too long"})
        return Progress(len(view.events), receipts=(refused,) if view.call == FINE and view.cursor < 2 else ())


@asynccontextmanager
async def stuck(redis: Redis) -> AsyncIterator[Channel]:
    channel, log = Channel(), RedisEventLog(redis)
    for call in (BROKEN, FINE):
        await log.append(started(call))
        await log.append(speaking(call, "u1"))
    async with consuming(redis, channel, options=OPTIONS):

        async def both() -> bool:
            return len(await Admin(redis).set_aside("g")) == 2

        await wait_until(both)
        yield channel


async def test_what_is_stuck_is_listed_with_group_reason_and_time(redis: Redis) -> None:
    async with stuck(redis):
        letters = await put_aside(redis, None, limit=10)
    told = sorted(line(letter).partition("  ")[2] for letter in letters)
    assert told == [
        "g         broken  parked at event 2: no such channel␛[2J",
        "g         fine  message of event 2 refused: too long",
    ]
    assert all(abs(letter.at - now()) < timedelta(minutes=1) for letter in letters)


async def test_a_call_that_was_mended_goes_on_and_leaves_the_list(redis: Redis) -> None:
    async with stuck(redis) as channel:
        channel.mended = True
        first, second = await unpark(redis, "g", BROKEN, wait_s=10)
        assert first == "broken: unparked; group g had parked it at event 2: no such channel␛[2J"
        assert second == "group g has finished all 2 events"
        assert [letter.call for letter in await put_aside(redis, "g", limit=10)] == [FINE]


async def test_a_call_that_was_not_mended_is_told_to_be_parked_again_and_listed_once(redis: Redis) -> None:
    async with stuck(redis):
        with pytest.raises(ParkedAgain, match="parked it again at event 2: no such channel"):
            await unpark(redis, "g", BROKEN, wait_s=10)
        assert sorted(letter.call for letter in await put_aside(redis, "g", limit=10)) == [BROKEN, FINE]


async def test_a_call_that_waits_for_a_time_is_told_so(redis: Redis) -> None:
    async with stuck(redis) as channel:
        channel.mended = channel.waits = True
        before = await Admin(redis).state("g", BROKEN)
        await unpark(redis, "g", BROKEN, wait_s=0)

        async def waits() -> bool:
            return (await Admin(redis).state("g", BROKEN)).wake_at is not None

        await wait_until(waits)
        told = outcome(await Admin(redis).state("g", BROKEN), before, 2, "g")
    assert told.startswith("group g has it at event 2 of 2 and looks again at ")


async def test_without_a_service_the_call_waits_for_one(redis: Redis) -> None:
    async with stuck(redis):
        pass
    (_, told) = await unpark(redis, "g", BROKEN, wait_s=0)
    assert told == "no service of group g has taken it up yet; it goes on at event 2 of 2 as soon as one runs"
    assert (await Admin(redis).state("g", BROKEN)).parked is None


async def test_what_is_not_parked_is_refused_and_stays_as_it_is(redis: Redis) -> None:
    async with stuck(redis):
        for call in (FINE, CallId("unheard-of")):
            with pytest.raises(NotParked, match=f"group g has not parked {call}"):
                await unpark(redis, "g", call, wait_s=0)
        with pytest.raises(NoSuchGroup, match="no group ccm reads this log; there are: g"):
            await unpark(redis, "ccm", BROKEN, wait_s=0)


async def test_a_call_that_is_parked_is_listed_however_many_others_have_come_and_gone(redis: Redis) -> None:
    async with stuck(redis) as channel:
        for _ in range(5):
            with pytest.raises(ParkedAgain):
                await unpark(redis, "g", BROKEN, wait_s=10)
        assert [one.call for one in await put_aside(redis, "g", limit=1) if one.kind == "parked"] == [BROKEN]
        channel.mended = True
        await unpark(redis, "g", BROKEN, wait_s=10)
        assert [one.call for one in await put_aside(redis, "g", limit=1)] == [FINE]


async def test_a_call_that_was_parked_at_its_end_is_not_called_finished_before_it_was_looked_at(redis: Redis) -> None:
    log = RedisEventLog(redis)
    await log.append(started(BROKEN))

    async def parks_at_the_end(view: CallView) -> Progress:
        raise ParkCall("broken", through=len(view.events))

    async with consuming(redis, parks_at_the_end, options=OPTIONS):

        async def is_parked() -> bool:
            return (await Admin(redis).state("g", BROKEN)).parked is not None

        await wait_until(is_parked)
        with pytest.raises(ParkedAgain):
            await unpark(redis, "g", BROKEN, wait_s=10)
    (_, told) = await unpark(redis, "g", BROKEN, wait_s=0)
    assert told.startswith("no service of group g has taken it up yet; it goes on at the end of its 1 events")
