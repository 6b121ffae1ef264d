"""The exchange as one server: SIP API of its own, everything else passed on to the real livekit-server."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType

import aiohttp
from aiohttp import web

from standins.exchange.call import Call, Calls
from standins.exchange.crew import Crew
from standins.exchange.handset import Handset
from standins.exchange.inbound import Inbound
from standins.exchange.outbound import Outbound
from standins.exchange.proxy import Proxy
from standins.exchange.trunks import Directory
from standins.exchange.twirp import PREFIX, SipApi

LOOPBACK = "127.0.0.1"
SHUTDOWN_S = 1.0


class Exchange:
    """A telephone exchange in front of a livekit-server; `url` is what product code gets as LIVEKIT_URL.

    Args:
        livekit_url: The real server, ws:// or http://.
        key, secret: An API key of that server, for the telephones' legs and for checking tokens.
        more_keys: Further key → secret pairs whose tokens the SIP API accepts.
        port: Where to listen on 127.0.0.1; 0 takes a free one.
    """

    def __init__(
        self,
        livekit_url: str,
        key: str,
        secret: str,
        *,
        more_keys: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        self.url = ""
        self._livekit_url = livekit_url.rstrip("/")
        self._port = port
        self._crew = Crew()
        self._stack = AsyncExitStack()
        self._phones: dict[str, Handset] = {}
        self._calls = Calls(self._crew)
        self._keys = {**(more_keys or {}), key: secret}
        self._directory = Directory()
        reach: dict[str, str] = {"url": self._livekit_url, "key": key, "secret": secret}
        self._inbound = Inbound(self._directory, self._calls, crew=self._crew, **reach)
        self._outbound = Outbound(self._directory, self._calls, self._phones, crew=self._crew, **reach)

    async def __aenter__(self) -> Exchange:
        await self._stack.enter_async_context(self._crew)
        session = await self._stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        self._stack.push_async_callback(self._calls.close)
        proxy = Proxy(self._livekit_url.replace("ws", "http", 1), session)
        sip = SipApi(self._directory, self._outbound, self._calls.find, keys=self._keys, crew=self._crew)
        app = web.Application(client_max_size=1 << 20)
        app.router.add_post(PREFIX + "{method}", sip.answer)
        app.router.add_route("*", "/{path:.*}", proxy.forward)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S, auto_decompress=False)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, LOOPBACK, self._port)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"ws://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def plug(self, handset: Handset) -> None:
        """Make a phone reachable under its number; a later one takes the number over."""
        self._phones[handset.number] = handset

    def unplug(self, handset: Handset) -> None:
        """Take a phone away: its number answers 404 from now on."""
        if self._phones.get(handset.number) is handset:
            del self._phones[handset.number]

    async def place(
        self,
        handset: Handset,
        to: str,
        *,
        headers: Mapping[str, str] | None = None,
        username: str = "",
        password: str = "",
        source: str = LOOPBACK,
    ) -> Call | None:
        """A phone calls in; see `Inbound.place`."""
        return await self._inbound.place(
            handset, to, headers=headers or {}, username=username, password=password, source=source
        )
