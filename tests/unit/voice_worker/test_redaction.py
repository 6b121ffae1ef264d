"""What tools were given goes into the log without personal data."""

import json
import re
from typing import Any

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


CARD = "4111111111111111"


@pytest.mark.parametrize(
    "number", [int(CARD), -int(CARD), 4930123, float(CARD), 411111.1111111111, pytest.param(10**5000, id="huge")]
)
def test_a_number_that_is_no_text_is_masked_like_one(number: float) -> None:
    """A model writes a card number as it likes; JSON has numbers, too."""
    assert redact({"account": number, "in": [number]}) == {"account": "[number]", "in": ["[number]"]}


@pytest.mark.parametrize("value", [1042, 0, -3, 999_999, 89.9, True, None])
def test_short_numbers_stay_as_they_are(value: object) -> None:
    assert redact({"value": value}) == {"value": value}


@pytest.mark.parametrize("pin", ["5307", 5307, ["5", "3"], {"said": "5307"}])
def test_what_a_caller_proves_himself_with_is_not_written_down(pin: object) -> None:
    given_ = {"customer_number": "C-2048", "service_pin": pin}
    assert redact(given_) == {"customer_number": "C-2048", "service_pin": "[secret]"}


def test_free_text_stays_free_text_however_it_is_wrapped() -> None:
    assert redact({"details": {"first": ["my wife"]}}) == {"details": {"first": ["[text, 7 characters]"]}}


def test_a_secret_stays_a_secret_also_within_free_text() -> None:
    assert redact({"details": {"service_pin": 5307}}) == {"details": {"service_pin": "[secret]"}}


def test_what_lies_too_deep_is_left_out_and_no_error() -> None:
    deep: Any = CARD
    for _ in range(5000):
        deep = [deep]
    assert "[nested too deep]" in str(redact({"a": deep}))


PLAIN = st.none() | st.booleans() | st.integers(-999, 999) | st.text("abc -", max_size=8)
LONG_NUMBERS = st.integers(10**6, 10**18)
PERSONAL = (
    LONG_NUMBERS | LONG_NUMBERS.map(str) | LONG_NUMBERS.map(float) | LONG_NUMBERS.map(lambda n: f"no. {n}, please")
)
NESTED = st.recursive(
    PLAIN | PERSONAL,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(["number", "to", "details", "service_pin"]) | LONG_NUMBERS.map(str), NESTED))
def test_no_long_number_survives_however_it_is_written_and_wherever_it_lies(arguments: dict[str, Any]) -> None:
    written = json.dumps(redact(arguments))
    assert not re.search(r"\d{7}", written)


@given(
    st.dictionaries(
        st.text("abc", max_size=3),
        st.recursive(
            PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", max_size=3), inner), max_leaves=8
        ),
    )
)
def test_what_is_not_personal_is_kept(arguments: dict[str, Any]) -> None:
    """An auditor sees what a tool was asked for."""
    assert redact(arguments) == arguments


@given(st.text(), st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.[a-z]{2,3}", fullmatch=True))
def test_no_address_survives_in_any_surrounding(around: str, address: str) -> None:
    assert address not in mask(f"{around} {address} {around}")
