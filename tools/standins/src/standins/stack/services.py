"""Callweave's own services as child processes, started as in production: ``python -m NAME`` with an environment."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from standins.media.ports import free_port
from standins.media.processes import ChildProcess

#: The voice worker imports the agents SDK (3-4 s of one core) and warms processes before it can take a call.
START_DEADLINE_S = 60.0
#: More than the longest budget a service has for what it has in hand.
STOP_DEADLINE_S = 20.0


@dataclass(frozen=True, slots=True)
class Program:
    """How one service is started."""

    module: str
    prefix: str


VOICE_WORKER = Program("voice_worker", "VOICE_WORKER_")
CCM_BRIDGE = Program("ccm_bridge", "CCM_BRIDGE_")
TRANSFER_ORCHESTRATOR = Program("transfer_orchestrator", "TRANSFER_ORCHESTRATOR_")
ARCHIVER = Program("archiver", "ARCHIVER_")
ALL = (VOICE_WORKER, CCM_BRIDGE, TRANSFER_ORCHESTRATOR, ARCHIVER)

#: Which of them the archiver waits for: they read the log as a group.
GROUPS = {CCM_BRIDGE.module: "ccm", TRANSFER_ORCHESTRATOR.module: "transfer"}

#: The bridge's required settings: in whose names it posts. The CCM stand-in takes any; a real one wants its own.
CCM_SENDERS = {
    "CCM_BRIDGE_BOT_ID": "b07b07b07b07b07b07b07b07",
    "CCM_BRIDGE_HUMAN_ID": "5eed0000-0000-4000-8000-000000000001",
}

#: What of our own environment a service may see: nothing that would change its settings behind a test's back.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "XDG_CACHE_HOME")


def passed_on() -> dict[str, str]:
    """The part of our environment that a service may see."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


class Service:
    """One running service; an async context manager that stops it with SIGTERM."""

    def __init__(self, program: Program, settings: Mapping[str, str], *, log: Path) -> None:
        self.program = program
        self.port = free_port()
        environment = passed_on() | dict(settings)
        environment |= {f"{program.prefix}HTTP_HOST": "127.0.0.1", f"{program.prefix}HTTP_PORT": str(self.port)}
        self.process = ChildProcess(
            program.module,
            [sys.executable, "-m", program.module],
            log=log,
            environment=environment,
            patience_s=STOP_DEADLINE_S,
        )

    @property
    def health_url(self) -> str:
        """Answers 200 when the service can do its work."""
        return f"http://127.0.0.1:{self.port}/health"

    async def start(self) -> None:
        """Start without waiting.

        Raises:
            OSError: the process could not be started.
        """
        await self.process.__aenter__()

    async def ready(self) -> None:
        """Wait until it can do its work.

        Raises:
            MediaError: it ended or did not become healthy; the text carries its last words.
        """
        await self.process.healthy(self.health_url, START_DEADLINE_S)

    async def stop(self) -> None:
        """SIGTERM, then harder; idempotent."""
        await self.process.stop()
