"""A sequence kept as bytes is, to whoever is shown it, a tuple."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from call_events.growing import Decoded, Growing

INDEX = st.none() | st.integers(-12, 12)


def growing(texts: list[str]) -> Growing[str]:
    made: Growing[str] = Growing(lambda number, raw: f"{number}:{raw.decode()}")
    for text in texts:
        made.append(text.encode())
    return made


@given(texts=st.lists(st.text("abc", max_size=2), max_size=8), cut=st.builds(slice, INDEX, INDEX, INDEX.filter(bool)))
def test_a_part_is_what_the_same_slice_of_a_tuple_is(texts: list[str], cut: slice) -> None:
    shown = growing(texts).so_far()
    same = tuple(f"{number}:{text}" for number, text in enumerate(texts, 1))

    assert tuple(shown) == same
    assert tuple(shown[cut]) == same[cut]
    assert tuple(shown[cut][cut]) == same[cut][cut]
    assert [shown[index] for index in range(-len(same), len(same))] == [*same, *same]
    assert tuple(reversed(shown)) == same[::-1]


def test_what_was_shown_does_not_grow() -> None:
    source = growing(["a", "b"])
    shown = source.so_far()
    source.append(b"c")

    assert (list(shown), len(shown), shown[-1]) == (["1:a", "2:b"], 2, "2:b")
    with pytest.raises(IndexError):
        shown[2]


def test_nothing_is_decoded_before_it_is_looked_at_and_what_was_looked_at_last_only_once() -> None:
    decoded: list[int] = []

    def read(number: int, raw: bytes) -> bytes:
        decoded.append(number)
        return raw

    source: Growing[bytes] = Growing(Decoded[bytes](2).keeping(read))
    for number in range(100):
        source.append(b"%d" % number)
    shown = source.so_far()
    assert (shown[90:][5], shown[95], shown[0], shown[95], shown[1], shown[95], shown[0]) == (
        *(b"95", b"95", b"0", b"95", b"1", b"95", b"0"),
    )
    assert decoded == [96, 1, 2, 1]


def test_two_sequences_share_a_memory_and_never_an_entry() -> None:
    memory = Decoded[bytes](10)
    first, second = (Growing(memory.keeping(lambda _, raw: raw)) for _ in range(2))
    first.append(b"one")
    second.append(b"two")
    assert (first.at(0), second.at(0), first.at(0)) == (b"one", b"two", b"one")


def test_what_is_in_a_part_is_not_in_its_text() -> None:
    assert "secret" not in repr(growing(["secret"]).so_far())
