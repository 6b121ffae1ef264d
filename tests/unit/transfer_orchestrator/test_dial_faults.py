"""What goes wrong in one dial ends that dial's task: neither the process nor the dials of other calls."""

import asyncio

import pytest
from structlog.testing import capture_logs

from call_events.catalogue import TransferConnected, TransferRequested
from call_events.envelope import Event, EventData
from call_events.ids import CallId
from call_events.ports import CallView
from call_events.testing import started
from support.waiting import wait_until
from transfer_orchestrator.domain import decisions
from transfer_orchestrator.domain.call import fold
from transfer_orchestrator.errors import LogLost
from transfer_orchestrator.handlers.recorder import Recorder
from unit.transfer_orchestrator.fakes import CALL, LADDER, FakeGauges, World

pytestmark = [pytest.mark.usefixtures("no_blocking", "watchers_are_quick"), pytest.mark.timeout(30)]


async def test_a_fault_that_nobody_foresaw_leaves_the_dial_to_the_next_wake(world: World) -> None:
    await world.call_begins()
    with capture_logs() as said:
        async with world.instance() as one:
            await world.ask()
            await world.until("ringing")
            world.dialler.faults[CALL] = RuntimeError("odd answer about +15550100")
            await wait_until(lambda: [line for line in said if line["event"] == "dial.failed"])
            await wait_until(lambda: one.gauges.running, what="the dial is watched again")
            world.dialler.phone("7001").answer()
            await world.until("connected")
    (told,) = [line for line in said if line["event"] == "dial.failed"]
    assert told["transfer"] == "t1"
    assert [fault.split(":")[0] for fault in told["faults"]] == ["RuntimeError in fake_dialler.py"]
    assert "15550100" not in str(said), "the texts of foreign errors are not logged"
    assert world.dialler.phone("7001").times_rung == 1
    assert await world.types() == ["requested", "dialing", "ringing", "connected"]


async def test_a_dial_whose_log_is_lost_ends_alone(world: World) -> None:
    """Redis came back empty while the phone rang: the answer has nowhere to go."""
    await world.call_begins()
    with capture_logs() as said:
        async with world.instance(consuming=False) as one:
            await world.ask()
            await one.handle()
            await world.until("ringing")
            world.log.lose()
            world.dialler.phone("7001").answer()
            await wait_until(lambda: not one.gauges.running)
    assert [line["event"] for line in said if line["log_level"] == "error"] == ["dial.log_lost"]


async def test_the_fault_of_one_dial_leaves_the_dial_of_another_call_alone(world: World) -> None:
    other = CallId("call-2")
    request = TransferRequested(transfer_id="t2", destination=LADDER.key, reason="asks", summary="", agent="billing")
    await world.call_begins()
    await world.log.append(started(other))
    await world.log.append(Event[EventData](data=request, call=other, producer="voice-worker/2"))
    world.dialler.customer_joins(other)
    with capture_logs() as said:
        async with world.instance(consuming=False) as one:
            await world.ask()
            await one.handle()
            await one.handler(CallView(call=other, events=await world.log.read(other), cursor=0, receipts=()))
            await wait_until(lambda: world.dialler.phone("7003").times_rung)
            world.dialler.faults[CALL] = RuntimeError("odd")
            await wait_until(lambda: one.gauges.running == 1, what="one dial has ended")
            world.dialler.phone("7003").answer()
            await wait_until(lambda: not one.gauges.running)
    assert [line["event"] for line in said if line["log_level"] == "error"] == ["dial.failed"]
    assert (await world.log.read(other))[-1].type == TransferConnected.TYPE
    assert (await world.types())[-1] == "ringing", "left to the next wake"


@pytest.mark.parametrize("begun_anew", [True, False])
async def test_a_log_that_is_shorter_than_it_was_is_told_and_not_asked_for_ever(world: World, begun_anew: bool) -> None:
    await world.call_begins()
    await world.ask()
    recorder = Recorder(world.log, world.clock, FakeGauges(), instance="transfer-orchestrator/a")
    state = fold(await world.log.read(CALL))
    assert isinstance((await world.log.read(CALL))[-1].data, TransferRequested)
    world.log.lose()
    if begun_anew:
        await world.log.append(started(CALL))
    async with asyncio.timeout(5):
        with pytest.raises(LogLost):
            await recorder.record(CALL, state, lambda now: decisions.caller_left(now.transfers["t1"]))
