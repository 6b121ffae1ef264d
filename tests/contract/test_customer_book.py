"""The book that is shipped passes the suite that a deployer's book must pass."""

from datetime import date

import pytest

from voice_worker.adapters.book_contract import CustomerBookContract, Known
from voice_worker.adapters.example_book import ExampleBook
from voice_worker.domain.book import Caller, Invoice
from voice_worker.ports import CustomerBook


class TestExampleBook(CustomerBookContract):
    """In memory."""

    known = Known(
        product="Business",
        customer="C-2048",
        order="2002",
        invoice="1042",
        ticket="3101",
        customer_number="2048",
        service_pin="5307",
        number="+15550001111",
        stranger="C-3110",
        stranger_number="3110",
    )

    def book(self) -> CustomerBook:
        return ExampleBook()


class TestItsOtherCustomer(TestExampleBook):
    """The other way round."""

    known = Known(
        product="starter",
        customer="C-3110",
        order="2100",
        invoice="1100",
        ticket="3200",
        customer_number="C 3110",
        service_pin="8264",
        number="+15550001112",
        stranger="C-2048",
        stranger_number="C-2048",
    )


class Forgetful(ExampleBook):
    """Confirms promises and keeps none."""

    async def promise_payment(self, caller: Caller, number: str, day: date) -> Invoice | None:
        found = await self.invoice(caller, number)
        return found if found is None else found.model_copy(update={"promised_for": day})


class Talkative(ExampleBook):
    """Tells whoever asks about the customer who calls most."""

    async def invoice(self, caller: Caller, number: str) -> Invoice | None:
        return await super().invoice(Caller(customer_id="C-2048", number=caller.number), number)


class TrustsNumbers(ExampleBook):
    """Takes a caller for the customer whose number they call from."""

    async def invoices(self, caller: Caller) -> tuple[Invoice, ...]:
        theirs = Caller(customer_id="C-2048") if caller.number == "+15550001111" else caller
        return await super().invoices(theirs)


class Gullible(ExampleBook):
    """Believes any PIN."""

    async def identify(self, caller: Caller, customer_number: str, service_pin: str) -> str | None:
        del service_pin
        return await super().identify(caller, customer_number, "5307")


@pytest.mark.parametrize(
    ("book", "test"),
    [
        (Forgetful, "test_a_promised_payment_is_remembered"),
        (Talkative, "test_what_is_another_customers_is_as_if_it_did_not_exist"),
        (Talkative, "test_nobody_changes_what_is_anothers"),
        (TrustsNumbers, "test_a_caller_of_whom_nothing_is_known_is_served_like_anybody"),
        (Gullible, "test_half_of_what_identifies_is_nothing"),
    ],
)
async def test_the_suite_notices_a_book_that_does_not(book: type[ExampleBook], test: str) -> None:
    """A suite that every book passes would prove nothing."""

    class Suite(TestExampleBook):
        def book(self) -> CustomerBook:
            return book()

    with pytest.raises(AssertionError):
        await getattr(Suite(), test)()
