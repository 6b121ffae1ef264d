"""Driver B: real SIP phones (pjsua2) that call, and are called, through a real livekit-sip."""

from __future__ import annotations

from pathlib import Path

from standins.media.assembly import Assembly
from standins.phones.rack import Rack
from standins.phones.sip_network import SipNetwork
from standins.phones.telephone import Telephone


class _SipTelephone(Telephone):
    """A telephone whose REFERs pjsua2 answers by itself."""

    def __init__(self, network: SipNetwork, number: str) -> None:
        super().__init__(network, number)
        self._sip = network

    def refuse_transfer(self, status: int = 603) -> None:
        """See `Phone.refuse_transfer`."""
        super().refuse_transfer(status)
        self._sip.refuse_transfers(self.number, status)


class SipPhones(Assembly):
    """Phones on SIP. Leaving the context hangs up and saves the recordings into `directory`.

    Args:
        sip_address: host:port where livekit-sip takes INVITEs.
    """

    def __init__(self, sip_address: str, directory: Path, *, username: str, password: str) -> None:
        super().__init__()
        self._rack = Rack(directory)
        self._network = SipNetwork(sip_address, directory / "pjsua.log", username=username, password=password)

    @property
    def address(self) -> str:
        """host:port of the phones: the address for the outbound trunk."""
        return self._network.address

    async def phone(self, number: str, name: str | None = None) -> Telephone:
        """A phone with this number, plugged in and reachable; see `Phones.phone`."""
        phone = _SipTelephone(self._network, number)
        await self._network.plug(phone)
        self._rack.add(phone, name)
        return phone

    async def hang_up(self) -> None:
        """See `Phones.hang_up`."""
        await self._rack.hang_up()

    async def _start(self) -> None:
        await self._stack.enter_async_context(self._network)
        self._stack.push_async_callback(self._rack.put_away)
