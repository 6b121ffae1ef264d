"""`python -m standins.media up`: what it prints works, and nothing outlives it, however it ends."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol import room as room_proto

from standins.media import MediaError, find_livekit_server
from support.waiting import wait_until

pytestmark = pytest.mark.media


@asynccontextmanager
async def _up(directory: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    try:
        await find_livekit_server(build=False)
    except MediaError as error:
        if os.environ.get("CI") == "true":  # noqa: TID251 - where CI is true nothing may be skipped
            raise
        pytest.skip(str(error))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "standins.media", "up", "--no-sip", "--directory", str(directory)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        exported: dict[str, str] = {}
        async with asyncio.timeout(30):
            while "LIVEKIT_API_SECRET" not in exported:
                line = (await process.stdout.readline()).decode().removeprefix("export ").strip()
                assert line, "it ended instead of starting"
                name, _, value = line.partition("=")
                exported[name] = value
            await process.stdout.readline()  # trunks are set up
        yield process, exported
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)])
async def test_nothing_is_left_behind(tmp_path: Path, ending: signal.Signals, code: int) -> None:
    async with _up(tmp_path) as (process, exported):
        async with api.LiveKitAPI(
            exported["LIVEKIT_URL"], exported["LIVEKIT_API_KEY"], exported["LIVEKIT_API_SECRET"]
        ) as livekit:
            assert not (await livekit.room.list_rooms(room_proto.ListRoomsRequest())).rooms
        children = _children(process.pid)
        assert len(children) == 2
        process.send_signal(ending)
        async with asyncio.timeout(15):
            assert await process.wait() == code
        await wait_until(lambda: not any(_alive(child) for child in children))
