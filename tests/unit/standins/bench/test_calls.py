"""A figure of a benchmark is measured or it is not there; a missing one must not look like the best."""

from dataclasses import replace

import pytest

from standins.bench.calls import milliseconds
from standins.bench.table import NotMeasured
from standins.demo.report import Times

WHOLE = Times(
    call_to_answer=0.5,
    call_to_first_sound=1.0,
    request_to_dial=0.25,
    pick_up_to_connected=0.125,
    request_to_connected=3.0,
    connected_to_silent=0.0,
)


def test_what_was_measured_is_told_also_if_it_took_no_time() -> None:
    assert milliseconds(WHOLE) == {
        "call → answer ms": 500,
        "call → first AI audio ms": 1000,
        "transfer.requested → dialled ms": 250,
        "pick-up → transfer.connected ms": 125,
        "transfer.connected → AI silent ms": 0,
    }


@pytest.mark.parametrize(
    ("figures", "named"),
    [
        (replace(WHOLE, request_to_dial=None), "transfer.requested → dialled;"),
        (replace(WHOLE, pick_up_to_connected=None), "pick-up → transfer.connected;"),
        (replace(WHOLE, connected_to_silent=None), "transfer.connected → AI silent;"),
    ],
)
def test_a_missing_figure_is_named_and_is_no_zero(figures: Times, named: str) -> None:
    with pytest.raises(NotMeasured, match=f"not measured: {named}"):
        milliseconds(figures)
