"""A way to a server that can be made to swallow everything, as a network does that drops packets without a word."""

import asyncio
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class BlackHole:
    """A TCP proxy on 127.0.0.1. After :meth:`swallow` bytes go in, nothing comes out, and nothing is closed."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._open, self._answers = asyncio.Event(), asyncio.Event()
        self.let_through()
        self._links: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """The target's URL by way of the proxy."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return self._target._replace(netloc=f"{host}:{port}").geturl()

    def swallow(self) -> None:
        """From now on nothing gets through, in either direction."""
        self._open.clear()
        self._answers.clear()

    def swallow_answers(self) -> None:
        """From now on the server hears everything and nobody hears the server."""
        self._answers.clear()

    def let_through(self) -> None:
        """What was held up goes on, as if the packets had been late."""
        self._open.set()
        self._answers.set()

    def lead_to(self, url: str) -> None:
        """New connections go there, as after a fail-over behind one address. Open ones stay where they are."""
        self._target = urlsplit(url)

    def cut(self) -> None:
        """Break every connection that is open."""
        for writer in self._links:
            writer.transport.abort()
        self._links.clear()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.let_through()
        self.cut()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._links |= {writer, back}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._carry(reader, back, self._open))
            tasks.create_task(self._carry(there, writer, self._answers))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_open: asyncio.Event) -> None:
        try:
            while data := await reader.read(65_536):
                await is_open.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
