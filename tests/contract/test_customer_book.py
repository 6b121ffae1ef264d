"""The book that is shipped passes the suite that a deployer's book must pass."""

from datetime import date

import pytest

from voice_worker.adapters.book_contract import CustomerBookContract, Known
from voice_worker.adapters.example_book import ExampleBook
from voice_worker.domain.book import Invoice
from voice_worker.ports import CustomerBook


class TestExampleBook(CustomerBookContract):
    """In memory."""

    known = Known(product="Business", order="2002", invoice="1042", ticket="3101", customer="C-2048")

    def book(self) -> CustomerBook:
        return ExampleBook()


class Forgetful(ExampleBook):
    """Confirms promises and keeps none."""

    async def promise_payment(self, number: str, day: date) -> Invoice | None:
        found = await self.invoice(number)
        return found if found is None else found.model_copy(update={"promised_for": day})


async def test_the_suite_notices_a_book_that_forgets() -> None:
    """A suite that every book passes would prove nothing."""

    class Suite(TestExampleBook):
        def book(self) -> CustomerBook:
            return Forgetful()

    with pytest.raises(AssertionError):
        await Suite().test_a_promised_payment_is_remembered()
