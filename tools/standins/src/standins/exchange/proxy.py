"""Forwards what is not the exchange's own business to livekit-server: API calls as they are, websockets both ways.

Back-pressure is kept: a side that does not read stops the reading from the other, as at most one message is in hand.
"""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

#: Headers that belong to one connection and are made anew for the next (RFC 9110, 7.6.1).
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_HANDSHAKE = {"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol"}
CONNECT_DEADLINE_S = 10.0
CLOSE_DEADLINE_S = 5.0

Either = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class Proxy:
    """Sends requests on to one livekit-server."""

    def __init__(self, http_url: str, session: aiohttp.ClientSession) -> None:
        self._base = http_url.rstrip("/")
        self._session = session

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Answer as livekit-server does; 502 when it cannot be reached."""
        # Path and query go on as the client wrote them: a token must not be decoded and encoded again.
        target = URL(f"{self._base}{request.raw_path}", encoded=True)
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._websocket(request, target)
            return await self._http(request, target)
        except aiohttp.ClientConnectorError as error:
            raise web.HTTPBadGateway(text=f"livekit-server behind the exchange cannot be reached: {error}") from error

    async def _http(self, request: web.Request, target: URL) -> web.StreamResponse:
        body = request.content if request.body_exists else None
        async with self._session.request(
            request.method,
            target,
            headers=_passed_on(request.headers),
            data=body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_DEADLINE_S),
        ) as answer:
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=_passed_on(answer.headers)
            )
            try:
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            except ConnectionResetError:
                pass  # whoever asked has gone (a poll cancelled at an answer, a process stopped): nobody to tell
            return response

    async def _websocket(self, request: web.Request, target: URL) -> web.StreamResponse:
        protocols = [
            part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if part.strip()
        ]
        try:
            upstream = await self._session.ws_connect(
                target.with_scheme("ws" if target.scheme == "http" else "wss"),
                headers=_passed_on(request.headers, *_HANDSHAKE),
                protocols=protocols,
                autoping=False,
                autoclose=False,
                max_msg_size=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_DEADLINE_S),
            )
        except aiohttp.WSServerHandshakeError as error:
            # The client asks again by plain HTTP (/rtc/validate) and is told the reason there.
            return web.Response(status=error.status, reason=error.message)
        downstream = web.WebSocketResponse(
            protocols=[upstream.protocol] if upstream.protocol else [], autoping=False, autoclose=False, max_msg_size=0,
            timeout=CLOSE_DEADLINE_S,
        )  # fmt: skip
        try:
            await downstream.prepare(request)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(downstream, upstream))
                both.create_task(_pump(upstream, downstream))
        finally:
            await upstream.close()
        return downstream


def _passed_on(headers: CIMultiDictProxy[str], *also_dropped: str) -> CIMultiDict[str]:
    dropped = {*_HOP_BY_HOP, *also_dropped, "host"}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


async def _pump(source: Either, sink: Either) -> None:
    """Carry messages from one side to the other until one side closes; then close the other with the same code."""
    try:
        while True:
            message = await source.receive()
            match message.type:
                case aiohttp.WSMsgType.BINARY:
                    await sink.send_bytes(message.data)
                case aiohttp.WSMsgType.TEXT:
                    await sink.send_str(message.data)
                case aiohttp.WSMsgType.PING:
                    await sink.ping(message.data)
                case aiohttp.WSMsgType.PONG:
                    await sink.pong(message.data)
                case _:
                    break
    except (ConnectionError, aiohttp.ClientError):
        pass  # the sink went away; closing it below is then a formality
    code = source.close_code
    if not sink.closed:
        await sink.close(code=code if code is not None and _may_be_sent(code) else aiohttp.WSCloseCode.GOING_AWAY)
    if not source.closed:
        await source.close()


def _may_be_sent(code: int) -> bool:
    """Codes 1005, 1006 and 1015 say what was seen and never travel (RFC 6455, 7.4.1)."""
    return code not in {1005, 1006, 1015}
