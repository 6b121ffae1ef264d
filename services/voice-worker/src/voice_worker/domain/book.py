"""What the agents look up: orders, invoices, tickets. A deployer's own system answers behind ``ports.CustomerBook``."""

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of the book's records: frozen, closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
