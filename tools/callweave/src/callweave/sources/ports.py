"""Where calls are, named by role. ``live`` and ``archived`` answer."""

from collections.abc import AsyncIterator
from typing import Protocol

from call_events.ids import CallId
from callweave.sources.record import Record, Where


class CallSource(Protocol):
    """A place that has calls."""

    @property
    def where(self) -> Where:
        """Which kind."""
        ...

    async def load(self, call: CallId) -> Record | None:
        """The call byte for byte, as much of it as can be read; ``None`` if it is not here.

        Raises:
            CallEventsError: the place cannot be asked.
        """
        ...

    def ids(self) -> AsyncIterator[tuple[CallId, float]]:
        """Every call that is here and about when it was (seconds), newest first; few at a time in memory."""
        ...
