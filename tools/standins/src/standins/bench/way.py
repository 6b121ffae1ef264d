"""A way to a server that breaks its connections when told to, as a network device does that forgets them."""

import asyncio
import random
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class ShakyWay:
    """A TCP proxy on 127.0.0.1; ``async with ShakyWay(url)``."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The target's URL by way of the proxy."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return self._target._replace(netloc=f"{host}:{port}").geturl()

    @property
    def links(self) -> int:
        """Connections that are open."""
        return len(self._links)

    def cut_one(self, dice: random.Random) -> None:
        """Reset any one connection, whatever is on its way over it."""
        if self._links:
            dice.choice(list(self._links)).cancel()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        links = list(self._links)
        for link in links:
            link.cancel()
        if links:
            await asyncio.wait(links)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        writers = [writer]
        try:
            there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
            writers.append(back)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_carry(reader, back))
                tasks.create_task(_carry(there, writer))
        except* (OSError, asyncio.CancelledError):  # the server has gone, or this is the cut
            pass
        finally:
            self._links.discard(task)
            for one in writers:
                one.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError
