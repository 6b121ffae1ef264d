"""Which calls are meant by what somebody asks for."""

from datetime import timedelta

import pytest

from call_archive.summary import summary_of
from call_events.testing import START
from callweave.searching import Criteria, Hit
from callweave.sources.record import Where
from support.records import CALL, record, story

SUMMARY = summary_of(record().events)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("criteria", "is_meant"),
    [
        (Criteria(), True),
        (Criteria(customer="C-1"), True),
        (Criteria(customer="sip_1"), True),
        (Criteria(customer="C-"), False),
        (Criteria(number="+4930111222"), True),
        (Criteria(number="030 111 222"), True),
        (Criteria(number="1222"), True),
        (Criteria(number="030222"), True),  # the dialled one
        (Criteria(number="4930333"), False),
        (Criteria(number="00"), False),
        (Criteria(agent="billing"), True),
        (Criteria(agent="maria weber"), True),
        (Criteria(agent="Maria"), False),
        (Criteria(outcome="customer"), True),
        (Criteria(outcome="client_initiated"), True),
        (Criteria(outcome="connected"), True),
        (Criteria(outcome="busy"), False),
        (Criteria(outcome="open"), False),
        (Criteria(since=START - HOUR, until=START + HOUR), True),
        (Criteria(since=START), True),
        (Criteria(until=START), False),
        (Criteria(since=START + HOUR), False),
        (Criteria(customer="C-1", agent="sales"), False),
    ],
    ids=str,
)
def test_everything_that_is_asked_for_must_hold(criteria: Criteria, is_meant: bool) -> None:
    assert criteria.fits(SUMMARY, START) is is_meant


def test_a_call_without_a_time_is_found_only_if_no_time_is_asked_for() -> None:
    assert Criteria(customer="C-1").fits(SUMMARY, None)
    assert not Criteria(customer="C-1", since=START).fits(SUMMARY, None)


def test_a_call_that_runs_is_open() -> None:
    assert Criteria(outcome="open").fits(summary_of(record(story()[:9]).events), START)


def test_a_hit_is_one_line_whatever_names_hold() -> None:
    summary = summary_of(record(story(name="Bob\x1b[2J\ncall-8")).events)
    line = Hit(CALL, Where.ARCHIVE, START, summary).line
    assert line.isprintable()
    assert "call-7  C-1 +4930111222; generic, billing, Bob" in line
    assert line.endswith("transfer to billing-desk: connected  [archive]")
