"""Sends scripts in batches: all that one turn of the event loop wants goes to the server in few pipelines.

A single awaited ``EVALSHA`` through redis-py costs the process 110 to 180 µs, the server 12. Gathered, the same call
costs about 15 µs. Nobody waits for a batch to fill: a batch is what has come up while the loop turned once.

Several batches may be on their way at once, each on its *lane* (a connection), so that the server works on one while
this process makes the next. Hence **order is the caller's business**: whoever needs B after A awaits A first.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from call_events import scripts
from call_events.errors import LogUnavailable, OurMistake

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
    future: "asyncio.Future[Any]"


#: Answers of a server that cannot serve now but may soon; some have no class in redis-py, hence the texts below.
_PASSING_ERRORS = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    ClusterDownError,
    TryAgainError,
    ReadOnlyError,
    OSError,
)
_PASSING_TEXTS = (
    "LOADING",
    "NOREPLICAS",
    "MASTERDOWN",
    "BUSY ",
    "UNBLOCKED",
    "MISCONF",
    "OOM",
    "CLUSTERDOWN",
    "TRYAGAIN",
)


def passes(error: BaseException) -> bool:
    """Whether the same command may succeed later, by itself or after somebody has mended Redis."""
    return isinstance(error, _PASSING_ERRORS) or (
        isinstance(error, ResponseError) and str(error).startswith(_PASSING_TEXTS)
    )


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

    def run(self, name: str, keys: Sequence[str], args: Sequence[Arg]) -> "asyncio.Future[Any]":
        """The script's answer, to be awaited.

        Raises:
            OurMistake: at once, for an argument that cannot be sent.
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
        return self._queue_up(_Item(script, keys, args, packed, asyncio.get_running_loop().create_future()))

    async def ask(self, *commands: Sequence[Arg]) -> list[Any]:
        """The answers of plain commands, which are sent in the same batches. For reading much: no script is needed, and
        one would take the server nine times as long to hand over the same.

        Raises:
            LogUnavailable, redis.exceptions.ResponseError: as above, the first of them.
        """
        loop = asyncio.get_running_loop()
        packed = [_command(*command) for command in commands]
        futures = [self._queue_up(_Item(None, (), (), one, loop.create_future())) for one in packed]
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
        packed = b"".join(
            [
                _packed("EVAL", item.script.text, item.keys, item.args) if by_text and item.script else item.packed
                for item in batch
            ]
        )
        pool: Any = self._redis.connection_pool
        connection = await pool.get_connection()
        try:
            await connection.send_packed_command(packed)
            async with asyncio.timeout(connection.socket_timeout):  # one for all: one each costs more than the reading
                return [await self._answer(connection) for _ in batch]
        except BaseException:
            await connection.disconnect(nowait=True)  # answers may still be on their way: nobody else may read them
            raise
        finally:
            await pool.release(connection)

    @staticmethod
    async def _answer(connection: AbstractConnection) -> Any:
        try:
            return await connection.read_response(timeout=math.inf)  # the caller has set the bound
        except ResponseError as error:
            return error


def _packed(how: str, script: str, keys: Sequence[str], args: Sequence[Arg]) -> bytes:
    return _command(how, script, len(keys), *keys, *args)


def _command(*command: Arg) -> bytes:
    words: Any = command
    return bytes(pack_command(words))


def unavailable(error: BaseException) -> LogUnavailable:
    """The error of the package for an error that passes."""
    unavailable = LogUnavailable(f"Redis cannot serve now ({type(error).__name__}: {error})")
    unavailable.__cause__ = error
    return unavailable


def translated(error: RedisError | OSError) -> Exception:
    """An error of the driver as the error to raise: ours if it passes, else itself."""
    return unavailable(error) if passes(error) else error
