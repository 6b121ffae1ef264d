"""Driver A: phones of the telephone exchange stand-in, the far ends of LiveKit participants of kind SIP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType

import structlog

from standins.exchange.server import Exchange
from standins.phones.telephone import Telephone, save_recordings

#: A phone of the exchange is a telephone like any other; only its network differs.
ExchangePhone = Telephone

log = structlog.get_logger()


class ExchangePhones:
    """Phones of one exchange. Leaving the context hangs up and saves the recordings into `directory`."""

    def __init__(self, exchange: Exchange, directory: Path, *, username: str, password: str) -> None:
        self._exchange = exchange
        self._directory = directory
        self._username = username
        self._password = password
        self._phones: list[Telephone] = []

    async def phone(self, number: str, name: str | None = None) -> Telephone:
        """A phone with this number, plugged in and reachable; see `Phones.phone`."""
        phone = Telephone(self._exchange, number, username=self._username, password=self._password)
        self._exchange.plug(phone)
        phone.name = name or f"phone-{len(self._phones) + 1}"
        self._phones.append(phone)
        return phone

    async def hang_up(self) -> None:
        """See `Phones.hang_up`."""
        for phone in self._phones:
            await phone.hang_up()

    async def __aenter__(self) -> ExchangePhones:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for phone in self._phones:
            self._exchange.unplug(phone)
        await self.hang_up()
        for path in await asyncio.to_thread(save_recordings, self._phones, self._directory):
            log.debug("phones.recording_saved", path=str(path))
