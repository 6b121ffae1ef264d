"""What the agents look up: orders, invoices, tickets. A deployer's own system answers behind ``ports.CustomerBook``."""

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of the book's records: frozen, closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Caller(Record):
    """Who is on the line, as far as this call knows. All empty for a call of which nothing is known."""

    #: The customer: as the switch says (``X-Customer-Id``), or who identified themselves in this call. ``None``: nobody
    #: knows who calls.
    customer_id: str | None = None
    #: The number the call comes from: good for calling back, and no proof of anything, for numbers can be forged.
    number: str | None = None


class Product(Record):
    """Something that can be bought."""

    name: str
    monthly_price: Decimal
    currency: str
    includes: str
    trial_days: int


class Order(Record):
    """An order and where it is."""

    number: str
    product: str
    status: Literal["processing", "shipped", "delivered", "cancelled"]
    detail: str


class InvoiceLine(Record):
    """One position of an invoice."""

    text: str
    amount: Decimal


class Invoice(Record):
    """An invoice with its positions."""

    number: str
    amount: Decimal
    currency: str
    due: date
    status: Literal["open", "paid", "overdue"]
    lines: tuple[InvoiceLine, ...]
    promised_for: date | None = None


class Ticket(Record):
    """A technical issue somebody is working on."""

    number: str
    subject: str
    status: Literal["open", "in_progress", "solved"]
    note: str


class Demo(Record):
    """A booked demonstration."""

    day: date
    email: str


class Trial(Record):
    """A started trial."""

    product: str
    email: str
    until: date
