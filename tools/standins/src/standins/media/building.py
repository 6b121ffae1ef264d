"""Programs in Go that no package brings: built once from the module proxy and kept between runs."""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from standins.media.errors import MediaError

#: A cold build takes under two minutes on two cores; a loaded machine may need several times that.
BUILD_DEADLINE_S = 900.0

Say = Callable[[str], None]


async def go_install(
    go: Path,
    package: str,
    kept: Path,
    *,
    program: str,
    what: str,
    mend: str,
    environment: Mapping[str, str],
    say: Say,
) -> bool:
    """Build a program unless another run has meanwhile; false = it had.

    Args:
        go: the go command.
        package: what to install, with its version.
        kept: where the program shall be; its folder holds the build's log too.
        program: the name that go gives it.
        what: name and version, for people.
        mend: what else helps, for people.
        environment: for go.
        say: told before a build, which takes its time.

    Raises:
        MediaError: the build failed or took too long.
    """
    async with _build_lock(kept.parent.with_suffix(".lock")):
        if os.access(kept, os.X_OK):
            return False
        say(f"building {what} with Go, once; this takes about two minutes (kept at {kept})")
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=kept.parent) as workshop:
            log = kept.parent / "build.log"
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    go, "install", package,
                    env={**environment, "GOBIN": workshop, "CGO_ENABLED": "0"}, stdout=output, stderr=output,
                )  # fmt: skip
                try:
                    async with asyncio.timeout(BUILD_DEADLINE_S):
                        status = await process.wait()
                finally:
                    if process.returncode is None:
                        process.kill()
                        await process.wait()
            if status != 0:
                lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
                raise MediaError(f"building {what} failed ({lines[-1]}); see {log}, or {mend}")
            (Path(workshop) / program).replace(kept)
        return True


@asynccontextmanager
async def _build_lock(path: Path) -> AsyncIterator[None]:
    """Two test runs that start together build once: the second waits and then finds the result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        async with asyncio.timeout(BUILD_DEADLINE_S):
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.5)
        yield
    finally:
        os.close(descriptor)
