"""Which master of a Cluster has which slot, and a client for each."""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from call_events.addresses import Host

#: The table is asked for no sooner than this after the last time, however many commands fail meanwhile.
_TABLE_S = 0.05
#: Errors after which another master may have the slot.
DOUBTFUL = (RedisConnectionError, RedisTimeoutError, ClusterDownError, OSError)


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


async def run(client: Redis, *args: Any, **options: Any) -> Any:
    """One command; redis-py leaves this one method without types."""
    execute: Any = client.execute_command
    return await execute(*args, **options)


def _host(server: Any, asked: Host) -> Host:
    """A node's address in the table; one that does not know its own name is where it was asked."""
    name, port = server[0], int(server[1])
    host = name.decode() if isinstance(name, bytes) else name
    return (host or asked[0]), port
