"""Where livekit-server and livekit-sip come from.

livekit-server is pure Go and can be built from the Go module proxy in about two minutes; livekit-sip is a cgo program
that no package registry carries, so it is used only where somebody put it (LIVEKIT_SIP_BIN, PATH) or Docker works.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from standins.media.building import Say, go_install
from standins.media.errors import MediaError

SERVER_VERSION = "1.13.5"
SIP_VERSION = "1.11.0"
SERVER_PACKAGE = f"github.com/livekit/livekit-server/cmd/server@v{SERVER_VERSION}"
SERVER_IMAGE = f"livekit/livekit-server:v{SERVER_VERSION}"
SIP_IMAGE = f"livekit/sip:v{SIP_VERSION}"

#: As LIVEKIT_SIP_BIN: the exchange's telephones, whatever is at hand.
NO_SIP = "none"

PROBE_DEADLINE_S = 10.0
#: For an image of some 100 MB on a slow line.
PULL_DEADLINE_S = 600.0


class Origin(StrEnum):
    """Where a program was found."""

    ENVIRONMENT = "environment"
    PATH = "PATH"
    CACHE = "cache"
    BUILT = "built"
    DOCKER = "Docker"


@dataclass(frozen=True)
class Binary:
    """A program that can be started: a path, or an image for Docker (then `path` is the docker client)."""

    path: Path
    origin: Origin
    image: str | None = None

    def __str__(self) -> str:
        return f"{self.image} (Docker)" if self.image else f"{self.path} ({self.origin})"


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """`${XDG_CACHE_HOME:-$HOME/.cache}/callweave`."""
    base = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".cache")
    return Path(base) / "callweave"


def cached_server(environment: Mapping[str, str] = os.environ) -> Path:
    """Where a built livekit-server is kept between runs."""
    return cache_directory(environment) / f"livekit-server-v{SERVER_VERSION}" / "livekit-server"


def _named(environment: Mapping[str, str], variable: str) -> Binary | None:
    named = environment.get(variable)
    if not named:
        return None
    path = Path(named).expanduser()
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise MediaError(f"{variable} names {path}, which is not an executable file; correct it or unset {variable}")
    return Binary(path.resolve(), Origin.ENVIRONMENT)


def _on_path(environment: Mapping[str, str], program: str) -> Binary | None:
    found = shutil.which(program, path=environment.get("PATH", ""))
    return Binary(Path(found), Origin.PATH) if found else None


async def find_livekit_server(
    *, environment: Mapping[str, str] = os.environ, say: Say = lambda _line: None, build: bool = True
) -> Binary:
    """The livekit-server to run: LIVEKIT_SERVER_BIN, PATH, cache, a build with Go, or Docker, in that order.

    Raises:
        MediaError: none of these is to be had, or the build failed.
    """
    found = _named(environment, "LIVEKIT_SERVER_BIN") or _on_path(environment, "livekit-server")
    if found:
        return found
    kept = cached_server(environment)
    if os.access(kept, os.X_OK):
        return Binary(kept, Origin.CACHE)
    go = shutil.which("go", path=environment.get("PATH", ""))
    if go and build:
        built = await go_install(
            Path(go),
            SERVER_PACKAGE,
            kept,
            program="server",
            what=f"livekit-server v{SERVER_VERSION}",
            mend="name a binary with LIVEKIT_SERVER_BIN",
            environment=environment,
            say=say,
        )
        return Binary(kept, Origin.BUILT if built else Origin.CACHE)
    if image := await _image(SERVER_IMAGE, environment, say):
        return image
    raise MediaError(
        f"no livekit-server v{SERVER_VERSION}: install Go (then it is built once), or start Docker, or name a binary "
        "with LIVEKIT_SERVER_BIN, or use a running server with LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
    )


async def find_livekit_sip(
    *, environment: Mapping[str, str] = os.environ, say: Say = lambda _line: None
) -> Binary | None:
    """The livekit-sip to run: LIVEKIT_SIP_BIN, PATH, or Docker; None where there is none, or LIVEKIT_SIP_BIN is `none`.

    Raises:
        MediaError: LIVEKIT_SIP_BIN names something that cannot be executed.
    """
    if environment.get("LIVEKIT_SIP_BIN") == NO_SIP:
        return None
    found = _named(environment, "LIVEKIT_SIP_BIN") or _on_path(environment, "livekit-sip")
    if found:
        return found
    return await _image(SIP_IMAGE, environment, say)


async def _image(name: str, environment: Mapping[str, str], say: Say) -> Binary | None:
    """The image, pulled if need be; None without Docker, or where the image cannot be had.

    Only where containers share this machine's loopback (Linux). Pulled here and not by ``docker run``: a server gets
    seconds to become healthy, a download minutes.
    """
    docker = shutil.which("docker", path=environment.get("PATH", ""))
    if not docker or os.uname().sysname != "Linux" or not await _succeeds(environment, docker, "info"):
        return None
    if not await _succeeds(environment, docker, "image", "inspect", name):
        say(f"pulling the image {name}, once")
        if not await _succeeds(environment, docker, "pull", name, within_s=PULL_DEADLINE_S):
            say(f"the image {name} cannot be pulled here, so it is not used")
            return None
    return Binary(Path(docker), Origin.DOCKER, name)


async def _succeeds(environment: Mapping[str, str], *command: str, within_s: float = PROBE_DEADLINE_S) -> bool:
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(within_s):
            return await process.wait() == 0
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
