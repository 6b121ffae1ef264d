"""A Redis Cluster behind the commands of one client.

Every key of the log carries one of sixteen hash tags, and no command of the log touches two tags, except pipelines,
which are divided, and the doorbell reader, which asks for each tag by itself. So all that a Cluster takes is a table
of slots and one ordinary client for each master; what those can (TLS, passwords, lanes) is the same as on one server.

**When slots move.** ``MOVED`` names the new master: the table is mended, asked for anew, and the command sent again.
``ASK`` is about this one command: it is sent there behind ``ASKING``, on the same connection. ``TRYAGAIN`` (a script's
keys lie on both sides while their slot moves) and ``CLUSTERDOWN`` are outages that pass, like a lost connection:
whoever asked asks again. **When a master dies** its replica takes its slots after ``cluster-node-timeout``; until then
commands for them fail, and every failure lets the next command ask for the table anew.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisError,
    TryAgainError,
)

from call_events.masters import DOUBTFUL, Masters, run

#: So often one command is sent on before it is called an outage: two are usual while several slots move.
REDIRECTS = 5
#: Commands that name no key: any master answers them, or all are told.
_ANYWHERE = ("TIME", "INFO", "PING", "CONFIG GET")
_EVERYWHERE = ("FLUSHDB", "FLUSHALL", "DBSIZE", "SCRIPT FLUSH", "CONFIG SET")
_REFUSED = ("WAIT", "WAITAOF", "SCAN", "KEYS", "MULTI", "WATCH")


class ClusterClient(Redis):
    """Every command goes to the master that has its key; those without a key to any or all of them, see above."""

    def __init__(self, masters: Masters, some: Redis) -> None:
        """``some`` lends its settings (how answers are read, its address for messages) and is never connected."""
        super().__init__(connection_pool=some.connection_pool)
        self.response_callbacks = some.response_callbacks
        self.masters = masters

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """See ``Redis.execute_command``."""
        name = str(args[0]).upper()
        if name in _EVERYWHERE:
            answers = [await run(one, *args, **options) for one in await self.masters.all()]
            return sum(answers) if name == "DBSIZE" else answers[0]
        if name in _ANYWHERE or name.startswith("CLUSTER "):
            return await self._anywhere(args, options)
        slot = slot_of(args)
        for _ in range(REDIRECTS):
            client = await self.masters.of(slot)
            try:
                return await run(client, *args, **options)
            except MovedError as error:
                self.masters.moved(error)
            except AskError as error:
                async with self.masters.at(error).pipeline(transaction=False) as pipe:
                    pipe.execute_command("ASKING")
                    pipe.execute_command(*args, **options)
                    return (await pipe.execute())[1]
            except DOUBTFUL:
                self.masters.doubt(client)
                raise
        raise TryAgainError(f"TRYAGAIN slot {slot} moves faster than a command can follow")

    async def _anywhere(self, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Whoever answers."""
        masters = await self.masters.all()
        random.shuffle(masters)
        for master in masters[:-1]:
            try:
                return await run(master, *args, **options)
            except DOUBTFUL:
                self.masters.doubt(master)
        return await run(masters[-1], *args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "ClusterPipeline":  # noqa: ARG002
        """Commands of any tags, in no common transaction."""
        if transaction:
            raise RedisError("a Cluster has no transaction over several keys here; use a script, or transaction=False")
        return ClusterPipeline(self)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: ARG002
        """Close the clients of all masters."""
        await self.masters.aclose()


class ClusterPipeline(Pipeline):
    """Sends each master its part; answers come back in the order of the commands."""

    def __init__(self, client: ClusterClient) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction=False, shard_hint=None)
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """See ``Pipeline.execute``. An error of one master is the answer to its commands."""
        commands, self.command_stack = self.command_stack, []
        answers: list[Any] = [None] * len(commands)
        parts: dict[Redis, list[int]] = {}
        for number, (args, _) in enumerate(commands):
            if args[0] in _ANYWHERE:
                answers[number] = await self._again(*commands[number])
                continue
            try:
                parts.setdefault(await self._client.masters.of(slot_of(args)), []).append(number)
            except ClusterDownError as error:  # this slot has no master; the others may
                answers[number] = error
        async with asyncio.TaskGroup() as tasks:
            for master, numbers in parts.items():
                tasks.create_task(self._send(master, numbers, commands, answers))
        for number, answer in enumerate(answers):
            if isinstance(answer, MovedError | AskError):
                args, options = commands[number]
                answers[number] = await self._again(args, options)
        if raise_on_error:
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer
        return answers

    async def _send(self, master: Redis, numbers: list[int], commands: Sequence[Any], answers: list[Any]) -> None:
        try:
            async with master.pipeline(transaction=False) as pipe:
                for number in numbers:
                    args, options = commands[number]
                    pipe.execute_command(*args, **options)
                found = await pipe.execute(raise_on_error=False)
        except DOUBTFUL as error:
            self._client.masters.doubt(master)
            found = [error] * len(numbers)
        for number, answer in zip(numbers, found, strict=True):
            answers[number] = answer

    async def _again(self, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        try:
            return await self._client.execute_command(*args, **options)
        except (RedisError, OSError) as error:
            return error


def slot_of(args: Sequence[Any]) -> int:
    """The slot of a command's first key; all its keys are of one slot, or the server refuses it."""
    name = str(args[0]).upper()
    if name in _REFUSED:
        raise RedisError(f"{name} has no one place in a Cluster; ask each master for itself")
    match name:
        case "XREAD" | "XREADGROUP":
            at = next(number for number, word in enumerate(args) if word in {b"STREAMS", "STREAMS"})
            key = args[at + 1]
        case "EVAL" | "EVALSHA":
            key = args[3]
        case _:
            key = args[1]
    return key_slot(key if isinstance(key, bytes) else str(key).encode())
