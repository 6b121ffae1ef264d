"""Which server is at the other end of a connection.

The log behind one address may be another one from one moment to the next: a replica was promoted, a server was
restarted and has lost its last second. Whoever must know compares run-ids: a server takes a new one whenever its
process starts. It is asked for once, as a connection is made, so that it costs a command nothing.
"""

import itertools
import re
from dataclasses import dataclass
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from call_events.errors import OurMistake

_RUN_ID = re.compile(rb"run_id:([0-9a-f]+)")
_NAME = "callweave_server"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Meeting:
    """A server, as one connection has met it."""

    run_id: str
    #: Grows with every connection this process makes: of two servers behind one address, the one that was met last is
    #: the one to believe. A connection to the other is a leftover.
    number: int


async def introduce(connection: AbstractConnection) -> None:
    """What every connection does first (redis-py's ``redis_connect_func``): the handshake, then who is there.

    Raises:
        redis.exceptions.RedisError: as the handshake does; also if the user may not ask ``INFO``.
    """
    number = next(_numbers)
    await connection.on_connect()
    await connection.send_command("INFO", "server", check_health=False)
    found = _RUN_ID.search(bytes(await connection.read_response()))
    if found is None:
        raise RedisConnectionError("the server does not tell its run-id in INFO")
    setattr(connection, _NAME, Meeting(found[1].decode(), number))


def met_on(connection: Any) -> Meeting:
    """Whom a connection has met.

    Raises:
        OurMistake: it was made by a client that does not come from ``call_events.connection.connect``.
    """
    meeting = getattr(connection, _NAME, None)
    if not isinstance(meeting, Meeting):
        raise OurMistake("a connection that does not know its server: make the client with connection.connect()")
    return meeting
