"""What others have said must not act on the terminal of the one who reads it."""

import json

import pytest

from call_events.terminal import plain, plain_json

#: Clears the screen and forges a line of the timeline, in 7 and in 8 bits; then turns the reading around.
FORGED = "Hello\x1b[2J\n  64  call ended\r\x9b2J\x7f\u2028\u202e"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Où est ma commande ? 👩‍💼 שלום", "Où est ma commande ? 👩‍💼 שלום"),
        ("\x1b[31mred", "␛[31mred"),
        ("one\ntwo\tthree\x00", "one␊two␉three␀"),
        ("\x7f\x9b\u2029\u2066", "␡���"),
    ],
)
def test_characters_that_a_terminal_would_obey_are_shown_instead(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_json_for_a_terminal_says_the_same_and_is_one_line() -> None:
    value = {"text": FORGED, "inner": ["é"]}
    line = plain_json(value)
    assert json.loads(line) == value
    assert line == plain(line)
    assert "é" in line


def test_indented_json_has_no_other_line_breaks_than_its_own() -> None:
    told = plain_json({"text": FORGED}, indent=True)
    assert json.loads(told) == {"text": FORGED}
    assert [line.strip()[:7] for line in told.split("\n")] == ["{", '"text":', "}"]
    assert all(line == plain(line) for line in told.split("\n"))
