"""The stand-in as a server on loopback: CCM's endpoint, a login, and controls.

| request | answer |
|---|---|
| ``POST /ccm/message/receive`` | 202, 400 with the reason, or as told |
| ``GET /ccm/channels/service-identifier/ID`` | the channel of a known service identifier, else 404 |
| ``POST /agent-manager/agent/login`` | a bearer token, if the stand-in was started with an account |
| ``GET /control/messages[?call=ID]`` | everything that arrived, with bytes, times and outcomes |
| ``GET /control/summary`` | counts, and the most requests in flight per call |
| ``POST /control/behaviour`` | a :class:`Behaviour`; an empty object = behave |
| ``DELETE /control/messages`` | forget |
"""

import asyncio
import json
import secrets
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from pydantic import ValidationError

from standins.ccm.behaviour import Behaviour, Mode, Script
from standins.ccm.record import Arrival, Record, call_of
from standins.ccm.schema import Malformed, validate

PATH = "/ccm/message/receive"


class CcmStandIn:
    """A strict CCM. ``async with CcmStandIn() as ccm: ccm.url``."""

    def __init__(
        self,
        *,
        port: int = 0,
        strict: bool = True,
        account: tuple[str, str] | None = None,
        services: frozenset[str] | None = None,
    ) -> None:
        """
        Args:
            port: 0 = a free one.
            strict: refuse unknown keys.
            account: user name and password; with it every message needs a bearer token.
            services: the service identifiers that are channels here; absent = all.
        """
        self.record = Record()
        self._strict = strict
        self._account = account
        self._services = services
        self._port = port
        self._script = Script()
        #: Set when the behaviour changes, so that hanging requests look again.
        self._changed = asyncio.Event()
        self._tokens: set[str] = set()
        #: So many logins were asked for.
        self.logins = 0
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def base_url(self) -> str:
        """Without path."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """What CCM_URL wants."""
        return self.base_url + PATH

    @property
    def login_url(self) -> str:
        """Where tokens are had."""
        return f"{self.base_url}/agent-manager/agent/login"

    async def __aenter__(self) -> Self:
        await self.come_up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.go_down()

    async def come_up(self) -> None:
        """Listen; after :meth:`go_down` on the same port."""
        app = web.Application(client_max_size=1024 * 1024)
        app.router.add_post(PATH, self._receive)
        app.router.add_get("/ccm/channels/service-identifier/{service}", self._channel)
        app.router.add_post("/agent-manager/agent/login", self._login)
        app.router.add_get("/control/messages", self._list)
        app.router.add_delete("/control/messages", self._forget)
        app.router.add_get("/control/summary", self._summary)
        app.router.add_post("/control/behaviour", self._behave)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def go_down(self) -> None:
        """Stop listening; nothing is forgotten."""
        runner, self._runner = self._runner, None
        self._signal_change()
        if runner is not None:
            await runner.cleanup()

    def behave(self, *behaviours: Behaviour) -> None:
        """Follow these from now on, the first that applies; none = behave well."""
        self._script.clear()
        for behaviour in behaviours:
            self._script.add(behaviour)
        self._signal_change()

    def expire_tokens(self) -> None:
        """Every token handed out so far is worthless from now on."""
        self._tokens.clear()

    def _signal_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        message = _parse(raw)
        call = call_of(message)
        arrival = self.record.begin(
            call, str(message.get("id", "")) if message else "", raw, message if message is not None else {}
        )
        try:
            return await self._answer(request, arrival, is_json=message is not None)
        finally:
            self.record.end(arrival)

    async def _answer(self, request: web.Request, arrival: Arrival, *, is_json: bool) -> web.StreamResponse:
        behaviour = self._script.next(arrival.call, str(arrival.message.get("body", "")))
        mode = behaviour.mode if behaviour is not None else None
        if mode is Mode.DOWN:
            arrival.outcome = "down"
            return _cut(request)
        if not self._authorised(request):
            return _refuse(arrival, 401, "unauthorised", "token missing, invalid or expired")
        if behaviour is not None and mode in {Mode.HANG, Mode.FAIL}:
            return await self._withhold(request, arrival, behaviour)
        reason = self._why_malformed(request, arrival, is_json=is_json)
        if reason is not None:
            return _refuse(arrival, 400, "refused", reason)
        self.record.take(arrival, "dropped" if mode is Mode.DROP else "accepted")
        if behaviour is not None:
            await asyncio.sleep(behaviour.delay_s or 0)
        if mode is Mode.DROP:
            return _cut(request)
        arrival.status = 202
        return web.json_response({"status": "ACCEPTED"}, status=202)

    async def _withhold(self, request: web.Request, arrival: Arrival, behaviour: Behaviour) -> web.StreamResponse:
        if behaviour.mode is Mode.HANG:
            arrival.outcome = "hung"
            await _wait(self._changed, behaviour.delay_s)
            return _cut(request)
        headers = {"Retry-After": behaviour.retry_after} if behaviour.retry_after is not None else {}
        return _refuse(arrival, behaviour.status, "failed", behaviour.reason, headers)

    def _why_malformed(self, request: web.Request, arrival: Arrival, *, is_json: bool) -> str | None:
        if request.content_type != "application/json":
            return "Content-Type: must be application/json"
        if not is_json:
            return "message: must be one JSON object"
        try:
            validate(arrival.message, strict=self._strict)
        except Malformed as malformed:
            return str(malformed)
        service = arrival.message["header"]["channelData"]["serviceIdentifier"]
        if self._services is not None and service not in self._services:
            return "header.channelData.serviceIdentifier: no such channel"
        return None

    def _authorised(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return self._account is None or (scheme == "Bearer" and token in self._tokens)

    async def _login(self, request: web.Request) -> web.Response:
        self.logins += 1
        asked = _parse(await request.read()) or {}
        if self._account is None or (asked.get("username"), asked.get("password")) != self._account:
            return web.json_response({"statusCode": 401, "message": "invalid credentials"}, status=401)
        token = secrets.token_urlsafe(24)
        self._tokens.add(token)
        return web.json_response({"statusCode": 200, "data": {"token": token, "refresh_token": "unused"}})

    async def _channel(self, request: web.Request) -> web.Response:
        service = request.match_info["service"]
        if self._services is not None and service not in self._services:
            return web.json_response({"error": "channel not registered"}, status=404)
        return web.json_response({"serviceIdentifier": service, "channelConfig": {"channelMode": "HYBRID"}})

    async def _list(self, request: web.Request) -> web.Response:
        call = request.query.get("call")
        return web.json_response([a.as_json() for a in self.record.arrivals if call in {None, a.call}])

    async def _forget(self, _request: web.Request) -> web.Response:
        self.record.clear()
        return web.Response(status=204)

    async def _summary(self, _request: web.Request) -> web.Response:
        outcomes: dict[str, int] = {}
        for arrival in self.record.arrivals:
            outcomes[arrival.outcome] = outcomes.get(arrival.outcome, 0) + 1
        return web.json_response(
            {
                "arrivals": len(self.record.arrivals),
                "outcomes": outcomes,
                "duplicates": sum(a.duplicate for a in self.record.arrivals),
                "max_in_flight": dict(self.record.max_in_flight),
            }
        )

    async def _behave(self, request: web.Request) -> web.Response:
        raw = await request.read()
        if raw.strip() in {b"", b"{}"}:
            self.behave()
            return web.Response(status=204)
        try:
            self.behave(Behaviour.model_validate_json(raw))
        except ValidationError as error:
            return web.json_response({"error": error.errors(include_url=False, include_context=False)}, status=400)
        return web.Response(status=204)


def _parse(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _refuse(
    arrival: Arrival, status: int, outcome: str, reason: str, headers: dict[str, str] | None = None
) -> web.Response:
    arrival.outcome, arrival.status, arrival.reason = outcome, status, reason
    return web.json_response({"status": status, "error": reason}, status=status, headers=headers or {})


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
