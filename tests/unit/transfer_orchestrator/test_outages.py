"""LiveKit or the log cannot be asked while a phone rings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from call_events.catalogue import (
    DialOutcome,
    TransferFailed,
)
from call_events.testing import ManualClock
from support.waiting import wait_until
from transfer_orchestrator.handlers import transfers as transfers_module
from unit.transfer_orchestrator.fakes import QUICK, World

pytestmark = [pytest.mark.usefixtures("no_blocking", "watchers_are_quick"), pytest.mark.timeout(30)]


async def test_a_lost_answer_of_the_api_is_made_good_by_looking(world: World) -> None:
    await world.call_begins()
    world.dialler.loses_answers = True
    async with world.instance():
        await world.ask()
        await world.until("ringing")
        world.dialler.phone("7001").answer()
        await world.until("connected")
    assert await world.outcomes() == ["connected"]


async def test_an_outage_of_livekit_while_the_phone_rings_ends_no_attempt(world: World) -> None:
    await world.call_begins()
    async with world.instance():
        await world.ask()
        await world.until("ringing")
        world.dialler.reachable = False
        await world.looked_at()
        world.dialler.reachable = True
        world.dialler.phone("7001").answer()
        await world.until("connected")
    assert "attempt_failed" not in await world.types()


async def test_an_outage_of_the_log_delays_the_connection_and_loses_nothing(world: World) -> None:
    await world.call_begins()
    async with world.instance():
        await world.ask()
        await world.until("ringing")
        world.log.unavailable = True
        world.dialler.phone("7001").answer()
        await wait_until(lambda: world.log.turned_away, what="the connection could not be written")
        world.log.unavailable = False
        await world.until("connected")
    assert await world.outcomes() == ["connected"]


@asynccontextmanager
async def hidden_from_a_watcher(world: World, clock: ManualClock, *, outage: bool) -> AsyncIterator[None]:
    """A phone rings, its dialler is dead, and the one who watches it instead does not see it (any more)."""
    await world.call_begins()
    async with world.instance("a", consuming=False) as a:
        await world.ask()
        await a.handle()
        await world.until("ringing")
    clock.advance(transfers_module.FRESH.total_seconds())
    async with world.instance("b", consuming=False) as b:
        await b.handle()
        if outage:
            world.dialler.reachable = False
            await world.looked_at()
            world.dialler.reachable = True
        world.dialler.hidden = True
        await world.looked_at()
        yield


@pytest.mark.parametrize("outage", [False, True])
async def test_a_watcher_is_patient_with_a_leg_that_is_not_listed_for_a_while(
    still_world: World, clock: ManualClock, outage: bool
) -> None:
    """After a restart of LiveKit its legs come back by themselves; one odd answer ends no attempt either."""
    world = still_world
    async with hidden_from_a_watcher(world, clock, outage=outage):
        clock.advance(QUICK.absent * (1.5 if outage else 0.5))
        await world.looked_at()
        world.dialler.hidden = False
        world.dialler.phone("7001").answer()
        await world.until("connected")
    assert "attempt_failed" not in await world.types()


@pytest.mark.parametrize("outage", [False, True])
async def test_the_patience_of_a_watcher_ends(still_world: World, clock: ManualClock, outage: bool) -> None:
    world = still_world
    async with hidden_from_a_watcher(world, clock, outage=outage):
        clock.advance(1.01 * (QUICK.absent_after_outage if outage else QUICK.absent))
        await world.until("attempt_failed")


async def test_a_refusal_heard_while_the_log_is_down_keeps_its_name(world: World) -> None:
    await world.call_begins()
    async with world.instance():
        await world.ask()
        await world.until("ringing")
        world.log.unavailable = True
        world.dialler.phone("7001").refuse(486)
        await wait_until(lambda: world.log.turned_away, what="the refusal could not be written")
        world.log.unavailable = False
        failed = (await world.until("failed")).data
    assert isinstance(failed, TransferFailed)
    assert failed.outcome is DialOutcome.BUSY
