"""The lanes to one server: a queue of commands, and connections that carry what is in it, batch by batch.

Each lane is a connection of the client's pool; while the server works on the batch of one, this process makes the next
one's. All that is known about the server (its run-id) is known here, since it is a connection that meets it.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog
from hiredis import pack_command
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from call_events.errors import LogUnavailable, ServerChanged
from call_events.outages import passes, unavailable
from call_events.scripts import Script
from call_events.servers import Meeting, met_on

log = structlog.get_logger()

Arg = str | bytes | int
#: So many lanes are opened for anything that comes up: one alone would hold everybody up when it loses a packet.
_EAGER_LANES = 2


class Item(NamedTuple):
    """A command, packed as it is queued: what cannot be sent fails its own caller and nobody else."""

    #: Which it calls; absent for a plain command.
    script: Script | None
    keys: Sequence[str]
    args: Sequence[Arg]
    packed: bytes
    #: Run-id of the only server it may go to; absent: whichever is there.
    server: str | None
    future: "asyncio.Future[Any]"
    #: On a Cluster: how often it was sent on.
    hops: int = 0
    #: On a Cluster: ``ASKING`` is packed before it, with an answer of its own.
    asking: bool = False


class Lanes:
    """Carries commands to whatever server is behind the client's address."""

    def __init__(self, redis: Redis, *, max_batch: int, lanes: int, on_change: Callable[[], None]) -> None:
        """``on_change`` is called before anything goes to another server than before; it must return at once."""
        self._redis = redis
        self._max_batch = max_batch
        self._max_lanes = self._free_lanes = lanes
        self._on_change = on_change
        self._queue: list[Item] = []
        self._lanes: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._met: Meeting | None = None

    def server(self, key: str) -> str | None:  # noqa: ARG002 - they all lie on one server here
        """Run-id of the server that was met last; absent until the first answer."""
        return None if self._met is None else self._met.run_id

    def queue_up(self, item: Item) -> None:
        """Send it with the next batch; its future gets the answer."""
        self._queue.append(item)
        if not self._scheduled and self._free_lanes:
            self._schedule()

    def _schedule(self) -> None:
        """Let another lane look at the queue, when what is ready now has run.

        Beside two that are open already only for a whole batch: a write costs ten times what a script in it does, so
        what trickles in goes with an open lane's next one, a fraction of a millisecond later.
        """
        enough = 1 if self._max_lanes - self._free_lanes < _EAGER_LANES else self._max_batch
        if len(self._queue) >= enough and self._free_lanes and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._open_lane)

    def _open_lane(self) -> None:
        self._scheduled = False
        if not self._queue or not self._free_lanes:
            return
        self._free_lanes -= 1
        lane = asyncio.create_task(self._drain(), name="script-lane")  # noqa: TID251 - held below; ends with the queue
        self._lanes.add(lane)
        lane.add_done_callback(self._lanes.discard)

    async def _drain(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._queue[: self._max_batch], self._queue[self._max_batch :]
                self._schedule()  # more than one batch has come up: do not keep the rest waiting for this one
                await self._send([item for item in batch if not item.future.done()])
        finally:
            self._free_lanes += 1
            self._schedule()

    async def _send(self, batch: list[Item], *, by_text: bool = False) -> None:
        unknown: list[Item] = []
        try:
            answers = await self._execute(batch, by_text=by_text)
        except asyncio.CancelledError:
            for item in batch:
                item.future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers are told: nobody else would wake them
            answers = [error] * len(batch)
        for item, answer in zip(batch, answers, strict=True):
            if item.future.done():
                continue
            if isinstance(answer, NoScriptError) and not by_text:
                unknown.append(item)
            elif not isinstance(answer, BaseException):
                item.future.set_result(answer)
            else:
                self._failed(item, answer)
        if unknown:
            await self._send(unknown, by_text=True)

    def _failed(self, item: Item, error: BaseException) -> None:
        fail(item, error)

    async def _execute(self, batch: list[Item], *, by_text: bool) -> list[Any]:
        """A pipeline on a connection of the client's pool.

        redis-py's own pipeline packs commands in Python, which alone costs twice what all the rest here does; hiredis
        packs them at once. Everything else (TLS, passwords, Sentinel, time-outs) stays the client's.
        """
        pool: Any = self._redis.connection_pool
        connection = await pool.get_connection()
        try:
            server = await self._server_on(connection)
            going = [item for item in batch if item.server is None or item.server == server]
            await connection.send_packed_command(
                b"".join([as_text(item) if by_text and item.script else item.packed for item in going])
            )
            async with asyncio.timeout(connection.socket_timeout):  # one for all: one each costs more than the reading
                answers = await self._read(connection, going)
            self._answered(server, going, answers)
        except BaseException:
            await connection.disconnect(nowait=True)  # answers may still be on their way: nobody else may read them
            raise
        finally:
            await pool.release(connection)
        if len(going) == len(batch):
            return answers
        rest = iter(answers)
        return [next(rest) if item.server is None or item.server == server else _changed() for item in batch]

    def _answered(self, server: str, going: Sequence[Item], answers: Sequence[Any]) -> None:
        """So has this server; those who wait do not know yet."""

    async def _server_on(self, connection: Any) -> str:
        """The run-id of the server at its other end, who is the one that was met last.

        A connection that was made before and leads elsewhere is a leftover: it is made anew.
        """
        while True:
            meeting = met_on(connection)
            known = self._met
            if known is None or meeting.number > known.number:
                self._met = meeting
                if known is not None and meeting.run_id != known.run_id:
                    log.warning("redis.server_changed", then=known.run_id[:8], now=meeting.run_id[:8])
                    self._on_change()
            elif meeting.run_id != known.run_id:
                await connection.disconnect()
                await connection.connect()
                continue
            return meeting.run_id

    async def _read(self, connection: Any, going: Sequence[Item]) -> list[Any]:
        return [await answer_on(connection) for _ in going]


async def answer_on(connection: Any) -> Any:
    """The next answer, an error of the server among them."""
    try:
        return await connection.read_response(timeout=math.inf)  # the caller has set the bound
    except ReadOnlyError as error:  # no master any more: the next one shall look where the master is
        connection.mark_for_reconnect()
        return error
    except ResponseError as error:
        return error


def fail(item: Item, error: BaseException) -> None:
    """Tell whoever waits for it."""
    if not isinstance(error, LogUnavailable) and passes(error):
        error = unavailable(error)
    item.future.set_exception(error)


def packed(how: str, script: str, keys: Sequence[str], args: Sequence[Arg]) -> bytes:
    """A call of a script as it goes over the wire."""
    return command(how, script, len(keys), *keys, *args)


def as_text(item: Item) -> bytes:
    """The call of a script that the server has not heard of."""
    assert item.script is not None
    return packed("EVAL", item.script.text, item.keys, item.args)


def command(*words: Arg) -> bytes:
    """A command as it goes over the wire.

    Raises:
        ValueError, TypeError: an argument cannot be sent.
    """
    told: Any = words
    return bytes(pack_command(told))


def _changed() -> ServerChanged:
    return ServerChanged("another Redis server answers now; what it was meant for has gone")
