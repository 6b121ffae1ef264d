"""Sends scripts in batches: all that one turn of the event loop wants goes to the server in few pipelines.

A single awaited ``EVALSHA`` through redis-py costs the process 110 to 180 µs, the server 12. Gathered, the same call
costs about 15 µs. Nobody waits for a batch to fill: a batch is what has come up while the loop turned once.

Several batches may be on their way at once, each on its *lane* (a connection), so that the server works on one while
this process makes the next. Hence **order is the caller's business**: whoever needs B after A awaits A first.

What is sent may be bound to a server (its run-id): another one, which may have forgotten what the caller builds upon,
is not sent it. Whoever must act when the server changes is told, before anything else goes to the new one.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog
from hiredis import pack_command
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from call_events import scripts
from call_events.errors import LogUnavailable, OurMistake, ServerChanged
from call_events.outages import passes, translated, unavailable
from call_events.servers import Meeting, met_on

__all__ = ["ScriptRunner", "passes", "translated", "unavailable"]

log = structlog.get_logger()

Arg = str | bytes | int
#: So many lanes are opened for anything that comes up: one alone would hold everybody up when it loses a packet.
_EAGER_LANES = 2


class _Item(NamedTuple):
    """A command, packed as it is queued: what cannot be sent fails its own caller and nobody else."""

    #: Which it calls; absent for a plain command.
    script: scripts.Script | None
    keys: Sequence[str]
    args: Sequence[Arg]
    packed: bytes
    #: Run-id of the only server it may go to; absent: whichever is there.
    server: str | None
    future: "asyncio.Future[Any]"


class ScriptRunner:
    """Batches script calls of one process. Owns no connection: it borrows them from the client's pool."""

    def __init__(
        self,
        redis: Redis,
        *,
        load: Callable[[str], scripts.Script] = scripts.load,
        max_batch: int = 32,
        lanes: int = 8,
    ) -> None:
        self._redis = redis
        #: Read here, once, so that no call ever waits for a disk.
        self._scripts = {name: load(name) for name in scripts.NAMES}
        self._max_batch = max_batch
        self._max_lanes = self._free_lanes = lanes
        self._queue: list[_Item] = []
        self._lanes: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._met: Meeting | None = None
        self._on_change: list[Callable[[], None]] = []

    @property
    def server(self) -> str | None:
        """Run-id of the server that was met last; absent until the first answer."""
        return None if self._met is None else self._met.run_id

    async def meet(self) -> str:
        """The run-id of the server that answers now.

        Raises:
            LogUnavailable: none does.
        """
        await self.ask(("PING",))
        assert self._met is not None, "it has answered"
        return self._met.run_id

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` once for each change of the server, as soon as it is noticed: when one is needed next.

        It runs before anything is sent to the new one, must return at once and must not raise.
        """
        self._on_change.append(tell)

    def run(
        self, name: str, keys: Sequence[str], args: Sequence[Arg], *, server: str | None = None
    ) -> "asyncio.Future[Any]":
        """The script's answer, to be awaited.

        Args:
            name: of the script.
            keys: all it touches.
            args: what it is told.
            server: run-id of the only server it may run on; if it is answered, it ran there.

        Raises:
            OurMistake: at once, for an argument that cannot be sent.
            ServerChanged: another server is there than ``server``; it was not sent.
            LogUnavailable: the server could not be asked or could not serve; the script may or may not have run.
            redis.exceptions.ResponseError: the script itself is at fault (wrong type, no permission).
        """
        script = self._scripts[name]
        try:
            packed = _packed("EVALSHA", script.sha, keys, args)
        except (ValueError, TypeError) as error:  # a lone surrogate, None: the text would repeat what it may not
            raise OurMistake(
                f"cannot ask Redis to {name}: an argument cannot be sent ({type(error).__name__})"
            ) from None
        return self._queue_up(_Item(script, keys, args, packed, server, asyncio.get_running_loop().create_future()))

    async def ask(self, *commands: Sequence[Arg]) -> list[Any]:
        """The answers of plain commands, which are sent in the same batches. For reading much: no script is needed, and
        one would take the server nine times as long to hand over the same.

        Raises:
            LogUnavailable, redis.exceptions.ResponseError: as above, the first of them.
        """
        loop = asyncio.get_running_loop()
        packed = [_command(*command) for command in commands]
        futures = [self._queue_up(_Item(None, (), (), one, None, loop.create_future())) for one in packed]
        try:
            await asyncio.wait(futures)
        finally:
            for future in futures:
                future.cancel()  # those that have their answer keep it
        errors = [future.exception() for future in futures]
        for error in errors:
            if error is not None:
                raise error
        return [future.result() for future in futures]

    def _queue_up(self, item: _Item) -> "asyncio.Future[Any]":
        self._queue.append(item)
        if not self._scheduled and self._free_lanes:
            self._schedule()
        return item.future

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

    async def _send(self, batch: list[_Item], *, by_text: bool = False) -> None:
        unknown: list[_Item] = []
        try:
            answers = await self._execute(batch, by_text=by_text)
        except asyncio.CancelledError:
            for item in batch:
                item.future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers are told: nobody else would wake them
            answers = [error] * len(batch)
        for item, answer in zip(batch, answers, strict=True):
            future = item.future
            if future.done():
                continue
            if isinstance(answer, NoScriptError) and not by_text:
                unknown.append(item)
            elif not isinstance(answer, BaseException):
                future.set_result(answer)
            elif isinstance(answer, LogUnavailable):
                future.set_exception(answer)
            elif passes(answer):
                future.set_exception(unavailable(answer))
            else:
                future.set_exception(answer)
        if unknown:
            await self._send(unknown, by_text=True)

    async def _execute(self, batch: list[_Item], *, by_text: bool) -> list[Any]:
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
                b"".join(
                    [
                        _packed("EVAL", item.script.text, item.keys, item.args)
                        if by_text and item.script
                        else item.packed
                        for item in going
                    ]
                )
            )
            async with asyncio.timeout(connection.socket_timeout):  # one for all: one each costs more than the reading
                answers = [await self._answer(connection) for _ in going]
        except BaseException:
            await connection.disconnect(nowait=True)  # answers may still be on their way: nobody else may read them
            raise
        finally:
            await pool.release(connection)
        if len(going) == len(batch):
            return answers
        rest = iter(answers)
        return [next(rest) if item.server is None or item.server == server else _changed() for item in batch]

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
                    for tell in self._on_change:
                        tell()
            elif meeting.run_id != known.run_id:
                await connection.disconnect()
                await connection.connect()
                continue
            return meeting.run_id

    @staticmethod
    async def _answer(connection: Any) -> Any:
        try:
            return await connection.read_response(timeout=math.inf)  # the caller has set the bound
        except ReadOnlyError as error:  # no master any more: the next one shall look where the master is
            connection.mark_for_reconnect()
            return error
        except ResponseError as error:
            return error


def _packed(how: str, script: str, keys: Sequence[str], args: Sequence[Arg]) -> bytes:
    return _command(how, script, len(keys), *keys, *args)


def _command(*command: Arg) -> bytes:
    words: Any = command
    return bytes(pack_command(words))


def _changed() -> ServerChanged:
    return ServerChanged("another Redis server answers now; what it was meant for has gone")
