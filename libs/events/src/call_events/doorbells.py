"""Doorbells as they were read, on their way to a worker's bench. One that names no call can never be worked on."""

from collections.abc import Iterable, Mapping

import structlog
from redis.asyncio import Redis

from call_events.errors import BadCallId
from call_events.ids import CallId, call_id
from call_events.workbench import Workbench

log = structlog.get_logger()


async def offer(
    redis: Redis, bench: Workbench, group: str, bell: str, rung: Iterable[tuple[bytes, Mapping[bytes, bytes]]]
) -> None:
    """Offer these to the bench. What was written past the scripts and names no call is acknowledged, and told: it
    would come again and again, and nothing behind it would be served.

    Raises:
        redis.exceptions.RedisError: a bad one could not be acknowledged; the others were offered.
    """
    bad = []
    for token, fields in rung:
        if not fields:  # an entry of our own pending list that was trimmed has none
            continue
        call = call_of(fields)
        if call is None:
            bad.append(token)
        else:
            bench.offer(token.decode(), call)
    for token in bad:
        await redis.xack(bell, group, token)
        log.error(
            "consumer.bad_doorbell",
            group=group,
            bell=bell,
            token=token.decode(),
            mend="something other than the log's scripts writes there; it is passed over",
        )


def call_of(fields: Mapping[bytes, bytes]) -> CallId | None:
    """The call that a doorbell names; absent if it names none."""
    return named(fields.get(b"c", b""))


def named(raw: bytes) -> CallId | None:
    """A call as a set of calls names it; absent if no call can be named so."""
    try:
        return call_id(raw.decode())
    except (UnicodeDecodeError, BadCallId):
        return None
