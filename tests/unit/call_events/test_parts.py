"""The small pure parts of the consumer."""

import uuid
from datetime import timedelta

import pytest

from call_events import keys
from call_events.catalogue import Speaker
from call_events.claims import read_receipt, receipt_args
from call_events.errors import BadCallId, BadProgress, LogUnavailable
from call_events.held import Held
from call_events.ids import CallId, call_id, new_event_id
from call_events.options import ConsumerOptions
from call_events.ports import Progress, Receipt
from call_events.retrying import check, may_pass, pause_s
from call_events.testing import START, ManualClock, speaking, started, view
from call_events.workbench import Workbench

CALL = CallId("call-1")
VIEW = view(CALL, [started(CALL), speaking(CALL, "u1"), speaking(CALL, "u2")], cursor=1)


def test_all_keys_of_a_call_are_in_one_slot_and_calls_spread_over_all_shards() -> None:
    calls = [CallId(f"call-{n}") for n in range(500)]

    for call in calls:
        mine, group = keys.call_keys(call), keys.group_keys("ccm", call)
        names = [mine.stream, mine.dedupe, mine.worker, mine.bell, mine.live, group.state, group.receipts, group.wake]
        assert all(name.startswith(f"cc:{{{keys.tag_of(call)}}}:") for name in [*names, group.dead_letters])
    assert {keys.tag_of(call) for call in calls} == set(keys.TAGS)


def test_the_shard_of_a_call_never_changes() -> None:
    """A release that computed it otherwise would not find the calls that are there."""
    assert [keys.tag_of(CallId(name)) for name in ("call-1", "room_7", "a")] == ["18", "235", "223"]


def test_event_ids_are_random_uuids() -> None:
    ids = [uuid.UUID(new_event_id()) for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert {(one.version, one.variant) for one in ids} == {(4, uuid.RFC_4122)}
    assert {str(one)[19] for one in ids} == set("89ab")


@pytest.mark.parametrize("text", ["", "a call", "{1}", "../1", "x" * 129])
def test_a_bad_call_id_is_told_in_words_that_people_read(text: str) -> None:
    """The text itself is foreign and is not repeated; marks of the documentation are none of theirs."""
    with pytest.raises(BadCallId) as refused:
        call_id(text)

    assert str(refused.value) == (
        "A call id must be 1 to 128 letters, digits or any of _ . : + @ - and begin with a letter or digit. "
        f"This one has {len(text)} characters."
    )


@pytest.mark.parametrize("through", [0, 4])
def test_progress_beyond_what_was_seen_or_backwards_is_refused(through: int) -> None:
    with pytest.raises(BadProgress, match=f"through={through}"):
        check(Progress(through=through), VIEW)


def test_standing_still_without_a_time_is_refused() -> None:
    with pytest.raises(BadProgress, match="neither"):
        check(Progress(through=1), VIEW)


@pytest.mark.parametrize(
    "progress",
    [Progress(through=2), Progress(through=3), Progress(through=1, wake_at=START), Progress(through=3, wake_at=START)],
)
def test_moving_or_naming_a_time_is_progress(progress: Progress) -> None:
    check(progress, VIEW)


def test_a_finished_call_may_be_answered_with_nothing_more() -> None:
    check(Progress(through=3), view(CALL, VIEW.events, cursor=3))


@pytest.mark.parametrize(
    ("error", "passes"),
    [(LogUnavailable(""), True), (TimeoutError(), True), (ConnectionResetError(), True), (KeyError("x"), False)],
)
def test_errors_that_time_mends_are_told_from_those_it_does_not(error: Exception, passes: bool) -> None:
    assert may_pass(error) is passes


def test_pauses_double_up_to_a_bound() -> None:
    pauses = [pause_s(n, first=1, longest=10) for n in (1, 2, 3, 4, 5, 1000)]

    for pause, middle in zip(pauses, (1, 2, 4, 8, 10, 10), strict=True):
        assert 0.8 * middle <= pause <= 1.2 * middle


def test_receipts_survive_the_way_to_the_log_and_refused_ones_carry_their_reason() -> None:
    receipts = [Receipt(1, "delivered", {"status": 200, "empty": []}), Receipt(2, "refused", {"reason": "400"})]

    count, *rest = receipt_args(receipts)

    assert (count, rest[0::3], rest[1::3]) == (2, [1, 2], ["", "400"])
    assert [read_receipt(bytes(raw)) for raw in rest[2::3] if isinstance(raw, bytes)] == receipts


def test_a_call_in_hand_gathers_its_doorbells_and_takes_no_second_slot() -> None:
    bench = Workbench(slots=2)
    bench.held[CALL] = held = Held(CALL, "1-0")

    for token in ("1-0", "2-0", "3-0", "2-0"):
        bench.offer(token, CALL)
    bench.offer("4-0", CallId("other"))

    assert (list(held.later), bench.waiting, bench.free) == (["2-0", "3-0"], 1, 0)


def test_options_that_would_spin_are_refused() -> None:
    with pytest.raises(ValueError, match="slots"):
        ConsumerOptions(slots=0)


def test_the_manual_clock_moves_only_by_hand() -> None:
    clock = ManualClock()
    clock.advance(2.5)

    assert (clock.now(), clock.monotonic()) == (START + timedelta(seconds=2.5), 1002.5)
    assert Speaker.model_config.get("frozen")
