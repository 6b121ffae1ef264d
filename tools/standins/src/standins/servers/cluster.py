"""A Redis Cluster on loopback: masters with a third of the slots each and, if wanted, a replica for each."""

import random
import socket
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from call_events.embedded import EmbeddedRedis
from call_events.errors import LogUnavailable
from standins.servers.asking import answers, ask, until

SLOTS = 16384
_ATTEMPTS = 5


class LoopbackCluster:
    """``async with LoopbackCluster() as cluster`` gives ``.url`` for REDIS_URL, ``.masters`` and ``.replicas``."""

    def __init__(
        self,
        *,
        masters: int = 3,
        replicas: int = 0,
        spares: int = 0,
        program: Path | None = None,
        node_timeout_ms: int = 1000,
        options: Sequence[str] = (),
    ) -> None:
        """``replicas`` counts those of every master; a spare is a master without slots, which no URL names.

        ``options`` go to every node's command line.
        """
        self._numbers = (masters, replicas, spares)
        self._program = program
        self._options = (
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms)),
            *("--cluster-allow-replica-migration", "no"),  # a master that gave its last slot away stays one
            *("--repl-diskless-sync-delay", "0", *options),
        )
        self._stack = AsyncExitStack()
        self.masters: list[EmbeddedRedis] = []
        #: The replicas of the first master, then of the second …
        self.replicas: list[EmbeddedRedis] = []
        self.spares: list[EmbeddedRedis] = []

    @property
    def url(self) -> str:
        """For REDIS_URL: every master by name, as an operator would write it."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{one.port}" for one in self.masters)

    async def start(self) -> None:
        """Start every node, share the slots out, and wait until all of them know it.

        Raises:
            LogUnavailable: a node did not start, or the Cluster did not form in time.
        """
        masters, replicas, spares = self._numbers
        scratch = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="callweave-cluster-"))
        nodes = [await self._node(Path(scratch, str(number))) for number in range(masters * (1 + replicas) + spares)]
        self.masters, self.replicas = nodes[:masters], nodes[masters : masters * (1 + replicas)]
        self.spares = nodes[masters * (1 + replicas) :]
        for number, node in enumerate(self.masters):
            first, last = SLOTS * number // masters, SLOTS * (number + 1) // masters - 1
            await ask(node.port, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            await ask(node.port, "CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in nodes[1:]:
            await ask(node.port, "CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
        await until(self._all_know, "the Cluster did not form")
        for number, node in enumerate(self.replicas):
            await ask(node.port, "CLUSTER", "REPLICATE", await self.id_of(self.masters[number // replicas]))
        await until(self._all_is_well, "the replicas of the Cluster did not catch up")

    async def stop(self) -> None:
        """Stop every node. Idempotent."""
        await self._stack.aclose()

    @property
    def nodes(self) -> list[EmbeddedRedis]:
        """All of them."""
        return [*self.masters, *self.replicas, *self.spares]

    async def id_of(self, node: EmbeddedRedis) -> str:
        """The node's name in the Cluster."""
        return str((await ask(node.port, "CLUSTER", "MYID")).decode())

    async def owner(self, slot: int) -> EmbeddedRedis:
        """Which master has the slot, by what most of them say."""
        told: list[int] = []
        for node in self.nodes:
            for first, last, master, *_ in await answers(node.port, "CLUSTER", "SLOTS") or ():
                if first <= slot <= last:
                    told.append(int(master[1]))
        port = max(told, key=told.count)
        return next(node for node in self.nodes if node.port == port)

    async def move_slot(self, slot: int, to: EmbeddedRedis, *, keys_at_once: int = 10) -> None:
        """Move it key by key while everybody goes on, as ``redis-cli --cluster reshard`` does.

        Raises:
            redis.exceptions.RedisError: a node refuses.
        """
        await self.begin_to_move(slot, to)
        await self.move_keys(slot, to, keys_at_once=keys_at_once)
        await self.end_move(slot, to)

    async def begin_to_move(self, slot: int, to: EmbeddedRedis) -> None:
        """From now on the old master sends whoever asks for a key that it does not have to the new one."""
        source = await self.owner(slot)
        await ask(to.port, "CLUSTER", "SETSLOT", slot, "IMPORTING", await self.id_of(source))
        await ask(source.port, "CLUSTER", "SETSLOT", slot, "MIGRATING", await self.id_of(to))

    async def move_keys(self, slot: int, to: EmbeddedRedis, *, keys_at_once: int = 10) -> None:
        """Until the old master has none."""
        source = await self.owner(slot)
        while found := await ask(source.port, "CLUSTER", "GETKEYSINSLOT", slot, keys_at_once):
            names = [name.decode() for name in found]
            await ask(source.port, "MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *names)

    async def end_move(self, slot: int, to: EmbeddedRedis) -> None:
        """The slot is the new master's, and all masters are told."""
        source, target = await self.owner(slot), await self.id_of(to)
        for node in (to, source, *(one for one in (*self.masters, *self.spares) if one not in {to, source})):
            await ask(node.port, "CLUSTER", "SETSLOT", slot, "NODE", target)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _node(self, directory: Path) -> EmbeddedRedis:
        for attempt in range(_ATTEMPTS):
            node = EmbeddedRedis(directory, port=_free_pair(), options=self._options, program=self._program)
            try:
                return await self._stack.enter_async_context(node)
            except LogUnavailable:
                if attempt == _ATTEMPTS - 1:
                    raise  # else somebody took the port between our look and the server's bind
        raise AssertionError("unreachable")

    async def _all_know(self) -> bool:
        told = [(await ask(node.port, "CLUSTER", "INFO")).decode() for node in self.nodes]
        return all(f"cluster_known_nodes:{len(told)}\r" in one for one in told) and all(
            "cluster_state:ok" in one for one in told[: len(self.masters)]
        )

    async def _all_is_well(self) -> bool:
        for node in self.nodes:
            shards = [shard for shard in await ask(node.port, "CLUSTER", "SLOTS") if len(shard) == 3 + self._numbers[1]]
            if len(shards) < len(self.masters) or b"cluster_state:ok" not in await ask(node.port, "CLUSTER", "INFO"):
                return False
        links = [await ask(node.port, "INFO", "replication") for node in self.replicas]
        return all(b"master_link_status:up" in link for link in links)


def _free_pair() -> int:
    """A port whose bus port, 10,000 higher, is free as well; below what the system gives to others."""
    while True:
        port = random.randint(12_000, 22_000)
        with socket.socket() as data, socket.socket() as bus:
            try:
                data.bind(("127.0.0.1", port))
                bus.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        return port
