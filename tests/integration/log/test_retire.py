"""A finished call leaves Redis, and nothing that comes late can begin it anew."""

import pytest
from redis.asyncio import Redis

from call_events import keys
from call_events.admin import Admin
from call_events.errors import CallClosed
from call_events.ids import CallId
from call_events.redis_log import RedisEventLog
from call_events.testing import ended, speaking, started

CALL = CallId("call-1")
THIRTY_DAYS_S = 30 * 24 * 3600


async def finished(redis: Redis, call: CallId = CALL) -> RedisEventLog:
    """A call that has ended, and that group ``ccm`` is at the end of."""
    log = RedisEventLog(redis)
    await log.append(started(call))
    await log.append(ended(call))
    await redis.hset(keys.group_keys("ccm", call).state, "cur", "2")
    return log


async def test_a_retired_call_leaves_nothing_but_its_name(redis: Redis) -> None:
    log = await finished(redis)
    await log.own(CALL, "worker-a", lease_ms=0)

    assert await Admin(redis).retire(CALL, groups=["ccm"], grace_s=0) == "OK"

    assert [key async for key in redis.scan_iter(match=f"*{CALL}*")] == []
    assert await redis.zscore(keys.live(keys.tag_of(CALL)), CALL) is None


async def test_what_comes_late_for_a_retired_call_is_refused_and_never_opens_it_anew(redis: Redis) -> None:
    """A spool that is replayed days later begins with ``call.started``."""
    log = await finished(redis)
    await Admin(redis).retire(CALL, groups=["ccm"], grace_s=0)

    for late in (started(CALL), speaking(CALL, "u1"), ended(CALL)):
        with pytest.raises(CallClosed, match="retired; look for it in the archive"):
            await log.append(late)

    assert not await log.read(CALL)


async def test_retiring_a_second_time_changes_nothing(redis: Redis) -> None:
    await finished(redis)
    admin = Admin(redis)
    assert await admin.retire(CALL, groups=["ccm"], grace_s=1000) == "OK"
    assert await admin.retire(CALL, groups=["ccm"], grace_s=5000) == "OK"
    assert await redis.ttl(keys.call_keys(CALL).stream) <= 1000

    await admin.retire(CALL, groups=["ccm"], grace_s=0)
    assert await admin.retire(CALL, groups=["ccm"], grace_s=1000) == "OK"


@pytest.mark.parametrize("field", ["ow", "parked", "due", "wk"])
async def test_a_call_that_a_group_has_something_to_do_with_stays(redis: Redis, field: str) -> None:
    await finished(redis)
    await redis.hset(keys.group_keys("ccm", CALL).state, field, "1")

    assert await Admin(redis).retire(CALL, groups=["ccm"], grace_s=0) == "BEHIND"
    assert await Admin(redis).retire(CALL, groups=["ccm", "transfer"], grace_s=0) == "BEHIND"


async def test_names_are_kept_for_thirty_days_and_no_turn_clears_more_than_it_should(redis: Redis) -> None:
    tag = keys.tag_of(CALL)
    now, _ = await redis.time()
    old = {f"old-{n}": now - THIRTY_DAYS_S - 1 for n in range(150)}
    await redis.zadd(keys.gone(tag), old | {"young": now - THIRTY_DAYS_S + 60})

    await finished(redis)
    await Admin(redis).retire(CALL, groups=["ccm"], grace_s=0)
    assert await redis.zcard(keys.gone(tag)) == 52

    other = next(call for call in map(CallId, map("call-{}".format, range(2, 200))) if keys.tag_of(call) == tag)
    await finished(redis, other)
    await Admin(redis).retire(other, groups=["ccm"], grace_s=0)
    assert set(await redis.zrange(keys.gone(tag), 0, -1)) == {b"young", CALL.encode(), other.encode()}
