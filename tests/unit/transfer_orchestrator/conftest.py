"""The world of the orchestrator's unit tests."""

import pytest

from call_events.testing import ManualClock
from transfer_orchestrator.handlers import transfers
from unit.transfer_orchestrator.fakes import World


def _with_phones(world: World) -> World:
    for number in ("7001", "7003", "7013"):
        world.dialler.phone(number)
    return world


@pytest.fixture
def world() -> World:
    """A call's surroundings, with the phones that the destinations name."""
    return _with_phones(World())


@pytest.fixture
def clock() -> ManualClock:
    """The clock of ``still_world``."""
    return ManualClock()


@pytest.fixture
def still_world(clock: ManualClock) -> World:
    """The same, in which time passes only when it is told to."""
    return _with_phones(World(clock))


@pytest.fixture
def watchers_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler's own patience, cut short like ``QUICK``."""
    monkeypatch.setattr(transfers, "RENEWAL", transfers.RENEWAL / 20)
    monkeypatch.setattr(transfers, "FRESH", transfers.FRESH / 20)
    monkeypatch.setattr(transfers, "JOINING", transfers.JOINING / 20)
    monkeypatch.setattr(transfers, "ROOM_RETRY", transfers.ROOM_RETRY / 100)
    monkeypatch.setattr(transfers, "ROOM_PATIENCE", transfers.ROOM_PATIENCE / 100)
