"""What a producer keeps of what it appended, and for how long."""

import gc

from call_events.ids import CallId
from call_events.journal import KEEP_S, Entry, Journal
from call_events.records import Record, record_of
from call_events.testing import ManualClock, speaking
from support.counted import number_of

A, B = "server-a", "server-b"


def a_record(call: str, name: str) -> Record:
    return record_of(speaking(call, name))


def names(journal: Journal, call: str, server: str) -> list[bytes]:
    return [entry.record.raw for entry in journal.owed(CallId(call), server)]


def test_a_new_server_is_owed_all_in_order_and_the_old_one_nothing() -> None:
    journal = Journal(clock=ManualClock().monotonic)
    records = [a_record("call-1", f"u{n}") for n in range(3)]
    for record in records:
        journal.add(record, A)

    assert not journal.owes(CallId("call-1"), A)
    assert journal.owes(CallId("call-1"), B)
    assert names(journal, "call-1", B) == [record.raw for record in records]


def test_what_has_moved_is_owed_no_more_and_keeps_its_place_for_a_third_server() -> None:
    journal = Journal(clock=ManualClock().monotonic)
    records = [a_record("call-1", f"u{n}") for n in range(3)]
    for record in records:
        journal.add(record, A)
    journal.move(journal.owed(CallId("call-1"), B)[0], B)

    assert names(journal, "call-1", B) == [record.raw for record in records[1:]]
    assert names(journal, "call-1", "server-c") == [record.raw for record in records]


def test_ten_seconds_count_only_while_the_server_answers() -> None:
    clock = ManualClock()
    journal = Journal(clock=clock.monotonic)
    journal.add(a_record("call-1", "u1"), A)
    clock.advance(60)
    assert journal.owes(CallId("call-1"), B), "nobody has answered since"

    journal.heard(A)
    assert not journal


def test_room_is_bounded_and_what_a_living_server_has_longest_goes_first() -> None:
    evicted = number_of("cc_eventlog_journal_evicted_early_total")
    journal = Journal(max_bytes=5_000, clock=ManualClock().monotonic)
    journal.add(a_record("call-1", "old"), A)
    for number in range(20):
        journal.add(a_record("call-2", f"u{number}"), B)

    assert journal.owes(CallId("call-1"), B), "it may be missing there; of call-2 nothing is"
    kept = len(journal.owed(CallId("call-2"), A))
    assert kept < 20
    assert number_of("cc_eventlog_journal_evicted_early_total") - evicted == 20 - kept


def test_of_a_call_whose_beginning_does_not_come_all_is_given_up_at_the_same_time() -> None:
    clock = ManualClock()
    journal = Journal(clock=clock.monotonic)
    for number in range(3):
        journal.add(a_record("call-1", f"u{number}"), A)
    first, *others = journal.owed(CallId("call-1"), B)

    assert journal.awaits_beginning(first)
    clock.advance(KEEP_S)
    assert not any(journal.awaits_beginning(entry) for entry in (first, *others))


def test_nothing_is_kept_for_a_server_that_never_comes_back() -> None:
    clock = ManualClock()
    journal = Journal(clock=clock.monotonic)
    for number in range(3):
        journal.add(a_record("call-1", f"u{number}"), A)
    last, *moved = reversed(journal.owed(CallId("call-1"), B))
    for entry in reversed(moved):
        journal.move(entry, B)
    journal.drop(last)
    clock.advance(KEEP_S + 1)
    journal.heard(B)
    del last, moved, entry

    assert not [one for one in gc.get_objects() if isinstance(one, Entry)]
    assert not journal
