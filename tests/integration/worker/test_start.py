"""A worker that cannot do its work says so in one line, with the mend, and ends with the right code."""

import asyncio
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from integration.worker.world import ROOT, World

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.media]


async def start(environment: Mapping[str, str], *arguments: str) -> tuple[int, list[str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "voice_worker",
        *arguments,
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, errors.decode().splitlines()


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        (
            {"VOICE_WORKER_PROFILE": "nope"},
            2,
            "VOICE_WORKER_PROFILE: there is no profile 'nope'; there are: contact-centre",
        ),
        ({"OPENAI_API_KEY": None}, 2, "OPENAI_API_KEY is missing; set it to the model provider's key"),
        ({"LIVEKIT_URL": "nonsense"}, 2, "LIVEKIT_URL: "),
        ({"LIVEKIT_API_SECRET": "short"}, 2, "LIVEKIT_API_SECRET: needs at least 32 characters; set it to the secret"),
        ({"LIVEKIT_API_SECRET": "x" * 40}, 2, "LIVEKIT_API_KEY, LIVEKIT_API_SECRET: livekit-server at"),
        ({"VOICE_WORKER_BOOK": "nowhere:Book"}, 2, "VOICE_WORKER_BOOK: nowhere:Book cannot be used"),
        ({"VOICE_WORKER_BOOK": "decimal:Decimal"}, 2, "VOICE_WORKER_BOOK: decimal:Decimal lacks"),
        (
            {"VOICE_WORKER_BOOK": "multiprocessing.shared_memory:SharedMemory"},
            2,
            "VOICE_WORKER_BOOK: multiprocessing.shared_memory:SharedMemory cannot be used (ValueError: ",
        ),
        ({"VOICE_WORKER_MAX_CALLS": "many"}, 2, "VOICE_WORKER_MAX_CALLS: "),
        ({"VOICE_WORKER_SPOOL_DIR": "/dev/null/spool"}, 2, "VOICE_WORKER_SPOOL_DIR: /dev/null/spool cannot be written"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, 3, "REDIS_URL (redis://127.0.0.1:1/0): Redis cannot be reached"),
        ({"LIVEKIT_URL": "ws://127.0.0.1:1"}, 3, "LIVEKIT_URL: ws://127.0.0.1:1 cannot be reached"),
    ],
)
async def test_what_is_wrong_at_the_start_is_one_line(
    world: World, changes: dict[str, str | None], code: int, says: str
) -> None:
    environment = {**world.environment, **{name: value for name, value in changes.items() if value is not None}}
    for name in (name for name, value in changes.items() if value is None):
        del environment[name]
    ended, lines = await start(environment)
    assert len(lines) == 1, lines
    assert says in lines[0]
    assert ended == code
    assert "x" * 40 not in lines[0]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("agents:\n", "agents: [\n", ":19: "),
        ("class: GenericAgent", "class: ':X'", ":19: agents.generic.class: there is no agent class ':X'"),
        ("agents:\n", "agents: &all\n  again: *all\n", ":18: an alias (*) is not taken here"),
    ],
)
async def test_a_malformed_profile_is_one_line_with_its_place(
    world: World, tmp_path: Path, old: str, new: str, place: str
) -> None:
    line = tmp_path / "line"
    shutil.copytree(ROOT / "profiles/contact-centre", line)
    (line / "profile.yaml").write_text((line / "profile.yaml").read_text().replace(old, new, 1))
    environment = {
        **world.environment,
        "VOICE_WORKER_PROFILES_DIR": str(tmp_path),
        "VOICE_WORKER_PROFILE": "line",
    }
    ended, lines = await start(environment)
    assert ended == 2
    assert len(lines) == 1
    assert f"{line}/profile.yaml{place}" in lines[0]


async def test_a_call_in_text_needs_no_livekit_server(world: World) -> None:
    """What the demo falls back to: a real worker, job, agents, tools and log, without room and audio."""
    from call_events.ids import CallId  # noqa: PLC0415
    from integration.worker.world import Line  # noqa: PLC0415

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "voice_worker", "--simulate", "call-text", "--customer-id", "C-2048"),
        env={**world.environment, "LIVEKIT_URL": "ws://127.0.0.1:1"},
        stdin=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdin is not None
        line = Line(world, CallId("call-text"), None)  # type: ignore[arg-type]
        await line.said("Welcome to Callweave.", within_s=40)
        process.stdin.write(b"customer I have a question about an invoice\n")
        await line.said("Billing here.")
        process.stdin.write(b"customer Invoice 1042\n")
        await line.said("It is eighty-nine ninety.")
        process.stdin.close()
        async with asyncio.timeout(30):
            assert await process.wait() == 0
        assert (await line.events())[-1].type == "call.ended.v1"
        assert not await line.unfinished()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
