"""A book that cannot be had is told in one line; a deployer must not have to read our traceback."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from call_events.errors import BadSetting
from voice_worker.adapters.example_book import ExampleBook
from voice_worker.bootstrap import load_book


class Port(BaseModel):
    port: int


class AsksForAPort(ExampleBook):
    def __init__(self) -> None:
        super().__init__()
        Port.model_validate({"port": "not-for-the-log"})


class AsksForASetting(ExampleBook):
    def __init__(self) -> None:
        super().__init__()
        {"OURS": ""}["OUR_BOOK_URL"]


class AsksForAFile(ExampleBook):
    def __init__(self) -> None:
        super().__init__()
        Path("/nowhere/book.cfg").read_bytes()


class AsksForArguments(ExampleBook):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url


class KnowsNobody:
    """Lacks what tells who calls."""

    product = products = book_demo = start_trial = order = open_ticket = ticket = ExampleBook.product
    invoice = invoices = promise_payment = ExampleBook.product


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("AsksForAPort", "cannot be used (ValidationError: 1 validation error for Port); write package.module:Class"),
        ("AsksForASetting", "cannot be used (KeyError: 'OUR_BOOK_URL')"),
        ("AsksForAFile", "cannot be used (FileNotFoundError: [Errno 2] No such file or directory"),
        ("AsksForArguments", "cannot be used (TypeError: "),
        ("KnowsNobody", "lacks identify; see voice_worker.ports.CustomerBook"),
        ("Nothing", "cannot be used (AttributeError: "),
    ],
)
def test_a_book_that_cannot_be_made_is_one_line(name: str, says: str) -> None:
    with pytest.raises(BadSetting) as wrong:
        load_book(f"{__name__}:{name}")
    assert str(wrong.value).startswith(f"VOICE_WORKER_BOOK: {__name__}:{name} ")
    assert says in str(wrong.value)
    assert "\n" not in str(wrong.value)
    assert "not-for-the-log" not in str(wrong.value)


@pytest.mark.parametrize("name", [":X", "nowhere:Book", ".here:Book", "decimal:", "decimal"])
def test_a_name_that_names_nothing_is_one_line(name: str) -> None:
    with pytest.raises(BadSetting, match=r"VOICE_WORKER_BOOK: .* cannot be used"):
        load_book(name)


def test_the_book_that_is_shipped_is_the_default() -> None:
    assert isinstance(load_book("voice_worker.adapters.example_book:ExampleBook"), ExampleBook)
