"""A consumer whose endpoint is dead: its slots stay free, nobody is hammered, and all go on soon after it is back."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from prometheus_client import REGISTRY
from redis.asyncio import Redis
from structlog.testing import capture_logs

from call_events import keys
from call_events.admin import Admin
from call_events.consumer import ConsumerOptions
from call_events.ids import CallId
from call_events.ports import CallView, Progress
from call_events.redis_log import RedisEventLog
from call_events.testing import started
from integration.log.test_faults import at, consuming
from support.waiting import wait_until

TIMEOUT_S = 0.3
OPTIONS = ConsumerOptions(slots=4, first_pause_s=0.2, longest_pause_s=60, wake_poll_s=0.05, handler_timeout_s=5)


class DeadEndpoint:
    """Takes every request and answers none: each costs its time-out."""

    def __init__(self) -> None:
        self.dead = True
        self.asked: Counter[CallId] = Counter()
        self.attempts: dict[CallId, int] = {}

    async def __call__(self, view: CallView) -> Progress:
        self.asked[view.call] += 1
        self.attempts[view.call] = view.attempts
        if self.dead:
            await asyncio.sleep(TIMEOUT_S)
            raise TimeoutError
        return Progress(through=len(view.events))


async def test_calls_wait_in_the_log_without_an_attempt_and_go_on_when_the_endpoint_is_back(redis: Redis) -> None:
    """With a pause of up to a minute: the calls that wait are told, they do not merely come by."""
    calls = [CallId(f"call-{n}") for n in range(60)]
    endpoint, log = DeadEndpoint(), RedisEventLog(redis)
    with capture_logs() as lines:
        async with consuming(redis, endpoint, options=OPTIONS) as consumer:
            for call in calls:
                await log.append(started(call))
            await wait_until(lambda: not consumer.status().endpoint_serves)
            await wait_until(lambda: all_wait(redis, calls), what="every call has a wake", every_s=0.05)
            assert REGISTRY.get_sample_value("cc_eventlog_breaker_open", {"group": "g"}) == 1
            assert len(endpoint.asked) <= OPTIONS.slots + 2 * OPTIONS.breaker_probes, "the others were not shown to it"
            endpoint.dead = False
            for call in calls:
                await wait_until(lambda c=call: at(redis, 1, c), within_s=12, what=f"{call} goes on")
            assert consumer.status().endpoint_serves
    assert REGISTRY.get_sample_value("cc_eventlog_breaker_open", {"group": "g"}) == 0
    put_off = [call for call in calls if endpoint.asked[call] == 1]
    assert {endpoint.attempts[call] for call in put_off} == {0}
    changes = [line["event"] for line in lines if line["event"].startswith("consumer.endpoint")]
    assert changes == ["consumer.endpoint_down", "consumer.endpoint_up"]


async def all_wait(redis: Redis, calls: Sequence[CallId]) -> bool:
    return sum([await redis.zcard(keys.wake(tag, "g")) for tag in keys.TAGS]) == len(calls)


async def test_one_call_that_always_fails_delays_no_other(redis: Redis) -> None:
    bad, good = CallId("bad"), [CallId(f"good-{n}") for n in range(20)]
    tries = 0

    async def handler(view: CallView) -> Progress:
        nonlocal tries
        if view.call == bad:
            tries += 1
            raise ConnectionResetError
        return Progress(through=len(view.events))

    log = RedisEventLog(redis)
    options = ConsumerOptions(first_pause_s=0.01, longest_pause_s=0.02, wake_poll_s=0.02)
    async with consuming(redis, handler, options=options) as consumer:
        await log.append(started(bad))
        await wait_until(lambda: tries > 10)
        assert consumer.status().endpoint_serves
        for call in good:
            await log.append(started(call))
        for call in good:
            await wait_until(lambda c=call: at(redis, 1, c))
    assert (await Admin(redis).state("g", bad)).cursor == 0


async def test_to_be_put_off_is_no_attempt(redis: Redis) -> None:
    calls = [CallId(f"call-{n}") for n in range(3)]
    endpoint, log = DeadEndpoint(), RedisEventLog(redis)
    async with consuming(redis, endpoint, options=OPTIONS) as consumer:
        for call in calls:
            await log.append(started(call))
        await wait_until(lambda: not consumer.status().endpoint_serves)
        await wait_until(lambda: endpoint.asked.total() > 8, what="probes go on")
        endpoint.dead = False
        for call in calls:
            await wait_until(lambda c=call: at(redis, 1, c))
    assert endpoint.attempts == {call: endpoint.asked[call] - 1 for call in calls}
