"""The stand-in as a process."""

import asyncio
import signal
import sys

import aiohttp


async def test_the_command_prints_its_url_and_stops_on_sigterm() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "standins.realtime", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        url = (await process.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession() as http, http.get(url.removesuffix("/v1") + "/health") as health:
            assert (await health.json())["status"] == "ok"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_wrong_fault_is_one_line_and_exit_code_2() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "standins.realtime", "--misbehave", "{]", stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        _, error = await process.communicate()
    assert process.returncode == 2
    assert error.startswith(b"--misbehave:")
    assert error.count(b"\n") == 1
