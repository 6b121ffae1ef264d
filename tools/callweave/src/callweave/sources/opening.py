"""Opens what the settings name: the live log, the archive, and the book in which readings are kept."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from redis.asyncio import Redis

from call_archive.head import RedisHead
from call_events.errors import BadSetting, CallEventsError
from call_events.ids import CallId
from callweave.log_access import is_configured, open_redis
from callweave.readings import ReadingBook, RedisReadings, reading
from callweave.settings import Settings
from callweave.sources.archived import ArchivedCalls, open_archive
from callweave.sources.live import LiveCalls
from callweave.sources.ports import CallSource
from callweave.sources.record import Record, Where


class UnknownCall(CallEventsError):
    """The call is not there."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Everything a command may ask."""

    settings: Settings
    live: LiveCalls | None
    archive: ArchivedCalls | None
    book: ReadingBook
    #: Only calls from here, if it is given.
    only: Where | None = None
    redis: Redis | None = None

    @property
    def sources(self) -> Sequence[CallSource]:
        """Where to look for a call, in this order."""
        there: list[CallSource] = []
        if self.live is not None and self.only is not Where.ARCHIVE:
            there.append(self.live)
        if self.archive is not None and self.only is not Where.LIVE:
            there.append(self.archive)
        return there

    async def load(self, call: CallId, *, only: Where | None = None) -> Record:
        """The call from the first place that has it.

        Raises:
            UnknownCall: none has.
        """
        for source in self.sources:
            if only in (None, source.where) and (record := await source.load(call)) is not None:
                return record
        places = " or ".join(_NAMES[source.where] for source in self.sources if only in (None, source.where))
        raise UnknownCall(f"{places or 'no place'} has no call {call}; `callweave calls` lists those in the log")

    async def readable(self, call: CallId, *, only: Where | None = None) -> Record:
        """As :meth:`load`, of a call that has events.

        Raises:
            UnknownCall: there are none.
        """
        record = await self.load(call, only=only)
        if not record.entries:
            raise UnknownCall(
                f"call {call} has no events to show; `callweave verify {call}` says what is wrong with it"
            )
        return record

    async def note(self, command: str, calls: Sequence[str], why: str | None) -> None:
        """Record that somebody is about to be shown these calls.

        Raises:
            BadSetting: they must say why.
            NotRecorded: it could not be kept: show nothing.
        """
        await self.book.note(reading(self.settings, command, calls, why=why, now=datetime.now(UTC)))


_NAMES = {Where.LIVE: "the log", Where.ARCHIVE: "the archive", Where.FILE: "the file"}


def _beside_the_log(settings: Settings) -> str | None:
    """The archive of the log that the demo left here."""
    archive = settings.log_dir / "archive"
    return str(archive) if settings.redis_url is None and archive.is_dir() else None


@asynccontextmanager
async def open_calls(
    settings: Settings, *, archive: str | None = None, only: Where | None = None
) -> AsyncIterator[Calls]:
    """What the settings name, for the length of one command.

    The log is opened also for a reader of the archive, for that is where readings are kept; only where none is
    configured are they kept in the archive itself.

    Raises:
        BadSetting: neither is configured, or one that cannot be used.
        CallEventsError: one of them cannot be reached.
    """
    place = archive or settings.archive or _beside_the_log(settings)
    if only is Where.ARCHIVE and not place:
        raise BadSetting("no archive is named: --archive, or CALLWEAVE_ARCHIVE, is its directory or s3:// URL")
    async with AsyncExitStack() as stack:
        archived = open_archive(place, settings) if place else None
        redis = None
        if archived is None or only is Where.LIVE or is_configured(settings):
            redis = await stack.enter_async_context(open_redis(settings))
        if archived is not None and redis is not None:
            archived.keeper = RedisHead(redis)
        live = LiveCalls(redis) if redis is not None else None
        book: ReadingBook
        if redis is not None:
            book = RedisReadings(redis)
        else:
            assert archived is not None
            book = archived.readings
        yield Calls(settings, live, archived, book, only, redis)
