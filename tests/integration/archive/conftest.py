"""The archiver as a process, beside the two groups it waits for."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from call_events.consumer import Consumer, ConsumerOptions
from call_events.ids import CallId
from call_events.ports import CallView, Progress, Receipt
from call_events.redis_log import RedisEventLog
from call_events.testing import ended, said, speaking, started

TESTS = Path(__file__).parents[2]
QUICK = ConsumerOptions(lease_s=1.0, sweep_s=0.2, wake_poll_s=0.05, first_pause_s=0.05, longest_pause_s=0.2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty archive."""
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


async def deliver(view: CallView) -> Progress:
    """What a group does that finishes everything at once."""
    receipts = tuple(Receipt(event.seq, "delivered", {"status": 202}) for event in view.new)
    return Progress(through=len(view.events), receipts=receipts)


@asynccontextmanager
async def consuming(redis: Redis, *groups: str) -> AsyncIterator[None]:
    """One worker of each group."""
    consumers = [Consumer(redis, group=one, worker=f"{one}/1", handler=deliver, options=QUICK) for one in groups]
    async with asyncio.TaskGroup() as tasks:
        for consumer in consumers:
            tasks.create_task(consumer.run())
        try:
            yield
        finally:
            for consumer in consumers:
                consumer.stop()


@pytest_asyncio.fixture
async def others(redis: Redis) -> AsyncIterator[None]:
    """The groups for which the archive waits."""
    async with consuming(redis, "ccm", "transfer"):
        yield


async def play(redis: Redis, call: CallId, utterances: int = 2, *, end: bool = True) -> None:
    """A call from its beginning to its end."""
    log = RedisEventLog(redis)
    await log.append(started(call))
    for number in range(utterances):
        await log.append(speaking(call, f"u{number}"))
        await log.append(said(call, f"u{number}", f"sentence {number}"))
    if end:
        await log.append(ended(call))


Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest_asyncio.fixture
async def start(redis_url: str, root: Path, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts archivers; what still runs in the end is told to stop, and must.

    ``start(step)``: one that dies there; ``real``: the shipped command; ``quiet``: the same, and nobody hears it.
    """
    quick = {
        "REDIS_URL": redis_url,
        "ARCHIVE_URL": str(root),
        "ARCHIVER_SETTLE_S": "0.2",
        "ARCHIVER_LINK_PAUSE_S": "0.02",
        "ARCHIVER_LEASE_S": "1",
        "ARCHIVER_SWEEP_S": "0.2",
        "ARCHIVER_STOP_BUDGET_S": "3",
        "PYTHONPATH": str(TESTS),
    }
    running: list[asyncio.subprocess.Process] = []
    async with AsyncExitStack() as stack:

        async def start_one(step: str = "none", **overrides: str) -> asyncio.subprocess.Process:
            return await _start(stack, tmp_path / f"archiver-{len(running)}.log", step, quick | overrides, running)

        yield start_one
        for process in running:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        for process in running:
            async with asyncio.timeout(15):
                await process.wait()


async def _start(
    stack: AsyncExitStack, log: Path, step: str, env: Mapping[str, str], running: list[asyncio.subprocess.Process]
) -> asyncio.subprocess.Process:
    target = Path(os.devnull) if step == "quiet" else log
    output = stack.enter_context(target.open("wb"))
    program = ("archiver",) if step in {"real", "quiet"} else ("support.archiver_process", step)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *program), env=env, stdout=output, stderr=output
    )
    running.append(process)
    return process
