"""A small book of orders, invoices and tickets in memory: enough to try everything, gone with the process.

A deployer's own class takes its place: ``VOICE_WORKER_BOOK=package.module:Class``.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from voice_worker.domain.book import Demo, Invoice, InvoiceLine, Order, Product, Ticket, Trial

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
)
_TICKETS = (
    Ticket(
        number="3101", subject="No sound on the second line", status="in_progress", note="A new router is on its way."
    ),
    Ticket(number="3077", subject="Voice mail not sent by e-mail", status="solved", note="Solved on 12 November 2026."),
)


def _plain(number: str) -> str:
    """A number as people say it: without spaces, hashes and leading words."""
    return "".join(character for character in number if character.isalnum()).upper().removeprefix("NUMBER")


class ExampleBook:
    """The same for every caller: whoever calls is the customer of the example."""

    def __init__(self) -> None:
        self._products = {product.name.casefold(): product for product in _PRODUCTS}
        self._orders = {order.number: order for order in _ORDERS}
        self._invoices = {invoice.number: invoice for invoice in _INVOICES}
        self._tickets = {ticket.number: ticket for ticket in _TICKETS}

    async def product(self, name: str) -> Product | None:
        """The product of that name."""
        return self._products.get(name.strip().casefold())

    async def products(self) -> tuple[Product, ...]:
        """All products, cheapest first."""
        return tuple(sorted(self._products.values(), key=lambda product: product.monthly_price))

    async def book_demo(self, customer: str, day: date, email: str) -> Demo:
        """Book a demonstration."""
        del customer
        return Demo(day=day, email=email)

    async def start_trial(self, customer: str, product: str, email: str) -> Trial | None:
        """Start a trial that ends by itself."""
        del customer
        if (found := await self.product(product)) is None:
            return None
        until = datetime.now(UTC).date() + timedelta(days=found.trial_days)
        return Trial(product=found.name, email=email, until=until)

    async def order(self, number: str) -> Order | None:
        """The order of that number."""
        return self._orders.get(_plain(number))

    async def open_ticket(self, customer: str, subject: str, details: str) -> Ticket:
        """Open a ticket under the next free number."""
        del customer, details
        number = str(max(map(int, self._tickets)) + 1)
        self._tickets[number] = Ticket(number=number, subject=subject, status="open", note="Not looked at yet.")
        return self._tickets[number]

    async def ticket(self, number: str) -> Ticket | None:
        """The ticket of that number."""
        return self._tickets.get(_plain(number))

    async def invoice(self, number: str) -> Invoice | None:
        """The invoice of that number."""
        return self._invoices.get(_plain(number))

    async def invoices(self, customer: str) -> tuple[Invoice, ...]:
        """All invoices, newest first."""
        del customer
        return tuple(sorted(self._invoices.values(), key=lambda invoice: invoice.due, reverse=True))

    async def promise_payment(self, number: str, day: date) -> Invoice | None:
        """Note the day of payment of an invoice that is not paid."""
        found = await self.invoice(number)
        if found is None or found.status == "paid":
            return None
        self._invoices[found.number] = found.model_copy(update={"promised_for": day})
        return self._invoices[found.number]
