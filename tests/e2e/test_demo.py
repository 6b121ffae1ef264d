"""``./dev demo`` as a stranger uses it: with nothing at hand, with Ctrl-C, and killed."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from standins.bench.machine import descendants

START_DEADLINE_S = 90.0
STOP_DEADLINE_S = 25.0


@asynccontextmanager
async def demo(directory: Path, *arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The demo in a session of its own, as a terminal would have it; what it prints goes to ``output``."""
    with (directory / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "standins.demo", *arguments),
            cwd=directory,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},  # noqa: TID251 - as a shell would pass it on
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def printed(directory: Path, text: str) -> None:
    """Wait until the demo has printed this."""
    give_up = time.monotonic() + START_DEADLINE_S
    while text not in (directory / "output").read_text():
        assert time.monotonic() < give_up, (directory / "output").read_text()
        await asyncio.sleep(0.1)


async def all_gone(pids: list[int]) -> None:
    """Wait until none of these processes runs any more."""
    give_up = time.monotonic() + STOP_DEADLINE_S
    while alive := [pid for pid in pids if _runs(pid)]:
        assert time.monotonic() < give_up, f"still running: {[_command(pid) for pid in alive]}"
        await asyncio.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


async def test_without_a_media_server_the_call_is_played_in_text_and_said_to_be(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "LIVEKIT_SERVER_BIN": ""}
    async with demo(tmp_path, CI="", **nothing) as process:
        async with asyncio.timeout(START_DEADLINE_S):
            assert await process.wait() == 0, (tmp_path / "output").read_text()
    output = (tmp_path / "output").read_text()
    assert "NOT REAL in this run: no livekit-server" in output
    assert "promises held" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        ((), {"LIVEKIT_SERVER_BIN": "/nowhere/livekit-server"}, "LIVEKIT_SERVER_BIN names /nowhere/livekit-server"),
        ((), {"LIVEKIT_URL": "ws://127.0.0.1:1"}, "LIVEKIT_URL is set without LIVEKIT_API_KEY and LIVEKIT_API_SECRET"),
        (
            (),
            {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32},
            "LIVEKIT_URL: nothing answers at ws://127.0.0.1:1",
        ),
        (("--text",), {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "OPENAI_BASE_URL: nothing answers at"),
    ],
)
async def test_what_was_named_and_cannot_be_used_ends_the_demo_soon_with_one_line(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], told: str
) -> None:
    """Less than what was asked for would look like success; a stand-in's address or a traceback says nothing."""
    async with demo(tmp_path, *arguments, CI="", **environment) as process:
        async with asyncio.timeout(30):
            assert await process.wait() == 1
    lines = (tmp_path / "output").read_text().splitlines()
    (complaint,) = [line for line in lines if line.startswith("demo: ")]
    assert complaint.startswith(f"demo: {told}")
    assert lines[-1] == complaint


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_nothing_outlives_a_demo_that_was_interrupted(tmp_path: Path, how: signal.Signals) -> None:
    async with demo(tmp_path) as process:
        await printed(tmp_path, "has the floor")
        pids = descendants(process.pid)
        assert len(pids) >= 7, "the stack was not up"
        if how is signal.SIGINT:
            os.killpg(process.pid, how)  # a terminal's Ctrl-C reaches the whole group
        else:
            process.kill()
        async with asyncio.timeout(STOP_DEADLINE_S):
            code = await process.wait()
        await all_gone(pids)
    assert code == (130 if how is signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in (tmp_path / "output").read_text()
