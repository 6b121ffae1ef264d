"""What the call needs from the world, named by role. Adapters do not inherit from these; mypy compares the shapes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, Protocol

from call_events.catalogue import Speaker
from voice_worker.domain.book import Caller, Demo, Invoice, Order, Product, Ticket, Trial
from voice_worker.domain.call import SessionState
from voice_worker.domain.conversation import Line
from voice_worker.domain.facts import Fact
from voice_worker.domain.signals import Signal

Hear = Callable[[Fact], None]


class IdentityBook(Protocol):
    """Who a caller is."""

    async def identify(self, caller: Caller, customer_number: str, service_pin: str) -> str | None:
        """The id of the customer of that number, if the PIN is theirs; else ``None``, whichever of the two was wrong.

        An agent lets a caller try three times in a call. Trying in many calls is for the book to notice.
        """
        ...


class SalesBook(Protocol):
    """What can be bought, shown and tried. Anybody may ask: who is not known yet may become a customer."""

    async def product(self, name: str) -> Product | None:
        """The product of that name, however it is capitalised."""
        ...

    async def products(self) -> tuple[Product, ...]:
        """Everything that is for sale."""
        ...

    async def book_demo(self, caller: Caller, day: date, email: str) -> Demo:
        """Book a demonstration."""
        ...

    async def start_trial(self, caller: Caller, product: str, email: str) -> Trial | None:
        """Start a trial; ``None`` if there is no such product."""
        ...


class SupportBook(Protocol):
    """Orders and technical issues."""

    async def order(self, caller: Caller, number: str) -> Order | None:
        """The caller's order of that number."""
        ...

    async def open_ticket(self, caller: Caller, subject: str, details: str) -> Ticket:
        """Open a ticket, also for a caller of whom nothing is known: a technician calls them back."""
        ...

    async def ticket(self, caller: Caller, number: str) -> Ticket | None:
        """The caller's ticket of that number."""
        ...


class BillingBook(Protocol):
    """Invoices and payments."""

    async def invoice(self, caller: Caller, number: str) -> Invoice | None:
        """The caller's invoice of that number."""
        ...

    async def invoices(self, caller: Caller) -> tuple[Invoice, ...]:
        """The caller's invoices, newest first."""
        ...

    async def promise_payment(self, caller: Caller, number: str, day: date) -> Invoice | None:
        """Note when an invoice will be paid; ``None`` if the caller has no such invoice to pay."""
        ...


class CustomerBook(IdentityBook, SalesBook, SupportBook, BillingBook, Protocol):
    """Everything the agents look up. ``VOICE_WORKER_BOOK`` names the class that answers: ``package.module:Class``.

    Whatever belongs to a customer is asked for with the caller, and the book alone decides what they may know and do:
    the number of an invoice is no secret, and a model can be talked into reading out anything that it was told.

    - A caller with a ``customer_id`` is that customer. Of what is another's the book answers as if it did not exist.
    - A caller without one is nobody in particular, wherever they call from. Orders, tickets and invoices do not exist
      for them, nothing is changed, and no answer differs by whether a number is somebody's. What anybody may do,
      anybody may do: ask for prices, book a demonstration, start a trial, open a ticket. The agent asks them to
      identify themselves.

    The class is called without arguments, once for a process. Its methods run on the call's event loop: they must not
    block, and an agent gives each of them five seconds. ``voice_worker.adapters.book_contract`` is the suite
    it must pass.
    """


@dataclass(frozen=True, slots=True)
class CustomerLeg:
    """The customer as the room presents them."""

    identity: str
    number: str | None
    customer_id: str | None
    dialled_number: str | None
    sip_call_id: str | None
    sip_headers: dict[str, str]
    direction: Literal["inbound", "outbound"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used of one model since this was last asked."""

    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    input_audio_ms: int
    output_audio_ms: int
    latencies_ms: dict[str, float]


class Desk(Protocol):
    """What the AI's voice tells the call, and what its tools may ask of it."""

    @property
    def state(self) -> SessionState:
        """The call's shared notes."""
        ...

    async def customer_listens(self) -> None:
        """Wait until the customer's phone is through to us: what is said before is lost on them.

        Without a deadline of its own: the call ends when the phone is not answered in time, and the voice with it.
        """
        ...

    def hear(self, fact: Fact) -> None:
        """A fact about speech, in the order in which it happened."""
        ...

    def agent_entered(self, agent: str, *, reason: str, context_items: int) -> None:
        """An agent has the floor."""
        ...

    def tool_called(
        self,
        *,
        tool_call_id: str,
        name: str,
        arguments: dict[str, Any],
        outcome: Literal["ok", "refused", "error"],
        detail: str | None,
        duration_ms: int,
    ) -> None:
        """A tool has been used; the arguments are redacted by the desk."""
        ...

    def request_transfer(self, destination: str, reason: str, summary: str) -> str | None:
        """Ask for a person. Answers why not, in words for the model, or ``None`` if it is under way."""
        ...

    def signal(self, signal: Signal) -> None:
        """Something the call must act on."""
        ...


class Voice(Protocol):
    """The AI's mouth and ears in one session. Used once: after ``close`` another one is made."""

    @property
    def source(self) -> str:
        """Name of its recogniser, unique in the call."""
        ...

    async def start(self, agent: str, history: Sequence[Line]) -> None:
        """Begin to listen. Nothing is said until :meth:`tell`."""
        ...

    def tell(self, instruction: str) -> None:
        """Have the agent say something along this instruction, as soon as it may speak and the customer listens."""
        ...

    def mute(self) -> None:
        """Not another sound from now on; it goes on listening."""
        ...

    def usage(self) -> Sequence[Usage]:
        """What was used since the last time."""
        ...

    async def close(self) -> None:
        """Leave the conversation. Never raises, takes a few seconds at most."""
        ...


class Ear(Protocol):
    """Speech-to-text of one leg, for as long as it takes."""

    @property
    def source(self) -> str:
        """Name of the recogniser, unique in the call."""
        ...

    async def run(self) -> None:
        """Listen until :meth:`stop`; mends itself when the provider fails."""
        ...

    async def stop(self, within: float) -> None:
        """Take no more audio, wait at most ``within`` seconds for texts that are still owed, and close."""
        ...

    def usage(self) -> Sequence[Usage]:
        """What was used since the last time."""
        ...


class Legs(Protocol):
    """The room and who is in it."""

    @property
    def identity(self) -> str:
        """Our own identity in the room."""
        ...

    async def customer(self, within: float) -> CustomerLeg | None:
        """Wait for the room and the customer in it; ``None`` if nobody came."""
        ...

    async def answered(self, leg: CustomerLeg, within: float) -> bool:
        """Wait until the customer's phone is through to us; ``False`` if they left or it took too long."""
        ...

    async def joined(self, identity: str, within: float) -> bool:
        """Whether that leg is in the room, or comes; ``False`` if it left or did not come in time.

        The log may tell that somebody is connected before the room does.
        """
        ...

    async def end_room(self) -> None:
        """Send everybody home. Never raises."""
        ...


class Studio(Protocol):
    """Makes what belongs to one call."""

    def voice(self, desk: Desk, source: str) -> Voice:
        """A new session of the AI."""
        ...

    def ear(self, speaker: Speaker, source: str, hear: Hear) -> Ear:
        """Speech-to-text for the leg of that speaker."""
        ...


class WallClock(Protocol):
    """The time, so that tests can own it."""

    def now(self) -> datetime:
        """Aware wall-clock time, UTC."""
        ...


class CallSpool(Protocol):
    """One call's events on disk, while the log does not take them. Every method blocks, and is called in a thread."""

    def write(self, events: Sequence[bytes]) -> None:
        """Add events, in order; they survive a crash when this returns.

        Raises:
            call_events.spool.SpoolFull, OSError: none of them was kept.
        """
        ...

    def read(self, *, after: int, limit: int) -> list[bytes]:
        """Up to ``limit`` events after the first ``after``."""
        ...

    def discard(self) -> None:
        """All of them are in the log."""
        ...

    def close(self) -> None:
        """Leave them to whoever keeps the spool."""
        ...
