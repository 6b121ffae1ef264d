"""A start that cannot succeed ends at once with one line that names the setting and the mend."""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from integration.orchestrator.site import DESTINATIONS, site
from support.waiting import wait_until


async def start(environment: Mapping[str, str]) -> tuple[int, list[str]]:
    """Exit code and lines on standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "transfer_orchestrator",
        env={"PATH": os.environ["PATH"], **environment},  # noqa: TID251 - what any process needs
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode().splitlines()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def environment(tmp_path: Path, redis_url: str) -> dict[str, str]:
    """Right but for LiveKit, where nobody listens."""
    destinations = tmp_path / "destinations.yaml"
    destinations.write_text(DESTINATIONS, encoding="utf-8")
    return {
        "REDIS_URL": redis_url,
        "LIVEKIT_URL": f"ws://127.0.0.1:{free_port()}",
        "LIVEKIT_API_KEY": "key",
        "LIVEKIT_API_SECRET": "a-secret-of-at-least-32-characters",
        "TRANSFER_ORCHESTRATOR_DESTINATIONS": str(destinations),
    }


@pytest.mark.parametrize(
    ("changes", "code", "named", "mend"),
    [
        ({"REDIS_URL": ""}, 2, "REDIS_URL", "redis://127.0.0.1:6379/0"),
        ({"LIVEKIT_URL": "127.0.0.1:7880"}, 2, "LIVEKIT_URL", "ws://127.0.0.1:7880"),
        ({"LIVEKIT_API_SECRET": ""}, 2, "LIVEKIT_API_SECRET", "LIVEKIT_API_KEY"),
        ({"LIVEKIT_API_SECRET": "short"}, 2, "LIVEKIT_API_SECRET: needs at least 32 characters", "generate-keys"),
        ({"TRANSFER_ORCHESTRATOR_POLL_MS": "0"}, 2, "TRANSFER_ORCHESTRATOR_POLL_MS", "20 to 5000"),
        (
            {"TRANSFER_ORCHESTRATOR_DESTINATIONS": "/nowhere.yaml"},
            2,
            "TRANSFER_ORCHESTRATOR_DESTINATIONS",
            "/nowhere.yaml",
        ),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, 3, "REDIS_URL", "running there"),
        ({}, 3, "LIVEKIT_URL", "running there"),
    ],
)
async def test_a_start_that_cannot_succeed_says_why_in_one_line(
    environment: dict[str, str], changes: dict[str, str], code: int, named: str, mend: str
) -> None:
    exit_code, lines = await start(environment | changes)
    assert exit_code == code, lines
    (line,) = lines
    assert named in line
    assert mend in line
    assert "a-secret-of" not in line


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "destinations.yaml",
            "destinations: &all\n  again: *all\n",
            "destinations.yaml, line 2: no valid YAML (an alias (*) is not taken here, write out what it stands for)",
        ),
        (
            "profile.yaml",
            "destinations:\n  biling-desk: Invoices\n",
            "profile.yaml, line 2, destinations: agents may ask for 'biling-desk', and",
        ),
    ],
)
async def test_a_file_that_cannot_be_used_is_one_line_with_its_place(
    environment: dict[str, str], name: str, text: str, says: str
) -> None:
    (Path(environment["TRANSFER_ORCHESTRATOR_DESTINATIONS"]).parent / name).write_text(text, encoding="utf-8")
    exit_code, lines = await start(environment)
    assert exit_code == 2, lines
    (line,) = lines
    assert line.startswith("transfer-orchestrator: TRANSFER_ORCHESTRATOR_DESTINATIONS: ")
    assert says in line


@pytest.mark.media
async def test_a_wrong_secret_is_told_by_the_names_of_key_and_secret(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        code, lines = await start(here.environment() | {"LIVEKIT_API_SECRET": "wrong" * 8})
    assert code == 2
    (line,) = lines
    assert "LIVEKIT_API_KEY and LIVEKIT_API_SECRET" in line


@pytest.mark.media
async def test_health_tells_the_truth_about_log_livekit_and_trunk(tmp_path: Path) -> None:
    async with site(tmp_path) as here, here.process() as service, aiohttp.ClientSession() as browser:
        (begun,) = [line for line in service.lines if line["event"] == "service.started"]
        url = f"http://127.0.0.1:{begun['http_port']}"
        healthy: dict[str, object] = {"status": "ok", "log": True, "livekit": True, "trunk": True, "destinations": "3"}

        async def well() -> bool:
            async with browser.get(f"{url}/health") as answer:
                return (answer.status, await answer.json()) == (200, healthy)

        await wait_until(well, within_s=5, what="healthy")
        async with browser.get(f"{url}/metrics") as answer:
            assert "transfer_to_dial_seconds_bucket" in await answer.text()
