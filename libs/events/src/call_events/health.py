"""GET /health tells the truth about what the service needs; GET /metrics speaks Prometheus."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from call_events.errors import BadSetting

#: Called for every request: ``True``/``False`` per thing needed, text for what is merely told.
Readiness = Callable[[], Mapping[str, str | bool]]


class HealthServer:
    """``async with HealthServer(host, port, readiness)``: 200 while everything needed is there, else 503."""

    def __init__(self, host: str, port: int, readiness: Readiness, *, registry: CollectorRegistry = REGISTRY) -> None:
        """Port 0 = any free one; see :attr:`port` after the start. ``registry`` is what /metrics tells."""
        self._host = host
        self._wanted = port
        self._readiness = readiness
        self._registry = registry
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._runner is not None, "not started"
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Listen.

        Raises:
            BadSetting: the address is taken or not ours.
        """
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._wanted).start()
        except OSError as error:
            await self.stop()
            raise BadSetting(
                f"cannot listen on {self._host}:{self._wanted} ({error.strerror}); "
                "set the service's HTTP_PORT to a free port, or 0 for any"
            ) from error

    async def stop(self) -> None:
        """Stop listening. Idempotent."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _health(self, _request: web.Request) -> web.Response:
        checks = self._readiness()
        well = all(value for value in checks.values() if isinstance(value, bool))
        body = {"status": "ok" if well else "failing", **checks}
        return web.Response(status=200 if well else 503, body=orjson.dumps(body), content_type="application/json")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
