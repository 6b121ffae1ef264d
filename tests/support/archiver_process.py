"""The archiver in a process of its own that kills itself at a chosen step, as ``kill -9`` would.

``python -m support.archiver_process STEP``; ``none`` for one that goes on. Settings as of the real one.
"""

import asyncio
import os
import signal
import sys
from enum import StrEnum
from pathlib import Path

import archiver.bootstrap
from archiver.adapters.redis_calls import RedisCalls
from archiver.ports import Going
from archiver.settings import Settings
from call_archive import directory
from call_archive.head import RedisHead
from call_archive.ports import Head
from call_archive.stores import open_store
from call_events.ids import CallId
from call_events.service import configure_logging, load_settings, run_service


class Step(StrEnum):
    """Where it dies."""

    NONE = "none"
    HALF_WRITTEN = "half-written"
    BEFORE_SEAL = "before-seal"
    SEALED = "sealed"
    BEFORE_LINK = "before-link"
    LINKED = "linked"
    HEAD_REMEMBERED = "head-remembered"
    COMMITTED = "committed"
    LET_GO = "let-go"


def die() -> None:
    """At once, and nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


class DeadlyStore(directory.DirectoryStore):
    """A real one up to a step."""

    step = Step.NONE

    async def create(self, path: str, content: bytes) -> None:
        """See ``call_archive.ports.Store``."""
        call = path.startswith("calls/")
        if self.step is (Step.BEFORE_SEAL if call else Step.BEFORE_LINK):
            die()
        await super().create(path, content)
        if self.step is (Step.SEALED if call else Step.LINKED):
            die()

    def _part(self, content: bytes) -> Path:
        part = super()._part(content)
        if self.step is Step.HALF_WRITTEN and content:
            die()
        return part


class DeadlyHead(RedisHead):
    """A real one up to a step."""

    async def advance(self, head: Head) -> None:
        """See ``call_archive.ports.HeadKeeper``."""
        await super().advance(head)
        if DeadlyStore.step is Step.HEAD_REMEMBERED:
            die()


class DeadlyCalls(RedisCalls):
    """A real one up to a step."""

    async def let_go(self, call: CallId) -> Going:
        """See ``archiver.ports.Leaving``."""
        if DeadlyStore.step is Step.COMMITTED and (await self._admin.state("archive", call)).cursor == (
            await self._admin.tail(call)
        ):
            die()
        going = await super().let_go(call)
        if DeadlyStore.step is Step.LET_GO and going is Going.GONE:
            die()
        return going


def _main() -> None:
    DeadlyStore.step = Step(sys.argv[1])
    settings = load_settings(Settings)
    configure_logging("archiver", format="json", level="info")
    root = open_store(settings.archive_url).url
    parts = vars(archiver.bootstrap)
    parts |= {
        "open_store": lambda *_args, **_options: DeadlyStore(Path(root)),
        "RedisHead": DeadlyHead,
        "RedisCalls": DeadlyCalls,
    }

    async def serve(stop: asyncio.Event) -> None:
        async with archiver.bootstrap.archiver(settings) as service:
            await service.run(stop)

    run_service("archiver", serve)


if __name__ == "__main__":
    _main()
