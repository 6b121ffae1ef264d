"""A master under Sentinels: every new connection asks them where it is."""

import asyncio
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from call_events.addresses import Host, RedisAddress

#: What was found out is believed for so long: when a master dies, all connections ask at once.
_BELIEVED_S = 0.05
#: What is none of a Sentinel's business.
_FOR_SERVERS = ("redis_connect_func", "max_connections")


class Sentinels(Sentinel):
    """Asked by one at a time.

    redis-py (8.1) puts the Sentinel that answered to the head of its list while it walks through it. Two walks at once
    can so put one of them there twice and lose another, for ever, with its connections open.
    """

    def __init__(self, address: RedisAddress, told: Mapping[str, Any]) -> None:
        super().__init__(address.hosts, sentinel_kwargs=told)  # type: ignore[no-untyped-call]
        self._walking = asyncio.Lock()
        self._found: Host | MasterNotFoundError | None = None
        self._found_at = -_BELIEVED_S

    async def discover_master(self, service_name: str) -> Host:
        """The master's address.

        Raises:
            MasterNotFoundError: none of them names one.
        """
        async with self._walking:
            loop = asyncio.get_running_loop()
            if self._found is None or loop.time() - self._found_at >= _BELIEVED_S:
                try:
                    self._found = await super().discover_master(service_name)
                except MasterNotFoundError as error:
                    self._found = error
                self._found_at = loop.time()
            found = self._found
        assert found is not None
        if isinstance(found, MasterNotFoundError):
            raise MasterNotFoundError(str(found))
        return found

    async def aclose(self) -> None:
        """Close the connections to them."""
        for sentinel in self.sentinels:
            await sentinel.aclose()


class SentinelClient(Redis):
    """Every new connection asks the Sentinels where the master is, and one that finds no master there ends."""

    def __init__(self, address: RedisAddress, options: Mapping[str, Any]) -> None:
        """``options`` are redis-py's for every connection."""
        ours = {**options, **address.options()}
        secure = ours.pop("connection_class", None) is SSLConnection
        tls = {name: value for name, value in ours.items() if name.startswith("ssl")} | {"ssl": secure}
        asked = {name: value for name, value in options.items() if name not in _FOR_SERVERS}
        self._sentinels = Sentinels(address, {**asked, **tls, **dict(address.sentinel)})
        pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
            address.master, self._sentinels, ssl=secure, **ours
        )
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the connections to the master and to the Sentinels."""
        await super().aclose(close_connection_pool)
        await self._sentinels.aclose()
