"""Every kind of server the log is promised on; each test process starts those it needs, once."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from call_events.embedded import EmbeddedRedis
from standins.servers.cluster import LoopbackCluster
from standins.servers.programs import SERVERS, NoSuchServer, server
from standins.servers.sentinel import WatchedRedis

Started = EmbeddedRedis | LoopbackCluster | WatchedRedis


def found(name: str) -> Path:
    """The program of a server. Skips the test where it cannot be had, but not in CI."""
    try:
        return server(name)
    except NoSuchServer as error:
        if os.environ.get("CI") == "true":  # noqa: TID251 - the tests' own setting
            raise
        pytest.skip(f"not proved on {name}: {error}")


def _alone(name: str) -> Callable[[], EmbeddedRedis]:
    return lambda: EmbeddedRedis(program=server(name))


_KINDS: dict[str, Callable[[], Any]] = {
    **{name: _alone(name) for name in SERVERS},
    "cluster-redis-7.0": lambda: LoopbackCluster(program=server("redis-7.0")),
    "cluster-valkey-9.1": lambda: LoopbackCluster(program=server("valkey-9.1")),
    "sentinel-redis-8.2": lambda: WatchedRedis(program=server("redis-8.2")),
}

#: For ``parametrize`` and ``params``.
BACKENDS = [pytest.param(name, marks=pytest.mark.backends) for name in _KINDS]


class Backends:
    """The servers of this test session."""

    def __init__(self) -> None:
        #: One thread that lives as long as they do: they die with the thread that started them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backends")
        self._stack = AsyncExitStack()
        self._urls: dict[str, str] = {}

    def url(self, name: str) -> str:
        """Where it runs; leave it empty. Skips the test where there is none, but not in CI."""
        if name not in self._urls:
            found(name.removeprefix("cluster-").removeprefix("sentinel-"))
            self._urls[name] = self._thread.submit(asyncio.run, self._start(name)).result()
        return self._urls[name]

    def close(self) -> None:
        """Stop them all."""
        self._thread.submit(asyncio.run, self._stack.aclose()).result()
        self._thread.shutdown()

    async def _start(self, name: str) -> str:
        started: Started = await self._stack.enter_async_context(_KINDS[name]())
        return started.url
