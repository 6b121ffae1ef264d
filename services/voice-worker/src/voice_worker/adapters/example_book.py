"""A small book of orders, invoices and tickets in memory: enough to try everything, gone with the process.

It has two customers. Customer C-2048 (service PIN 5307) has the orders 2001 to 2004, the invoices 1042, 1038 and 1017,
and the tickets 3101 and 3077; customer C-3110 (service PIN 8264) has the order 2100, the invoice 1100 and the ticket
3200.

A deployer's own class takes its place: ``VOICE_WORKER_BOOK=package.module:Class``.
"""

import hmac
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from voice_worker.domain.book import Caller, Demo, Invoice, InvoiceLine, Order, Product, Ticket, Trial

_PRODUCTS = (
    Product(
        name="Starter",
        monthly_price=Decimal("29.90"),
        currency="EUR",
        includes="one number, three extensions, voice mail",
        trial_days=14,
    ),
    Product(
        name="Business",
        monthly_price=Decimal("59.90"),
        currency="EUR",
        includes="five numbers, twenty extensions, call recording, support on working days",
        trial_days=30,
    ),
    Product(
        name="Enterprise",
        monthly_price=Decimal("199.00"),
        currency="EUR",
        includes="unlimited numbers and extensions, a contact centre with AI agents, support day and night",
        trial_days=30,
    ),
)
_ORDERS = (
    Order(number="2001", product="Business", status="delivered", detail="Active since 2 November 2026."),
    Order(
        number="2002", product="Desk phone, black", status="shipped", detail="With the carrier, expected on Tuesday."
    ),
    Order(
        number="2003",
        product="Starter",
        status="processing",
        detail="The number is being ported from the old provider.",
    ),
    Order(
        number="2004", product="Headset", status="cancelled", detail="Cancelled by the customer; nothing was charged."
    ),
    Order(number="2100", product="Enterprise", status="delivered", detail="Active since 1 September 2026."),
)
_INVOICES = (
    Invoice(
        number="1042",
        amount=Decimal("89.90"),
        currency="EUR",
        due=date(2026, 12, 5),
        status="open",
        lines=(
            InvoiceLine(text="Business, November 2026", amount=Decimal("59.90")),
            InvoiceLine(text="one-off setup fee", amount=Decimal("30.00")),
        ),
    ),
    Invoice(
        number="1038",
        amount=Decimal("49.00"),
        currency="EUR",
        due=date(2026, 11, 20),
        status="overdue",
        lines=(InvoiceLine(text="Desk phone, black", amount=Decimal("49.00")),),
    ),
    Invoice(
        number="1017",
        amount=Decimal("29.90"),
        currency="EUR",
        due=date(2026, 10, 15),
        status="paid",
        lines=(InvoiceLine(text="Starter, October 2026", amount=Decimal("29.90")),),
    ),
    Invoice(
        number="1100",
        amount=Decimal("199.00"),
        currency="EUR",
        due=date(2026, 12, 10),
        status="open",
        lines=(InvoiceLine(text="Enterprise, November 2026", amount=Decimal("199.00")),),
    ),
)
_TICKETS = (
    Ticket(
        number="3101", subject="No sound on the second line", status="in_progress", note="A new router is on its way."
    ),
    Ticket(number="3077", subject="Voice mail not sent by e-mail", status="solved", note="Solved on 12 November 2026."),
    Ticket(number="3200", subject="Queue too short", status="open", note="Not looked at yet."),
)


@dataclass(frozen=True, slots=True)
class _Customer:
    service_pin: str
    #: Numbers of what is theirs.
    orders: frozenset[str]
    invoices: frozenset[str]
    tickets: frozenset[str]


_CUSTOMERS = {
    "C-2048": _Customer(
        service_pin="5307",
        orders=frozenset({"2001", "2002", "2003", "2004"}),
        invoices=frozenset({"1042", "1038", "1017"}),
        tickets=frozenset({"3101", "3077"}),
    ),
    "C-3110": _Customer(
        service_pin="8264",
        orders=frozenset({"2100"}),
        invoices=frozenset({"1100"}),
        tickets=frozenset({"3200"}),
    ),
}
_NOBODY = _Customer(service_pin="", orders=frozenset(), invoices=frozenset(), tickets=frozenset())


def _plain(number: str) -> str:
    """A number as people say it: without spaces, hashes and leading words."""
    return "".join(character for character in number if character.isalnum()).upper().removeprefix("NUMBER")


class ExampleBook:
    """Each customer sees what is theirs, and a caller who is nobody in particular sees what is everybody's."""

    def __init__(self) -> None:
        self._customers = dict(_CUSTOMERS)
        self._products = {product.name.casefold(): product for product in _PRODUCTS}
        self._orders = {order.number: order for order in _ORDERS}
        self._invoices = {invoice.number: invoice for invoice in _INVOICES}
        self._tickets = {ticket.number: ticket for ticket in _TICKETS}

    async def identify(self, caller: Caller, customer_number: str, service_pin: str) -> str | None:
        """The customer's id, if the PIN is theirs. A book that outlives its process would count the failures, too."""
        del caller
        digits = _plain(customer_number).removeprefix("C")  # most callers leave the letter out
        customer_id = f"C-{digits}"
        pin = self._customers.get(customer_id, _NOBODY).service_pin
        right = hmac.compare_digest(_plain(service_pin).encode(), pin.encode())
        return customer_id if pin and right else None

    async def product(self, name: str) -> Product | None:
        """The product of that name."""
        return self._products.get(name.strip().casefold())

    async def products(self) -> tuple[Product, ...]:
        """All products, cheapest first."""
        return tuple(sorted(self._products.values(), key=lambda product: product.monthly_price))

    async def book_demo(self, caller: Caller, day: date, email: str) -> Demo:
        """Book a demonstration."""
        del caller
        return Demo(day=day, email=email)

    async def start_trial(self, caller: Caller, product: str, email: str) -> Trial | None:
        """Start a trial that ends by itself."""
        del caller
        if (found := await self.product(product)) is None:
            return None
        until = datetime.now(UTC).date() + timedelta(days=found.trial_days)
        return Trial(product=found.name, email=email, until=until)

    async def order(self, caller: Caller, number: str) -> Order | None:
        """The caller's order of that number."""
        wanted = _plain(number)
        return self._orders[wanted] if wanted in self._of(caller).orders else None

    async def open_ticket(self, caller: Caller, subject: str, details: str) -> Ticket:
        """Open a ticket under the next free number."""
        del details
        number = str(max(map(int, self._tickets)) + 1)
        self._tickets[number] = Ticket(number=number, subject=subject, status="open", note="Not looked at yet.")
        if caller.customer_id in self._customers:
            theirs = self._customers[caller.customer_id]
            self._customers[caller.customer_id] = replace(theirs, tickets=theirs.tickets | {number})
        return self._tickets[number]

    async def ticket(self, caller: Caller, number: str) -> Ticket | None:
        """The caller's ticket of that number."""
        wanted = _plain(number)
        return self._tickets[wanted] if wanted in self._of(caller).tickets else None

    async def invoice(self, caller: Caller, number: str) -> Invoice | None:
        """The caller's invoice of that number."""
        wanted = _plain(number)
        return self._invoices[wanted] if wanted in self._of(caller).invoices else None

    async def invoices(self, caller: Caller) -> tuple[Invoice, ...]:
        """The caller's invoices, newest first."""
        theirs = [self._invoices[number] for number in self._of(caller).invoices]
        return tuple(sorted(theirs, key=lambda invoice: invoice.due, reverse=True))

    async def promise_payment(self, caller: Caller, number: str, day: date) -> Invoice | None:
        """Note the day of payment of an invoice that is not paid."""
        found = await self.invoice(caller, number)
        if found is None or found.status == "paid":
            return None
        self._invoices[found.number] = found.model_copy(update={"promised_for": day})
        return self._invoices[found.number]

    def _of(self, caller: Caller) -> _Customer:
        """What is the caller's. Where they call from does not count."""
        return self._customers.get(caller.customer_id or "", _NOBODY)
