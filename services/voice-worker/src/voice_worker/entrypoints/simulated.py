"""One call in text on the SDK's simulated job: a real worker and a real job, but no livekit-server, no room, no
audio."""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from livekit.agents import AgentServer, JobContext, JobExecutorType, JobProcess

from call_events.connection import check_server, connect
from call_events.ids import CallId

log = structlog.get_logger()

#: Runs the call and calls the given function with what takes its lines, once somebody is there to hear them.
RunText = Callable[[Callable[[Callable[[str], None]], None]], Awaitable[None]]

CLOSE_SECONDS = 20.0
#: What the end of the lines means, and our own stop.
GOODBYE = "customer leaves"
_PIECE = 64 * 1024


async def play(call: CallId, run: RunText, stop: asyncio.Event, *, redis_url: str, agent_name: str) -> None:
    """Run one call; returns when it is over.

    Raises:
        LogUnavailable, BadSetting: Redis; one line with the mend.
    """
    async with connect(redis_url) as redis:
        await check_server(redis, url=redis_url)
    here = asyncio.get_running_loop()
    over, started, heard = asyncio.Event(), asyncio.Event(), asyncio.Event()
    takers: list[Callable[[str], None]] = []

    async def take(line: str) -> None:
        """Nothing is lost that is said too early: it waits until somebody hears it."""
        await heard.wait()
        for taker in takers:
            taker(line)

    def prepare(_: JobProcess) -> None:
        """Everything was prepared by this process already."""

    async def answer(job: JobContext) -> None:
        # The job runs in a thread of its own with its own loop; lines cross over to it.
        there = asyncio.get_running_loop()

        def on_stage(perform: Callable[[str], None]) -> None:
            takers[:] = [lambda line: _across(there, perform, line)]
            here.call_soon_threadsafe(heard.set)

        try:
            await run(on_stage)
        finally:
            job.shutdown("the call is over")
            here.call_soon_threadsafe(over.set)

    server = AgentServer(
        job_executor_type=JobExecutorType.THREAD,
        num_idle_processes=0,
        host="127.0.0.1",
        port=0,
        setup_fnc=prepare,
        load_fnc=lambda _: 0.0,
    )
    server.rtc_session(answer, agent_name=agent_name)
    server.on("worker_started", lambda *_: started.set())
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.run(unregistered=True), name="server")
        await started.wait()
        await server.simulate_job(call, fake_job=True)
        reading = group.create_task(_read_lines(take), name="lines")
        waiting = [group.create_task(event.wait()) for event in (over, stop)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await take(GOODBYE)
                    await over.wait()
        for task in (reading, *waiting):
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await server.aclose()
        serving.cancel()


def _across(loop: asyncio.AbstractEventLoop, perform: Callable[[str], None], line: str) -> None:
    with contextlib.suppress(RuntimeError):  # the job has ended and its loop is closed
        loop.call_soon_threadsafe(perform, line)


async def _read_lines(take: Callable[[str], Awaitable[None]]) -> None:
    """Standard input, line by line; its end is the customer's."""
    async for line in _lines():
        if line.strip():
            await take(line)
    await take(GOODBYE)


async def _lines() -> AsyncIterator[str]:
    """The lines of standard input, whatever that is: a terminal, a pipe, a file, /dev/null, or closed.

    A thread reads them, for an event loop takes pipes only: uvloop aborts the process over anything else. The thread
    reads the descriptor itself and is a daemon: it may wait for a line that never comes when the process ends.
    """
    here = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    def read(descriptor: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks for lines any more
            while piece := _piece(descriptor):
                here.call_soon_threadsafe(pieces.put_nowait, piece)
            here.call_soon_threadsafe(pieces.put_nowait, b"")

    if sys.stdin is None:  # closed by whoever started us; its number may be somebody else's by now
        return
    threading.Thread(target=read, args=(sys.stdin.fileno(),), name="lines", daemon=True).start()
    rest = b""
    while piece := await pieces.get():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace")
    yield rest.decode("utf-8", "replace")


def _piece(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _PIECE)
    except OSError:  # a directory, a terminal that has hung up: nothing more will come
        return b""
