"""What is known of a call is the same whether it was folded at once or as the call grew."""

import pytest

from call_events.ports import Receipt
from call_events.testing import numbered, said, speaking, started
from ccm_bridge.domain.history import DELIVERED, PASSED_OVER, UNFINISHED, History, read_history
from unit.ccm_bridge.world import CALL, call_ended, connected, discarded, ended_speaking, handed_off, requested

EVENTS = numbered(
    [
        started(CALL),
        speaking(CALL, "u1"),
        handed_off(2),
        ended_speaking("u1", 3),
        requested(4),
        connected(5),
        said(CALL, "u1", "Hello."),
        speaking(CALL, "u2"),
        discarded("u2", 9),
        call_ended(10),
    ]
)
RECEIPTS = (
    Receipt(1, DELIVERED, {}),
    Receipt(2, PASSED_OVER, {"reason": UNFINISHED}),
    Receipt(3, DELIVERED, {"part": "leg6"}),
)


@pytest.mark.parametrize("cut", range(len(EVENTS) + 1))
def test_a_history_carried_on_is_the_history_read_anew(cut: int) -> None:
    carried = History()
    carried.follow(EVENTS[:cut], RECEIPTS[: cut // 3])

    carried.follow(EVENTS, RECEIPTS)

    assert carried == read_history(EVENTS, RECEIPTS)


def test_nothing_new_changes_nothing() -> None:
    carried = read_history(EVENTS, RECEIPTS)

    carried.follow(EVENTS, RECEIPTS)

    assert carried == read_history(EVENTS, RECEIPTS)
