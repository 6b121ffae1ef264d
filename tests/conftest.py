"""Fixtures every test may use: a real Redis, a clean environment, a watch over blocking calls."""

import asyncio
import faulthandler
import logging
import os
import sys
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
import pytest_asyncio
import structlog
from _pytest.faulthandler import fault_handler_stderr_fd_key
from blockbuster import BlockBuster, blockbuster_ctx
from redis.asyncio import Redis

from call_events import scripts
from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from support.backends import BACKENDS, Backends

#: Names a developer's shell may hold and a test must not see.
_OURS = ("CALLWEAVE_", "VOICE_WORKER_", "CCM_BRIDGE_", "TRANSFER_ORCHESTRATOR_", "ARCHIVER_", "ARCHIVE_")
_SHARED = (
    "REDIS_URL",
    "LIVEKIT_URL",
    "LIVEKIT_API_KEY",
    "LIVEKIT_API_SECRET",
    "OPENAI_BASE_URL",
    "OPENAI_API_KEY",
    "CCM_URL",
)

#: Read before the environment is stripped.
_REDIS_URL = os.environ.get("REDIS_URL")  # noqa: TID251 - the tests' own setting


#: No test may take so long, whatever pytest-timeout can do about it: it cannot end one that waits for a lock in C.
_HUNG_S = 300.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """End a process whose test hangs, with every thread's stack on stderr: the run then fails and names the test."""
    faulthandler.dump_traceback_later(_HUNG_S, exit=True, file=item.config.stash[fault_handler_stderr_fd_key])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Take what an ended event loop still waits for out of LiveKit's hands.

    LiveKit's thread logs for each event that it cannot pass to a closed loop, and holds a lock as it does. If the
    test's own thread logs at that moment, and collects a room meanwhile, each waits for the other for ever
    (rtc 1.1.21). A service has one loop and ends with it; a test process has thousands.
    """
    yield
    if (ffi := sys.modules.get("livekit.rtc._ffi_client")) is not None:
        queue = ffi.FfiClient.instance.queue
        for waiting, loop, _ in tuple(queue._subscribers):
            if loop.is_closed():
                queue.unsubscribe(waiting)


@pytest.fixture(autouse=True)
def product_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what the shell happens to export."""
    for name in list(os.environ):  # noqa: TID251 - to strip it
        if name.startswith(_OURS) or name in _SHARED:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def structlog_as_before() -> Iterator[None]:
    """What a test runs here may set up logging as at a process's start: the next one's lines would be gone."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """For tests that set up logging as a process does at its start, once."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """One Redis for this test process: REDIS_URL if given (only if it is empty), else an embedded one."""
    if _REDIS_URL:
        url = _of_this_worker(_REDIS_URL)
        asyncio.run(_refuse_unless_empty(url))
        yield url
        return
    server = EmbeddedRedis()
    asyncio.run(server.start())
    try:
        yield server.url
    finally:
        asyncio.run(server.stop())


@pytest_asyncio.fixture
async def redis_url(redis_server: str) -> AsyncIterator[str]:
    """URL of an empty Redis."""
    yield redis_server
    async with connect(redis_server) as client:
        await client.flushdb()


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Redis."""
    async with connect(redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def backends() -> Iterator[Backends]:
    """Every kind of server the log is promised on, as far as the tests of this process need them."""
    servers = Backends()
    yield servers
    servers.close()


@pytest_asyncio.fixture(params=BACKENDS)
async def backend_url(request: pytest.FixtureRequest, backends: Backends) -> AsyncIterator[str]:
    """URL of an empty log on every kind of server in turn."""
    url = await asyncio.to_thread(backends.url, request.param)
    yield url
    async with connect(url) as client:
        await client.flushdb()


@pytest_asyncio.fixture
async def backend(backend_url: str) -> AsyncIterator[Redis]:
    """A client of an empty log on every kind of server in turn."""
    async with connect(backend_url) as client:
        yield client


@pytest.fixture
def no_blocking() -> Iterator[BlockBuster]:
    """A call that would block the event loop fails the test."""
    for name in scripts.NAMES:  # a service reads them at its start, once
        scripts.load(name)
    with blockbuster_ctx() as watch:
        yield watch


def _of_this_worker(url: str) -> str:
    """Each xdist process takes the next database, counted from the one in REDIS_URL."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))  # noqa: TID251 - xdist's own
    head, slash, database = url.rpartition("/")
    if not database.isdigit():
        head, slash, database = url.rstrip("/"), "/", "0"
    return f"{head}{slash}{int(database) + number}"


async def _refuse_unless_empty(url: str) -> None:
    async with connect(url) as client:
        if await client.dbsize():
            pytest.exit(
                "REDIS_URL names a database that is not empty; the tests flush theirs, so give them an empty one", 2
            )
