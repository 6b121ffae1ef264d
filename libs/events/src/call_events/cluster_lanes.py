"""The lanes to every master of a Cluster, and the way of a command to the right ones while slots move.

See ``call_events.cluster`` for what a Cluster answers and what that means. Order is the caller's business here as
well (``call_events.runner``): who needs B after A awaits A first, so a command that is sent on overtakes nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError

from call_events import keys
from call_events.cluster import REDIRECTS
from call_events.errors import ServerChanged
from call_events.lanes import Item, Lanes, answer_on, as_text, command, fail
from call_events.masters import DOUBTFUL, Masters
from call_events.outages import unavailable

log = structlog.get_logger()

_ASKING = command("ASKING")
#: A command that names no key goes where the first tag lies.
_ANY_KEY = keys.bell(keys.TAGS[0])
#: How long the table of slots may be asked for, all nodes together.
_TABLE_DEADLINE_S = 5.0


class ClusterLanes:
    """Queues a command for the master of its first key."""

    def __init__(self, masters: Masters, *, max_batch: int, lanes: int, on_change: Callable[[], None]) -> None:
        """``on_change`` is called before anybody gets the answer of another server than the one that had the slot."""
        self._masters = masters
        self._sizes = (max_batch, lanes)
        self._on_change = on_change
        self._lanes: dict[Redis, _MasterLanes] = {}
        #: Per slot, the run-id of the server it was last asked of.
        self._met: dict[int, str] = {}
        self._waiting: list[Item] = []
        self._looking: asyncio.Task[None] | None = None

    def server(self, key: str) -> str | None:
        """Run-id of the server that was last asked about this key's slot; absent until then."""
        return self._met.get(slot_of_key(key))

    def queue_up(self, item: Item) -> None:
        """Send it with the next batch to its master; its future gets the answer."""
        master = self._masters.known(_slot(item))
        if master is not None:
            self._to(master).queue_up(item)
            return
        self._waiting.append(item)
        if self._looking is None:
            self._looking = asyncio.create_task(  # noqa: TID251 - held here; ends with those who wait
                self._look(), name="cluster-lanes"
            )

    def failed(self, master: Redis, item: Item, error: BaseException) -> None:
        """A command was not done: it goes on to another node, or whoever waits for it is told."""
        if isinstance(error, AskError):
            if isinstance(error, MovedError):  # in redis-py a kind of the other
                self._masters.moved(error)
            self._go_on(item, error)
            return
        if isinstance(error, ServerChanged):
            self._find_out(item, error)
            return
        if isinstance(error, DOUBTFUL):
            self._masters.doubt(master)
        fail(item, error)

    def _go_on(self, item: Item, error: AskError) -> None:
        if item.hops >= REDIRECTS:
            item.future.set_exception(unavailable(error))
        elif isinstance(error, MovedError):
            self.queue_up(item._replace(hops=item.hops + 1))
        else:
            self._to(self._masters.at(error)).queue_up(_asking(item._replace(hops=item.hops + 1)))

    def _find_out(self, item: Item, error: ServerChanged) -> None:
        """It is bound to another server than the one the table names, which may be wrong: whose is the slot now?"""
        key = item.keys[0]
        probe = Item(None, item.keys, (), command("EXISTS", key), None, asyncio.get_running_loop().create_future())

        def found(answered: "asyncio.Future[Any]") -> None:
            if item.future.done():
                answered.cancelled() or answered.exception()
            elif answered.cancelled():
                item.future.cancel()
            elif (why := answered.exception()) is not None:
                fail(item, why)
            elif self.server(key) == item.server and item.hops < REDIRECTS:
                self.queue_up(item._replace(hops=item.hops + 1))
            else:
                fail(item, error)

        probe.future.add_done_callback(found)
        self.queue_up(probe)

    def answered(self, server: str, going: Sequence[Item], answers: Sequence[Any]) -> None:
        """This server has done these: have their slots been another's?"""
        for item, answer in zip(going, answers, strict=True):
            slot = _slot(item)
            known = self._met.get(slot)
            # what is asked for by ASKING is done for the other, whose the slot still is
            if known == server or item.asking or isinstance(answer, BaseException):
                continue
            self._met[slot] = server
            if known is not None:
                log.warning("redis.server_changed", slot=slot, then=known[:8], now=server[:8])
                self._on_change()

    def _to(self, master: Redis) -> "_MasterLanes":
        lanes = self._lanes.get(master)
        if lanes is None:
            known = self._masters.clients()
            self._lanes = {one: theirs for one, theirs in self._lanes.items() if one in known}  # some nodes may be gone
            lanes = self._lanes[master] = _MasterLanes(self, master, *self._sizes)
        return lanes

    async def _look(self) -> None:
        """Find the masters of those who wait."""
        try:
            while self._waiting:
                items, self._waiting = self._waiting, []
                await self._send_on(items)
        finally:
            self._looking = None
            for item in self._waiting:
                item.future.cancel()

    async def _send_on(self, items: list[Item]) -> None:
        why: BaseException | None = None
        for item in items:
            if item.future.done():
                continue
            if why is not None:
                fail(item, why)
                continue
            try:
                async with asyncio.timeout(_TABLE_DEADLINE_S):
                    master = await self._masters.of(_slot(item))
            except ClusterDownError as error:  # this slot has no master; others may
                fail(item, error)
            except asyncio.CancelledError:
                for one in items:
                    one.future.cancel()
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers are told: nobody else would wake them
                why = error
                fail(item, error)
            else:
                self._to(master).queue_up(item)


class _MasterLanes(Lanes):
    """The lanes to one master."""

    def __init__(self, cluster: ClusterLanes, master: Redis, max_batch: int, lanes: int) -> None:
        super().__init__(master, max_batch=max_batch, lanes=lanes, on_change=lambda: None)  # told by slot, below
        self._cluster = cluster

    def _failed(self, item: Item, error: BaseException) -> None:
        self._cluster.failed(self._redis, item, error)

    def _answered(self, server: str, going: Sequence[Item], answers: Sequence[Any]) -> None:
        self._cluster.answered(server, going, answers)

    async def _read(self, connection: Any, going: Sequence[Item]) -> list[Any]:
        answers = []
        for item in going:
            if item.asking:
                await answer_on(connection)
            answers.append(await answer_on(connection))
        return answers


def slot_of_key(key: str) -> int:
    """Where a key lies: its tag decides, if it has one."""
    _, found, rest = key.partition("{")
    tag, closed, _ = rest.partition("}")
    return _slot_of_tag(tag if found and closed and tag else key)


@lru_cache(maxsize=1024)
def _slot_of_tag(tag: str) -> int:
    return int(key_slot(tag.encode()))


def _slot(item: Item) -> int:
    return slot_of_key(item.keys[0] if item.keys else _ANY_KEY)


def _asking(item: Item) -> Item:
    """To be done by a node that does not have the slot yet, and may not know the script: in one go, so by text.

    What it was bound to is the node that sends it there, so nothing is lost by going.
    """
    if item.asking:
        return item
    words = item.packed if item.script is None else as_text(item)
    return item._replace(packed=_ASKING + words, asking=True, server=None)
