"""One whole Callweave for all end-to-end tests: real Valkey, real livekit-server, the four services as processes.

Each test makes calls of its own. What a test breaks it mends before it ends.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from call_events.ids import CallId, call_id
from call_events.ports import AnyEvent
from standins.demo.people import Person
from standins.stack.stack import Options, Stack
from support.calls import Reading

LOOP = "session"


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Every test here runs in the one loop in which the stack lives."""
    for item in items:
        if "tests/e2e" in item.path.as_posix():
            item.add_marker(pytest.mark.asyncio(loop_scope=LOOP), append=False)
            item.add_marker(pytest.mark.media)
            item.add_marker(pytest.mark.timeout(180))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Everything, started once."""
    directory: Path = tmp_path_factory.mktemp("stack")
    async with Stack(directory, Options(log_directory=directory / "log")) as running:
        yield running


@pytest.fixture(scope="session")
def call_names() -> Iterator[str]:
    """Call ids that no other test uses."""
    return (f"e2e-{number}" for number in itertools.count(1))


@pytest.fixture
def call(call_names: Iterator[str]) -> CallId:
    """The id of this test's call."""
    return call_id(next(call_names))


@pytest.fixture
def person(stack: Stack) -> Callable[[str], Awaitable[Person]]:
    """Make a person whose phone has this number."""

    async def make(number: str) -> Person:
        return Person(await stack.phones.phone(number))

    return make


@pytest_asyncio.fixture(loop_scope="session")
async def reading(stack: Stack, call: CallId) -> Reading:
    """What the log and CCM tell about this test's call."""
    return Reading(stack, call)


@pytest.fixture
def events_of(stack: Stack) -> Callable[[CallId], Awaitable[Sequence[AnyEvent]]]:
    """The log of any call."""
    return stack.log.read
