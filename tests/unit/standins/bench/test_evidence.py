"""What the books prove must be what happened: order, losses and repeats are the point of the comparison."""

from pathlib import Path

from standins.bench.evidence import judge, weigh
from standins.bench.witness import Record, Witness, records


def handling(seq: int, *, begins: float, ends: float | None, appended: float = 0.0, call: int = 7) -> list[Record]:
    """One handling of an event; ``ends`` absent: it was killed."""
    found = [Record(ends=False, call=call, seq=seq, appended=appended, at=begins)]
    return found if ends is None else [*found, Record(ends=True, call=call, seq=seq, appended=appended, at=ends)]


def test_in_order_once_each_is_nothing_to_report() -> None:
    found = weigh([*handling(1, begins=0.1, ends=0.2), *handling(2, begins=0.2, ends=0.3)], {7: 2})
    assert (found.handled, found.lost, found.repeated, found.inversions, found.overlaps) == (2, 0, 0, 0, 0)
    assert [round(delay) for delay in found.delays_ms] == [200, 300]
    assert found.last_at == 0.3


def test_an_event_begun_before_its_forerunner_is_an_inversion() -> None:
    found = weigh([*handling(2, begins=0.1, ends=0.2), *handling(1, begins=0.3, ends=0.4)], {7: 2})
    assert (found.inversions, found.overlaps) == (1, 0)


def test_an_event_begun_while_its_forerunner_is_handled_is_an_overlap() -> None:
    found = weigh([*handling(1, begins=0.1, ends=0.4), *handling(2, begins=0.2, ends=0.3)], {7: 2})
    assert (found.inversions, found.overlaps) == (0, 1)


def test_a_killed_handling_that_is_done_again_is_a_repeat_and_no_disorder() -> None:
    again = handling(1, begins=6.0, ends=6.1)
    found = weigh([*handling(1, begins=0.1, ends=None), *again, *handling(2, begins=6.1, ends=6.2)], {7: 2})
    assert (found.lost, found.repeated, found.inversions, found.overlaps) == (0, 1, 0, 0)
    assert found.stalled_calls == 1


def test_what_follows_a_killed_event_before_it_is_done_again_overlaps() -> None:
    found = weigh(
        [
            *handling(1, begins=0.1, ends=None),
            *handling(2, begins=0.2, ends=0.3),
            *handling(1, begins=6.0, ends=6.1),
        ],
        {7: 2},
    )
    assert found.overlaps == 1


def test_what_nobody_was_through_with_is_lost_and_its_call_has_stalled() -> None:
    found = weigh([*handling(1, begins=0.1, ends=None)], {7: 2, 8: 1})
    assert (found.handled, found.lost, found.stalled_calls) == (0, 3, 2)


def test_the_warm_up_counts_for_order_only() -> None:
    early = [*handling(2, begins=0.5, ends=0.6), *handling(1, begins=1.0, ends=1.1)]
    late = handling(3, begins=5.0, ends=5.01, appended=5.0)
    found = weigh([*early, *late], {7: 3}, warm_up_s=2.0)
    assert found.inversions == 1
    assert [round(delay) for delay in found.delays_ms] == [10]
    assert found.stalled_calls == 0


def test_a_book_is_read_as_it_was_written_also_if_its_last_record_is_torn(tmp_path: Path) -> None:
    book = tmp_path / "0.book"
    witness = Witness(book)
    witness.begins(3, 1, 12.5)
    witness.ends(3, 1, 12.5)
    with book.open("ab") as torn:
        torn.write(b"\x01\x00")
    assert [(one.ends, one.call, one.seq, one.appended) for one in records(book)] == [
        (False, 3, 1, 12.5),
        (True, 3, 1, 12.5),
    ]
    assert judge([book], {3: 1}).lost == 0
