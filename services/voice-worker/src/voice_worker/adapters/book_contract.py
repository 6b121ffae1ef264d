"""What the agents rely on in every customer book: a suite that a deployer's own book must pass, too.

It needs no test framework; with pytest and pytest-asyncio it is used so::

    class TestOurBook(CustomerBookContract):
        known = Known(
            product="Basic", order="A-1", invoice="2026-7", ticket="T-9",
            customer="C-1", customer_number="1", service_pin="2486", number="+4930123",
            stranger="C-2", stranger_number="2",
        )

        def book(self) -> CustomerBook:
            return OurBook()

Each test gets a book of its own and expects what ``known`` names to exist in it. It writes: run it against a copy.
"""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

from voice_worker.domain.book import Caller, Demo, Invoice, Order, Product, Ticket, Trial
from voice_worker.ports import CustomerBook

#: No number of anything.
UNKNOWN = "no-such-thing-0000"
#: An agent waits no longer, see ``adapters/agents/base.py``.
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Known:
    """What stands in the book that is tested."""

    product: str
    #: The customer to whom the next three belong.
    customer: str
    order: str
    #: One that has not been paid.
    invoice: str
    ticket: str
    #: What the customer says to identify themselves, and the number they usually call from.
    customer_number: str
    service_pin: str
    number: str
    #: Another customer, and what they would say.
    stranger: str
    stranger_number: str


class CustomerBookContract(ABC):
    """Subclass it, name what is known, and make the book."""

    known: ClassVar[Known]

    @abstractmethod
    def book(self) -> CustomerBook:
        """A new book."""

    @property
    def customer(self) -> Caller:
        """The customer is on the line."""
        return Caller(customer_id=self.known.customer, number=self.known.number)

    @property
    def nobodies(self) -> tuple[Caller, ...]:
        """Callers who must not be told what is a customer's: of whom nothing is known, who call from a customer's
        number, and whose id no book knows."""
        number = self.known.number
        return Caller(), Caller(number=number), Caller(customer_id=UNKNOWN, number=number), Caller(customer_id="")

    @property
    def others(self) -> tuple[Caller, ...]:
        """Everybody but the customer."""
        return Caller(customer_id=self.known.stranger), *self.nobodies

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
        book, day, customer = self.book(), _tomorrow(), self.customer
        assert await book.product(UNKNOWN) is None
        assert await book.order(customer, UNKNOWN) is None
        assert await book.invoice(customer, UNKNOWN) is None
        assert await book.ticket(customer, UNKNOWN) is None
        assert await book.promise_payment(customer, UNKNOWN, day) is None
        assert await book.start_trial(customer, UNKNOWN, "anna@example.com") is None

    async def test_what_is_another_customers_is_as_if_it_did_not_exist(self) -> None:
        """The number of an invoice is no secret: whoever has seen one can count. Nor is a caller's number a proof."""
        book, known = self.book(), self.known
        for caller in self.others:
            assert await book.order(caller, known.order) is None
            assert await book.invoice(caller, known.invoice) is None
            assert await book.ticket(caller, known.ticket) is None
            assert known.invoice not in [one.number for one in await book.invoices(caller)]

    async def test_nobody_changes_what_is_anothers(self) -> None:
        """A promise of payment stops reminders."""
        book, known = self.book(), self.known
        before = await book.invoice(self.customer, known.invoice)
        for caller in self.others:
            assert await book.promise_payment(caller, known.invoice, _tomorrow()) is None
        assert before is not None
        assert await book.invoice(self.customer, known.invoice) == before

    async def test_a_caller_of_whom_nothing_is_known_is_served_like_anybody(self) -> None:
        """Calls without a customer id or a number work: such callers may become customers, and things break for
        them."""
        book, day = self.book(), _tomorrow()
        for caller in self.nobodies:
            assert await book.invoices(caller) == ()
            assert isinstance(await book.open_ticket(caller, "No sound", "Since noon"), Ticket)
            assert isinstance(await book.book_demo(caller, day, "anna@example.com"), Demo)
            assert isinstance(await book.start_trial(caller, self.known.product, "anna@example.com"), Trial)

    async def test_a_ticket_is_only_for_the_customer_who_opened_it(self) -> None:
        """Not for whoever guesses the next number."""
        book = self.book()
        ticket = await book.open_ticket(self.customer, "No sound", "On the second line")
        for caller in self.others:
            assert await book.ticket(caller, ticket.number) is None

    async def test_a_caller_identifies_themselves_with_number_and_pin(self) -> None:
        """And is the customer from then on, wherever they call from."""
        book, known = self.book(), self.known
        for caller in (*self.nobodies, self.customer):
            assert await book.identify(caller, known.customer_number, known.service_pin) == known.customer
            assert await book.identify(caller, f" {known.customer_number} ", f" {known.service_pin} ") == known.customer
        assert await book.invoice(Caller(customer_id=known.customer), known.invoice) is not None

    async def test_half_of_what_identifies_is_nothing(self) -> None:
        """And it is not told which half was wrong."""
        book, known = self.book(), self.known
        for number, pin in (
            (known.customer_number, UNKNOWN),
            (known.customer_number, ""),
            (UNKNOWN, known.service_pin),
            ("", known.service_pin),
            ("", ""),
            (known.stranger_number, known.service_pin),
        ):
            for caller in (*self.nobodies, self.customer):
                assert await book.identify(caller, number, pin) is None

    async def test_orders_are_found_by_their_number(self) -> None:
        """With or without spaces around it."""
        book = self.book()
        found = await book.order(self.customer, self.known.order)
        assert isinstance(found, Order)
        assert await book.order(self.customer, f" {self.known.order} ") == found

    async def test_a_ticket_that_was_opened_can_be_looked_up(self) -> None:
        """Under a number of its own."""
        book, customer = self.book(), self.customer
        first = await book.open_ticket(customer, "No sound", "On the second line")
        second = await book.open_ticket(customer, "No picture", "On the first line")
        assert first.number != second.number
        assert (first.status, first.subject) == ("open", "No sound")
        assert await book.ticket(customer, first.number) == first
        assert isinstance(await book.ticket(customer, self.known.ticket), Ticket)

    async def test_invoices_are_listed_newest_first_and_found_by_their_number(self) -> None:
        """The list and the single invoice agree."""
        book, customer = self.book(), self.customer
        listed = await book.invoices(customer)
        assert [one.due for one in listed] == sorted((one.due for one in listed), reverse=True)
        found = await book.invoice(customer, self.known.invoice)
        assert isinstance(found, Invoice)
        assert found in listed
        assert found.status != "paid"
        assert await book.invoice(customer, f" {self.known.invoice} ") == found

    async def test_the_positions_of_an_invoice_are_what_it_costs(self) -> None:
        """Agents explain the sum by its positions."""
        for invoice in await self.book().invoices(self.customer):
            assert sum(line.amount for line in invoice.lines) == invoice.amount

    async def test_a_promised_payment_is_remembered(self) -> None:
        """It stands in the invoice from then on, and changes nothing else."""
        book, day, customer = self.book(), _tomorrow(), self.customer
        before = await book.invoice(customer, self.known.invoice)
        promised = await book.promise_payment(customer, self.known.invoice, day)
        assert before is not None
        assert promised == before.model_copy(update={"promised_for": day})
        assert await book.invoice(customer, self.known.invoice) == promised

    async def test_a_demo_and_a_trial_are_confirmed_as_they_were_asked_for(self) -> None:
        """The agent reads the confirmation to the caller."""
        book, day, customer = self.book(), _tomorrow(), self.customer
        assert await book.book_demo(customer, day, "anna@example.com") == Demo(day=day, email="anna@example.com")
        trial = await book.start_trial(customer, self.known.product, "anna@example.com")
        assert isinstance(trial, Trial)
        assert trial.email == "anna@example.com"
        assert trial.until >= datetime.now(UTC).date()

    async def test_look_ups_do_not_wait_for_each_other(self) -> None:
        """Several calls may share a book, and none of them blocks the event loop."""
        book, customer = self.book(), self.customer
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            found = [group.create_task(_invoice(book, customer, self.known.invoice)) for _ in range(20)]
        assert len({task.result() for task in found}) == 1


async def _invoice(book: CustomerBook, caller: Caller, number: str) -> Invoice | None:
    return await book.invoice(caller, number)


def _tomorrow() -> date:
    return datetime.now(UTC).date() + timedelta(days=1)
