"""Driver A: phones of the telephone exchange stand-in, the far ends of LiveKit participants of kind SIP."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from standins.exchange.server import Exchange
from standins.phones.rack import Rack
from standins.phones.telephone import Telephone

#: A phone of the exchange is a telephone like any other; only its network differs.
ExchangePhone = Telephone


class ExchangePhones:
    """Phones of one exchange. Leaving the context hangs up and saves the recordings into `directory`."""

    def __init__(self, exchange: Exchange, directory: Path, *, username: str, password: str) -> None:
        self._exchange = exchange
        self._username = username
        self._password = password
        self._rack = Rack(directory)

    async def phone(self, number: str, name: str | None = None) -> Telephone:
        """A phone with this number, plugged in and reachable; see `Phones.phone`."""
        phone = Telephone(self._exchange, number, username=self._username, password=self._password)
        self._exchange.plug(phone)
        self._rack.add(phone, name)
        return phone

    async def hang_up(self) -> None:
        """See `Phones.hang_up`."""
        await self._rack.hang_up()

    async def __aenter__(self) -> ExchangePhones:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for phone in self._rack:
            self._exchange.unplug(phone)
        await self._rack.put_away()
