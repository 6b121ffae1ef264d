"""What the agents rely on in every customer book: a suite that a deployer's own book must pass, too.

It needs no test framework; with pytest and pytest-asyncio it is used so::

    class TestOurBook(CustomerBookContract):
        known = Known(product="Basic", order="A-1", invoice="2026-7", ticket="T-9", customer="C-1")

        def book(self) -> CustomerBook:
            return OurBook()

Each test gets a book of its own and expects what ``known`` names to exist in it. It writes: run it against a copy.
"""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

from voice_worker.domain.book import Demo, Invoice, Order, Product, Ticket, Trial
from voice_worker.ports import CustomerBook

#: No number of anything.
UNKNOWN = "no-such-thing-0000"
#: An agent waits no longer, see ``adapters/agents/base.py``.
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Known:
    """What stands in the book that is tested."""

    product: str
    order: str
    #: One that has not been paid.
    invoice: str
    ticket: str
    customer: str


class CustomerBookContract(ABC):
    """Subclass it, name what is known, and make the book."""

    known: ClassVar[Known]

    @abstractmethod
    def book(self) -> CustomerBook:
        """A new book."""

    async def test_a_product_is_found_however_it_is_capitalised(self) -> None:
        """Callers' words come from a recogniser."""
        book = self.book()
        found = await book.product(self.known.product)
        assert isinstance(found, Product)
        assert await book.product(self.known.product.upper()) == found
        assert await book.product(f" {self.known.product.lower()} ") == found
        assert found in await book.products()

    async def test_what_does_not_exist_is_none_and_no_error(self) -> None:
        """An agent then asks the caller again; an exception would be an outage to it."""
        book, day = self.book(), _tomorrow()
        assert await book.product(UNKNOWN) is None
        assert await book.order(UNKNOWN) is None
        assert await book.invoice(UNKNOWN) is None
        assert await book.ticket(UNKNOWN) is None
        assert await book.promise_payment(UNKNOWN, day) is None
        assert await book.start_trial(self.known.customer, UNKNOWN, "anna@example.com") is None

    async def test_a_customer_nobody_knows_can_still_be_served(self) -> None:
        """Calls without a customer id or a number work; the customer is then ``unknown``."""
        book = self.book()
        assert isinstance(await book.invoices("unknown"), tuple)
        assert isinstance(await book.open_ticket("unknown", "No sound", "Since noon"), Ticket)

    async def test_orders_are_found_by_their_number(self) -> None:
        """With or without spaces around it."""
        book = self.book()
        found = await book.order(self.known.order)
        assert isinstance(found, Order)
        assert await book.order(f" {self.known.order} ") == found

    async def test_a_ticket_that_was_opened_can_be_looked_up(self) -> None:
        """Under a number of its own."""
        book = self.book()
        first = await book.open_ticket(self.known.customer, "No sound", "On the second line")
        second = await book.open_ticket(self.known.customer, "No picture", "On the first line")
        assert first.number != second.number
        assert (first.status, first.subject) == ("open", "No sound")
        assert await book.ticket(first.number) == first
        assert isinstance(await book.ticket(self.known.ticket), Ticket)

    async def test_invoices_are_listed_newest_first_and_found_by_their_number(self) -> None:
        """The list and the single invoice agree."""
        book = self.book()
        listed = await book.invoices(self.known.customer)
        assert [one.due for one in listed] == sorted((one.due for one in listed), reverse=True)
        found = await book.invoice(self.known.invoice)
        assert isinstance(found, Invoice)
        assert found in listed
        assert found.status != "paid"
        assert await book.invoice(f" {self.known.invoice} ") == found

    async def test_the_positions_of_an_invoice_are_what_it_costs(self) -> None:
        """Agents explain the sum by its positions."""
        for invoice in await self.book().invoices(self.known.customer):
            assert sum(line.amount for line in invoice.lines) == invoice.amount

    async def test_a_promised_payment_is_remembered(self) -> None:
        """It stands in the invoice from then on, and changes nothing else."""
        book, day = self.book(), _tomorrow()
        before = await book.invoice(self.known.invoice)
        promised = await book.promise_payment(self.known.invoice, day)
        assert before is not None
        assert promised == before.model_copy(update={"promised_for": day})
        assert await book.invoice(self.known.invoice) == promised

    async def test_a_demo_and_a_trial_are_confirmed_as_they_were_asked_for(self) -> None:
        """The agent reads the confirmation to the caller."""
        book, day = self.book(), _tomorrow()
        assert await book.book_demo(self.known.customer, day, "anna@example.com") == Demo(
            day=day, email="anna@example.com"
        )
        trial = await book.start_trial(self.known.customer, self.known.product, "anna@example.com")
        assert isinstance(trial, Trial)
        assert trial.email == "anna@example.com"
        assert trial.until >= datetime.now(UTC).date()

    async def test_look_ups_do_not_wait_for_each_other(self) -> None:
        """Several calls may share a book, and none of them blocks the event loop."""
        book = self.book()
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            found = [group.create_task(_invoice(book, self.known.invoice)) for _ in range(20)]
        assert len({task.result() for task in found}) == 1


async def _invoice(book: CustomerBook, number: str) -> Invoice | None:
    return await book.invoice(number)


def _tomorrow() -> date:
    return datetime.now(UTC).date() + timedelta(days=1)
