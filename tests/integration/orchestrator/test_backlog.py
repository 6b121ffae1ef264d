"""Many calls at once on a real log, with phones that cost nothing."""

import asyncio
from typing import cast

from redis.asyncio import Redis
from structlog.testing import capture_logs

from call_events.catalogue import TransferRequested
from call_events.envelope import Event, EventData
from call_events.ids import CallId
from call_events.redis_log import RedisEventLog
from call_events.testing import started
from support.waiting import wait_until
from transfer_orchestrator.adapters.livekit_sip import LiveKitSip
from transfer_orchestrator.bootstrap import Orchestrator, connect_log
from transfer_orchestrator.domain.destination import Destination, Target
from transfer_orchestrator.settings import Settings
from unit.transfer_orchestrator.fake_dialler import FakeDialler

CALLS = 150
DESK = Destination("billing-desk", "Billing desk", (Target("billing-phone", "7001", 20, "Maria Weber"),))


class FakeLiveKit(FakeDialler):
    """The dialler with what the composition root wants of LiveKit besides."""

    has_trunk = True

    async def keep_watch(self) -> None:
        await asyncio.Event().wait()


async def asks_for_a_person(log: RedisEventLog, call: CallId) -> None:
    request = TransferRequested(
        transfer_id="t1", destination=DESK.key, reason="asks", summary="Invoice 7", agent="billing"
    )
    await log.append(started(call))
    await log.append(Event[EventData](data=request, call=call, producer="voice-worker/test"))


async def test_a_backlog_of_more_calls_than_slots_is_served_at_once(redis_url: str, redis: Redis) -> None:
    """Every slot and every dial reads its call's log. A pool too small for that fails, and each failure costs time."""
    calls = [CallId(f"call-{number}") for number in range(CALLS)]
    log, livekit = RedisEventLog(redis), FakeLiveKit()
    phone = livekit.phone("7001")
    async with asyncio.TaskGroup() as tasks:
        for call in calls:
            livekit.customer_joins(call)
            tasks.create_task(asks_for_a_person(log, call))
    settings = Settings.model_validate(
        {
            "REDIS_URL": redis_url,
            "LIVEKIT_URL": "ws://127.0.0.1:9",
            "LIVEKIT_API_KEY": "key",
            "LIVEKIT_API_SECRET": "secret" * 6,
            "stop_grace_s": 0,
        }
    )
    stop = asyncio.Event()

    async def all_connected() -> bool:
        for call in calls:
            if (await log.read(call))[-1].type != "transfer.connected.v1":
                return False
        return True

    with capture_logs() as said:
        async with connect_log(settings) as own:
            service = Orchestrator(settings, own, cast("LiveKitSip", livekit), {DESK.key: DESK})
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(service.run(stop))
                await wait_until(lambda: phone.times_rung == CALLS, within_s=10)
                phone.answer()  # the same news for all at the same moment
                await wait_until(all_connected, within_s=20, every_s=0.1)
                stop.set()
    assert [line for line in said if line["log_level"] not in ("info", "debug")] == []
