"""One world and one worker for all calls of a module: starting them takes seconds, a call does not."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from integration.worker.world import World, a_worker, a_world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with a_world(tmp_path_factory.mktemp("world")) as surroundings, a_worker(surroundings):
        yield surroundings


@pytest.fixture(autouse=True)
def provider_behaves(world: World) -> None:
    """Every test begins with a provider in good order."""
    world.provider.fatal = False
    world.provider.fail_transcripts = False
    world.provider.transcript_s = 0.05
