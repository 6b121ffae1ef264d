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
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
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

from call_events.addresses import Host

#: So often one command is sent on before it is called an outage: two are usual while several slots move.
REDIRECTS = 5
#: The table is asked for no sooner than this after the last time, however many commands fail meanwhile.
_TABLE_S = 0.05
#: Errors after which another master may have the slot.
DOUBTFUL = (RedisConnectionError, RedisTimeoutError, ClusterDownError, OSError)
#: Commands that name no key: any master answers them, or all are told.
_ANYWHERE = ("TIME", "INFO", "PING", "CONFIG GET")
_EVERYWHERE = ("FLUSHDB", "FLUSHALL", "DBSIZE", "SCRIPT FLUSH", "CONFIG SET")
_REFUSED = ("WAIT", "WAITAOF", "SCAN", "KEYS", "MULTI", "WATCH")


class NoCluster(RedisError):
    """The server that was asked is no node of a Cluster."""


class Masters:
    """Which master has which slot, and a client for each."""

    def __init__(self, seeds: Sequence[Host], make: Callable[[Host], Redis]) -> None:
        """``make`` gives a client for a node; nothing is asked before the first command."""
        self._seeds = seeds
        self._make = make
        self._clients: dict[Host, Redis] = {}
        self._owners: list[Host | None] = []
        self._in_doubt = True
        self._first: Host | None = None
        self._last: Host | None = None
        self._asked_at = -1.0
        self._version = 0
        self._lock = asyncio.Lock()

    async def of(self, slot: int) -> Redis:
        """The client of the master that has the slot, as far as is known.

        Raises:
            RedisConnectionError: no node answers.
            ClusterDownError: nobody has the slot.
        """
        await self._sure()
        owner = self._owners[slot]
        if owner is None:
            self._in_doubt = True
            raise ClusterDownError(f"CLUSTERDOWN no master of the Cluster has slot {slot}")
        return self._client(owner)

    def known(self, slot: int) -> Redis | None:
        """Like :meth:`of`, without asking anybody; absent while that is in doubt."""
        owner = None if self._in_doubt else self._owners[slot]
        return None if owner is None else self._client(owner)

    async def all(self) -> list[Redis]:
        """A client for every master, in no order."""
        await self._sure()
        return [self._client(owner) for owner in {owner for owner in self._owners if owner is not None}]

    def moved(self, error: MovedError) -> None:
        """The slot has another master, who is the one to ask for the table."""
        host = error.host, error.port
        if self._owners:
            self._owners[error.slot_id] = host
        self._in_doubt, self._first = True, host

    def doubt(self, client: Redis) -> None:
        """This master could not be asked: another one may have its slots by now."""
        self._in_doubt = True
        self._last = next((host for host, one in self._clients.items() if one is client), self._last)

    def clients(self) -> Collection[Redis]:
        """The clients of all nodes that are known now."""
        return self._clients.values()

    def at(self, error: AskError) -> Redis:
        """The client of the node that an ASK names."""
        return self._client((error.host, error.port))

    async def aclose(self) -> None:
        """Close every client. Idempotent."""
        clients, self._clients = self._clients, {}
        self._in_doubt = True
        for client in clients.values():
            await client.aclose()

    def _client(self, host: Host) -> Redis:
        client = self._clients.get(host)
        if client is None:
            client = self._clients[host] = self._make(host)
        return client

    async def _sure(self) -> None:
        """Ask for the table, if there is none or it is in doubt; once for all who wait for it."""
        if not self._in_doubt:
            return
        version = self._version
        async with self._lock:
            if self._version == version and not self._is_fresh():
                await self._ask()

    def _is_fresh(self) -> bool:
        return bool(self._owners) and asyncio.get_running_loop().time() - self._asked_at < _TABLE_S

    async def _ask(self) -> None:
        why: BaseException | None = None
        for host in self._in_turn():
            self._asked_at = asyncio.get_running_loop().time()
            try:
                table = await run(self._client(host), "CLUSTER SLOTS")
            except ResponseError as error:
                if "cluster support disabled" in str(error):
                    raise NoCluster(str(error)) from error
                why = error
            except (RedisError, OSError) as error:
                why = error
            else:
                await self._learn(host, table)
                return
        raise RedisConnectionError(f"no node of the Cluster answers ({type(why).__name__}: {why})") from why

    def _in_turn(self) -> list[Host]:
        """Whom to ask: whoever was named last, known masters, what the URL names; after them the one that failed."""
        masters = list({owner for owner in self._owners if owner is not None})
        random.shuffle(masters)
        hosts = dict.fromkeys([*([self._first] if self._first else []), *masters, *self._seeds])
        return sorted(hosts, key=lambda host: host == self._last)

    async def _learn(self, asked: Host, table: Any) -> None:
        owners: list[Host | None] = [None] * 16384
        nodes: set[Host] = set(self._seeds)
        for first, last, *servers in table:
            hosts = [_host(server, asked) for server in servers]
            nodes.update(hosts)
            owners[first : last + 1] = [hosts[0]] * (last + 1 - first)
        self._owners = owners
        self._version += 1
        self._in_doubt, self._first, self._last = False, None, None
        for host in self._clients.keys() - nodes:
            await self._clients.pop(host).aclose()


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
            return await run(random.choice(await self.masters.all()), *args, **options)  # noqa: S311 - no secret
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
            slot = 0 if args[0] in _ANYWHERE else slot_of(args)
            parts.setdefault(await self._client.masters.of(slot), []).append(number)
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


async def run(client: Redis, *args: Any, **options: Any) -> Any:
    """One command; redis-py leaves this one method without types."""
    execute: Any = client.execute_command
    return await execute(*args, **options)


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


def _host(server: Any, asked: Host) -> Host:
    """A node's address in the table; one that does not know its own name is where it was asked."""
    name, port = server[0], int(server[1])
    host = name.decode() if isinstance(name, bytes) else name
    return (host or asked[0]), port
