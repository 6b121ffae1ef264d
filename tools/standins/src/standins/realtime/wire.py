"""Small shared pieces of the OpenAI Realtime wire: ids, events, the connection with its background work."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import orjson
from aiohttp import WSMsgType, web

Event = dict[str, Any]

_numbers = itertools.count(1)


def new_id(kind: str) -> str:
    """An id that no other thing of this process has, e.g. item_17."""
    return f"{kind}_{next(_numbers):06d}"


class BadEvent(Exception):
    """The client sent something the protocol does not allow; said to it as an `error` event."""

    def __init__(self, message: str, *, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.code = code


class Connection:
    """One WebSocket: sends events in order, reads events, and owns the tasks that work for it."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self._socket = socket
        self._transport = transport
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None

    async def send(self, kind: str, **content: Any) -> None:
        """Send one event; nothing happens if the client has gone."""
        if self._socket.closed:
            return
        event = {"type": kind, "event_id": new_id("event"), **content}
        try:
            await self._socket.send_str(orjson.dumps(event).decode())
        except ConnectionError:
            self.abort()

    async def send_error(
        self, message: str, *, code: str, event_id: str | None = None, kind: str | None = None
    ) -> None:
        """Send an `error` event."""
        error = {"type": kind or "invalid_request_error", "code": code, "message": message, "param": None}
        await self.send("error", error=error | {"event_id": event_id})

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside the reading; it ends with the connection."""
        if self._group is None:
            work.close()
            raise RuntimeError("the connection is not being served")
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def later(self, delay_s: float, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Run something after a delay."""

        async def wait_first() -> None:
            await asyncio.sleep(delay_s)
            await work()

        return self.start(wait_first())

    async def serve(self, handle: Callable[[Event], Coroutine[Any, Any, None]]) -> None:
        """Handle every event until the client or `abort` ends the connection."""
        async with asyncio.TaskGroup() as self._group:
            async for message in self._socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                event: Event = {}
                try:
                    event = read_event(message.data)
                    await handle(event)
                except BadEvent as bad:
                    await self.send_error(str(bad), code=bad.code, event_id=event.get("event_id"))
            for task in self._tasks:
                task.cancel()
        self._group = None

    def abort(self) -> None:
        """Tear the socket down without a closing handshake, as a broken network would."""
        if self._transport is not None:
            self._transport.abort()


def read_event(text: str) -> Event:
    """One client event.

    Raises:
        BadEvent: it is not a JSON object.
    """
    try:
        event = orjson.loads(text)
    except orjson.JSONDecodeError as wrong:
        raise BadEvent("The message is not JSON.", code="invalid_event") from wrong
    if not isinstance(event, dict):
        raise BadEvent("The message is not a JSON object.", code="invalid_event")
    return event


def merge(into: Event, changes: Mapping[str, Any]) -> None:
    """Change nested settings in place; what is not named stays."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
