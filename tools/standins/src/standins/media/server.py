"""One livekit-server, and livekit-sip where there is one, for as long as a context lasts."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from socket import SOCK_DGRAM
from typing import Any

import structlog
import yaml

from standins.media.assembly import Assembly
from standins.media.binaries import Binary, find_livekit_server, find_livekit_sip
from standins.media.building import Say
from standins.media.config import ServerPorts, SipPorts, server_document, sip_document
from standins.media.errors import MediaError
from standins.media.ports import free_port, free_tcp_and_udp_port
from standins.media.processes import ChildProcess

log = structlog.get_logger()

START_DEADLINE_S = 20.0
#: A port found free may be taken before the server binds it.
START_ATTEMPTS = 3
RTP_PORTS = 200

_CONFIG_VARIABLE = {"livekit-server": "LIVEKIT_CONFIG", "livekit-sip": "SIP_CONFIG_BODY"}


class Media(Assembly):
    """Runs livekit-server on free loopback ports; `url`, `api_key` and `api_secret` say how to reach it.

    LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET in `environment` use a running server instead and start nothing.

    Args:
        redis_url: The Redis or Valkey that LiveKit may use for itself alone (database 1).
        directory: Where configuration and logs are written.
        sip: Whether to start livekit-sip too, if it is at hand; `sip_address` is None where it is not.
    """

    def __init__(
        self,
        redis_url: str,
        directory: Path,
        *,
        sip: bool = False,
        environment: Mapping[str, str] = os.environ,
        say: Say = lambda _line: None,
    ) -> None:
        super().__init__()
        self.url = ""
        self.api_key = ""
        self.api_secret = ""
        #: host:port where livekit-sip takes INVITEs, or None.
        self.sip_address: str | None = None
        self.server: ChildProcess | None = None
        self.sip: ChildProcess | None = None
        self._redis_url = redis_url
        self._directory = directory
        self._wants_sip = sip
        self._environment = environment
        self._say = say

    async def _start(self) -> None:
        if self._environment.get("LIVEKIT_URL"):
            self._use_running()
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        self.api_key = f"key-{secrets.token_hex(4)}"
        self.api_secret = secrets.token_urlsafe(36)
        binary = await find_livekit_server(environment=self._environment, say=self._say)
        await self._start_server(binary)
        if self._wants_sip:
            found = await find_livekit_sip(environment=self._environment, say=self._say)
            if found is not None:
                await self._start_sip(found)

    def _use_running(self) -> None:
        missing = [name for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET") if not self._environment.get(name)]
        if missing:
            raise MediaError(f"LIVEKIT_URL is set without {' and '.join(missing)}; set that too, or unset LIVEKIT_URL")
        self.url = self._environment["LIVEKIT_URL"]
        self.api_key = self._environment["LIVEKIT_API_KEY"]
        self.api_secret = self._environment["LIVEKIT_API_SECRET"]
        self._say(f"using the running LiveKit server at {self.url}")

    async def _start_server(self, binary: Binary) -> None:
        for attempt in range(1, START_ATTEMPTS + 1):
            ports = ServerPorts(free_port(), free_port(SOCK_DGRAM), free_port(SOCK_DGRAM))
            document = server_document(ports, redis_url=self._redis_url, keys={self.api_key: self.api_secret})
            try:
                self.server = await self._run("livekit-server", binary, document, ports.api)
            except MediaError:
                if attempt == START_ATTEMPTS:
                    raise
                continue
            self.url = f"ws://127.0.0.1:{ports.api}"
            return

    async def _start_sip(self, binary: Binary) -> None:
        for attempt in range(1, START_ATTEMPTS + 1):
            first = 20000 + secrets.randbelow(100) * RTP_PORTS
            ports = SipPorts(free_tcp_and_udp_port(), free_port(), free_port(), first, first + RTP_PORTS - 1)
            document = sip_document(
                ports, redis_url=self._redis_url, livekit_url=self.url, key=self.api_key, secret=self.api_secret
            )
            try:
                self.sip = await self._run("livekit-sip", binary, document, ports.health)
            except MediaError:
                if attempt == START_ATTEMPTS:
                    raise
                continue
            self.sip_address = f"127.0.0.1:{ports.sip}"
            return

    async def _run(self, name: str, binary: Binary, document: dict[str, Any], health_port: int) -> ChildProcess:
        config = self._directory / f"{name}.yaml"
        config.touch(mode=0o600)  # it holds the secret
        config.write_text(yaml.safe_dump(document, sort_keys=False))
        child = ChildProcess(
            name,
            _command(binary, name, config),
            log=self._directory / f"{name}.log",
            # In a container the configuration travels in the environment: arguments can be seen by everybody.
            environment={**os.environ, _CONFIG_VARIABLE[name]: config.read_text()} if binary.image else None,
        )
        stack = AsyncExitStack()
        await stack.enter_async_context(child)
        if binary.image:
            stack.push_async_callback(_remove_container, binary.path, _container_name(name, config))
        try:
            await child.healthy(f"http://127.0.0.1:{health_port}/", START_DEADLINE_S)
        except BaseException:
            await stack.aclose()
            raise
        self._stack.push_async_exit(stack)
        log.debug("media.started", program=name, pid=child.pid)
        return child


def _command(binary: Binary, name: str, config: Path) -> list[str]:
    if not binary.image:
        return [str(binary.path), "--config", str(config)]
    return [
        str(binary.path), "run", "--rm", "--network", "host", "--name", _container_name(name, config),
        "--env", _CONFIG_VARIABLE[name], binary.image,
    ]  # fmt: skip


def _container_name(name: str, config: Path) -> str:
    return f"callweave-{name}-{os.getpid()}-{config.stat().st_ino}"


async def _remove_container(docker: Path, container: str) -> None:
    """Killing the docker client leaves its container running, so it is removed by name as well."""
    child = ChildProcess("docker rm", [str(docker), "rm", "--force", container], log=Path(os.devnull))
    async with child:
        pass
