"""Child processes that never outlive us: the kernel kills them when this process dies, and we stop them by their id."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import aiohttp

from call_events.children import bound_to_us
from standins.media.errors import MediaError

STOP_DEADLINE_S = 3.0
POLL_S = 0.02


class ChildProcess:
    """One program with its output in a log file; an async context manager that stops it."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        patience_s: float | None = None,
    ) -> None:
        """
        Args:
            patience_s: how long it may take to stop after one SIGTERM; None for a program that, like livekit-server,
                leaves at once only when it is told twice.
        """
        self.name = name
        self._patience_s = patience_s
        self.log = log
        self._arguments = list(arguments)
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id; only while it is started."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def __aenter__(self) -> ChildProcess:
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *bound_to_us(self._arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=None if self._environment is None else dict(self._environment),
                # Ctrl-C at a terminal goes to the whole group; it is for us, and we stop our children in order.
                start_new_session=True,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """SIGTERM, a second one unless it was given patience, then SIGKILL; idempotent."""
        process = self._process
        if process is None:
            return
        orders = [(signal.SIGTERM, self._patience_s or 0.3), (signal.SIGKILL, 10.0)]
        if self._patience_s is None:
            orders.insert(1, (signal.SIGTERM, STOP_DEADLINE_S))
        for order, patience_s in orders:
            if process.returncode is not None:
                return
            process.send_signal(order)
            try:
                async with asyncio.timeout(patience_s):
                    await process.wait()
            except TimeoutError:
                continue

    async def ended(self, deadline_s: float) -> int:
        """Wait until it ends by itself; its exit code.

        Raises:
            MediaError: it has not within ``deadline_s`` seconds.
        """
        assert self._process is not None
        try:
            async with asyncio.timeout(deadline_s):
                return await self._process.wait()
        except TimeoutError:
            raise MediaError(f"{self.name} has not ended in {deadline_s:g} s: {self.last_words()}") from None

    async def healthy(self, url: str, deadline_s: float) -> None:
        """Wait until `url` answers 200.

        Raises:
            MediaError: the process ended, or did not answer in time; the message carries the last line of its log.
        """
        try:
            async with asyncio.timeout(deadline_s), aiohttp.ClientSession() as http:
                while self.running:
                    try:
                        async with http.get(url) as answer:
                            if answer.status == 200:
                                return
                    except aiohttp.ClientError:
                        pass
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise MediaError(f"{self.name} did not become healthy in {deadline_s:g} s: {self.last_words()}") from None
        raise MediaError(f"{self.name} ended while starting: {self.last_words()}")

    def last_words(self) -> str:
        """The last line of the log and where the rest is."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return f"{lines[-1] if lines else 'no output'} (log: {self.log})"
