"""Everything at once, in random order."""

import asyncio
import inspect
import random
from collections.abc import Callable

import pytest

from call_events.catalogue import (
    TransferConnected,
)
from support.waiting import wait_until
from unit.transfer_orchestrator.fakes import CALL, LADDER, World

pytestmark = [pytest.mark.usefixtures("no_blocking", "watchers_are_quick"), pytest.mark.timeout(30)]


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_in_whatever_order_there_is_one_outcome_and_no_forgotten_phone(
    world: World, seed: int
) -> None:
    """Callers leave, people answer or refuse, instances die, LiveKit and the log are out.

    The pauses are what is tried out, seeded; nothing is concluded from their being over.
    """
    dice = random.Random(seed)
    await world.call_begins()
    first, second = world.dialler.phone("7003"), world.dialler.phone("7013")
    world.dialler.join_s = dice.choice([0, 0.02])

    async def later(act: Callable[[], object]) -> None:
        await asyncio.sleep(dice.uniform(0, 0.25))
        done = act()
        if inspect.isawaitable(done):
            await done

    async def outage(what: object, name: str, *, bad: bool) -> None:
        setattr(what, name, bad)
        await asyncio.sleep(0.03)
        setattr(what, name, not bad)

    happenings: list[Callable[[], object]] = [
        first.answer,
        lambda: first.refuse(486),
        second.answer,
        world.customer_leaves,
        lambda: outage(world.dialler, "reachable", bad=False),
        lambda: outage(world.log, "unavailable", bad=True),
    ]
    await world.ask(LADDER.key)
    async with asyncio.TaskGroup() as tasks:
        for act in dice.sample(happenings, k=3):
            tasks.create_task(later(act))
        for name in ("a", "b"):
            async with world.instance(name):
                await asyncio.sleep(dice.uniform(0, 0.2))
    async with world.instance("c") as last, world.instance("d") as other:

        async def over() -> bool:
            return bool(await world.outcomes()) and not last.gauges.running and not other.gauges.running

        await wait_until(over, within_s=10)
    (outcome,) = await world.outcomes()
    people = {identity for identity in await world.dialler.legs(str(CALL)) if identity.startswith("human-")}
    events = [e.data for e in await world.log.read(CALL)]
    connected = {data.human.identity for data in events if isinstance(data, TransferConnected)}
    assert people <= connected
    assert (outcome == "connected") is bool(connected)
    assert first.times_rung <= 1
    assert second.times_rung <= 1
