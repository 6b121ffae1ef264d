"""What a producer keeps of what it appended, and for how long."""

from call_events.ids import CallId
from call_events.journal import Journal
from call_events.records import Record, record_of
from call_events.testing import ManualClock, speaking

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
    journal = Journal(max_bytes=5_000, clock=ManualClock().monotonic)
    journal.add(a_record("call-1", "old"), A)
    for number in range(20):
        journal.add(a_record("call-2", f"u{number}"), B)

    assert journal.owes(CallId("call-1"), B), "it may be missing there; of call-2 nothing is"
    assert len(journal.owed(CallId("call-2"), A)) < 20
