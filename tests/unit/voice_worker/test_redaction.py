"""What tools were given goes into the log without personal data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_worker.domain.redaction import mask, redact


def test_an_email_address_is_masked() -> None:
    assert redact({"email": "anna@example.com", "day": "2026-12-01"}) == {"email": "[email]", "day": "2026-12-01"}


@pytest.mark.parametrize("number", ["+49 30 1234567", "4111 1111 1111 1111", "DE89370400440532013000", "030-123-4567"])
def test_long_numbers_are_masked(number: str) -> None:
    assert number not in mask(f"call {number} now")


@pytest.mark.parametrize("number", ["1042", "2002", "3101"])
def test_the_numbers_of_invoices_orders_and_tickets_stay(number: str) -> None:
    """An auditor needs to see what was looked up."""
    assert redact({"invoice_number": number}) == {"invoice_number": number}


def test_free_text_is_measured_not_kept() -> None:
    assert redact({"reason": "my wife is ill"}) == {"reason": "[text, 14 characters]"}


def test_nested_values_are_redacted_too() -> None:
    assert redact({"to": [{"email": "a@b.de"}]}) == {"to": [{"email": "[email]"}]}


@given(st.text(), st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.[a-z]{2,3}", fullmatch=True))
def test_no_address_survives_in_any_surrounding(around: str, address: str) -> None:
    assert address not in mask(f"{around} {address} {around}")
