"""What reaches the SIP header of the human's phone is one safe line, whatever a model has written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_orchestrator.domain.headers import LIMIT, dial_headers, header_number, header_text


@given(st.text(max_size=3000))
def test_any_text_becomes_one_bounded_line_of_printable_ascii(text: str) -> None:
    line = header_text(text)
    assert len(line) <= LIMIT
    assert all(32 <= ord(letter) < 127 for letter in line)
    assert line == line.strip()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Invoice 4711\r\nX-Evil: 1", "Invoice 4711 X-Evil: 1"),
        ("Müller, Straße, naïve café", "Mueller, Strasse, naive cafe"),
        ("owes 12 \u20ac \u2013 \u201ctoday\u201d", 'owes 12 EUR - "today"'),
        ("日本", ""),
        ("  a\t\tb  ", "a b"),
    ],
)
def test_text_keeps_its_meaning_where_ascii_can(text: str, line: str) -> None:
    assert header_text(text) == line


def test_a_text_that_is_too_long_ends_at_a_word_and_says_so() -> None:
    line = header_text("word " * 400)
    assert line.endswith("word...")
    assert LIMIT - 8 < len(line) <= LIMIT


def test_a_number_loses_everything_that_is_not_dialled() -> None:
    assert header_number('+1 (555) 010-0\r\n<sip:x@y>"') == "+1555010-0sipxy"


def test_headers_without_a_value_are_left_out() -> None:
    assert dial_headers(dial_id="d", summary="", customer_number=None) == {"X-Dial-Id": "d"}
    assert set(dial_headers(dial_id="d", summary="s", customer_number="+1")) == {
        "X-Dial-Id",
        "X-Transfer-Summary",
        "X-Customer-Number",
    }
