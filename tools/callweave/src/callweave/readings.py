"""Reading a call is itself recorded: who, when, why, with which command (ADR 16).

What a command shows of a call is recorded before it is shown; if it cannot be recorded, nothing is shown. The record
is kept where the calls are: in the log's Redis as stream ``cc:reads``, which nothing trims, or, where only an archive
is at hand, in its store as objects that are only ever created.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from call_events.errors import BadSetting, CallEventsError
from call_events.runner import translated
from callweave.settings import Settings
from callweave.who import person

#: One stream for the whole log. Not under a shard's tag: it is about readers, and no script touches it.
KEY = "cc:reads"
NOT_STATED = "not stated"
_LONGEST = 500
_PAGE = 500


class NotRecorded(CallEventsError):
    """The reading could not be recorded, so nothing was shown."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Somebody was shown something of these calls."""

    at: datetime
    who: str
    why: str
    command: str
    #: Empty for a search that has found none.
    calls: tuple[str, ...]


class ReadingBook(Protocol):
    """Where readings are kept."""

    async def note(self, reading: Reading) -> None:
        """Keep it; it is there for good when this returns.

        Raises:
            NotRecorded: it is not; the text tells the mend.
        """
        ...

    def readings(self) -> AsyncIterator[Reading]:
        """All of them, newest first; few at a time in memory."""
        ...


def reading(settings: Settings, command: str, calls: Sequence[str], *, why: str | None, now: datetime) -> Reading:
    """What is recorded of this command.

    Raises:
        BadSetting: a reason is required (``CALLWEAVE_WHY_REQUIRED``) and none was given.
    """
    reason = (why or settings.why or "").strip()
    if not reason and settings.why_required:
        raise BadSetting("say why you read this: --why TEXT, or CALLWEAVE_WHY; nothing was shown")
    return Reading(now, person(settings.user)[:_LONGEST], reason[:_LONGEST] or NOT_STATED, command, tuple(calls))


class RedisReadings:
    """Readings as entries of a stream; their time is the server's."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def note(self, reading: Reading) -> None:
        """See :class:`ReadingBook`."""
        fields: dict[Any, Any] = {
            "who": reading.who.encode(errors="replace"),
            "why": reading.why.encode(errors="replace"),
            "how": reading.command,
            "calls": orjson.dumps(reading.calls),
        }
        try:
            await self._redis.xadd(KEY, fields)
        except (RedisError, OSError) as error:
            raise NotRecorded(
                f"this reading cannot be recorded, so nothing is shown ({type(error).__name__}); let the user of "
                f"REDIS_URL add to the stream {KEY}, or see whether Redis takes writes"
            ) from error

    async def readings(self) -> AsyncIterator[Reading]:
        """See :class:`ReadingBook`.

        Raises:
            LogUnavailable: Redis cannot be asked.
        """
        before = "+"
        while page := await _asked(self._redis.xrevrange(KEY, before, "-", count=_PAGE)):
            for at, fields in page:
                yield _reading(at, fields)
            before = f"({page[-1][0].decode()}"


def _reading(at: bytes, fields: dict[bytes, bytes]) -> Reading:
    who, why, how = (fields.get(name, b"?").decode(errors="replace") for name in (b"who", b"why", b"how"))
    try:
        calls = tuple(map(str, orjson.loads(fields.get(b"calls", b"[]"))))
    except (orjson.JSONDecodeError, TypeError):
        calls = ("?",)
    return Reading(datetime.fromtimestamp(int(at.partition(b"-")[0]) / 1000, UTC), who, why, how, calls)


async def _asked(answer: Awaitable[Any]) -> Any:
    try:
        return await answer
    except (RedisError, OSError) as error:
        raise translated(error) from error
