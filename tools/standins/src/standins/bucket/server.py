"""versitygw, an S3 gateway to a directory (Apache-2.0, pure Go): found on PATH, in the cache, or built once with Go."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from standins.media.assembly import Assembly
from standins.media.binaries import cache_directory
from standins.media.building import Say, go_install
from standins.media.errors import MediaError
from standins.media.ports import free_port
from standins.media.processes import ChildProcess

VERSION = "1.8.0"
PACKAGE = f"github.com/versity/versitygw/cmd/versitygw@v{VERSION}"
BUCKET = "callweave"
START_DEADLINE_S = 15.0


async def find_versitygw(
    *, environment: Mapping[str, str] = os.environ, say: Say = lambda _line: None, build: bool = True
) -> Path:
    """The versitygw to run: VERSITYGW_BIN, PATH, cache, or a build with Go, in that order.

    Raises:
        MediaError: none of these is to be had, or the build failed.
    """
    named = environment.get("VERSITYGW_BIN")
    found = named or shutil.which("versitygw", path=environment.get("PATH", ""))
    if found:
        return Path(found)
    kept = cache_directory(environment) / f"versitygw-v{VERSION}" / "versitygw"
    if os.access(kept, os.X_OK):
        return kept
    go = shutil.which("go", path=environment.get("PATH", ""))
    if not go or not build:
        raise MediaError(f"no versitygw v{VERSION}: install Go (then it is built once), or name one: VERSITYGW_BIN")
    await go_install(
        Path(go),
        PACKAGE,
        kept,
        program="versitygw",
        what=f"versitygw v{VERSION}",
        mend="name a binary with VERSITYGW_BIN",
        environment=environment,
        say=say,
    )
    return kept


class Bucket(Assembly):
    """One server with one empty bucket; ``async with Bucket(directory) as bucket``."""

    def __init__(self, directory: Path, *, build: bool = True) -> None:
        """``build``: whether Go may be used where the program is not at hand."""
        super().__init__()
        self._directory = directory
        self._build = build
        self.url = f"s3://{BUCKET}/archive"
        self.region = "us-east-1"
        self.access_key_id = "callweave"
        self.secret_access_key = secrets.token_urlsafe(24)
        self._port = free_port()

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def files(self) -> Path:
        """Where the objects lie as files: for tests that spoil them."""
        return self._directory / "root" / BUCKET

    async def stop(self) -> None:
        """End the server; what it holds stays. Entering it again starts it again, at the same address."""
        await self._stack.aclose()

    async def _start(self) -> None:
        program = await find_versitygw(build=self._build)
        await asyncio.to_thread(self.files.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread((self._directory / "meta").mkdir, exist_ok=True)
        child = ChildProcess(
            "versitygw",
            [
                *(str(program), "--port", f"127.0.0.1:{self._port}", "--region", self.region, "--quiet"),
                *("--health", "/health"),
                *("posix", "--sidecar", str(self._directory / "meta"), str(self._directory / "root")),
            ],
            log=self._directory / "versitygw.log",
            environment={
                "ROOT_ACCESS_KEY": self.access_key_id,
                "ROOT_SECRET_KEY": self.secret_access_key,
                "HOME": str(self._directory),
            },
            patience_s=3.0,
        )
        await self._stack.enter_async_context(child)
        await child.healthy(f"{self.endpoint}/health", START_DEADLINE_S)
