"""Two replays side by side: everything that differs is told, and nothing else."""

from call_events import catalogue as c
from call_events.envelope import Event, EventData
from call_events.ids import CallId
from call_events.testing import START
from callweave.differing import Change, difference, lines
from support.records import record, story

EVENTS = record().events


def test_the_same_replay_differs_in_nothing() -> None:
    assert difference(EVENTS, list(EVENTS)).is_none
    assert list(lines(difference(EVENTS, EVENTS))) == []


def test_two_moments_of_one_call_differ_in_what_came_between() -> None:
    found = difference(EVENTS[:16], EVENTS[:19])
    assert [(one.side, one.seq, one.type) for one in found.steps] == [
        ("+", 17, "transfer.connected.v1"),
        ("+", 18, "leg.joined.v1"),
        ("+", 19, "transfer.completed.v1"),
    ]
    changes = {one.path: (one.one, one.other) for one in found.changes}
    assert changes["owner"] == ('"ai"', '"human"')
    assert changes["transfers[0].stage"] == ('"ringing"', '"completed"')
    assert changes["legs[1]"][0] is None
    assert '  owner: "ai" → "human"' in list(lines(found))


def test_going_back_takes_away_what_had_come() -> None:
    there, back = difference(EVENTS[:16], EVENTS[:19]), difference(EVENTS[:19], EVENTS[:16])
    assert [one.side for one in back.steps] == ["-"] * 3
    assert {(one.path, one.other, one.one) for one in there.changes} == {
        (one.path, one.one, one.other) for one in back.changes
    }


def test_a_copy_in_which_one_word_was_changed_is_not_the_same() -> None:
    changed = record(story(said="Where is my money?")).events
    found = difference(EVENTS, changed)
    assert [(one.side, one.seq) for one in found.steps if one.type == "utterance.completed.v1"] == [
        ("-", 10),
        ("+", 10),
    ]
    assert Change("utterances[1].text", '"Where is my order?"', '"Where is my money?"') in found.changes


def test_two_calls_in_which_the_same_happened_differ_in_nothing_that_matters() -> None:
    """Their ids and times are never the same."""
    other = [
        one.model_copy(update={"time": one.time.replace(year=2027)}) for one in record(story(CallId("call-8"))).events
    ]
    assert difference(EVENTS, other).is_none


def test_two_calls_differ_in_what_happened() -> None:
    other = record(story(CallId("call-8"), name="Bob")).events[:22]
    found = difference(EVENTS, other)
    assert ("-", 23) in [(one.side, one.seq) for one in found.steps]
    assert Change("transfers[0].human.name", '"Maria Weber"', '"Bob"') in found.changes
    assert not any(one.path.endswith(("_at", "utterance_id")) for one in found.changes)


def test_what_a_terminal_obeys_is_shown_and_not_done() -> None:
    speaker = c.Speaker(role=c.Role.CUSTOMER, name="x\x1b[2J", identity="sip_1")
    said = c.UtteranceCompleted(
        utterance_id="u9", speaker=speaker, text="a\n- 1 forged\u202e", started_at=START, ended_at=START
    )
    more = Event[EventData](data=said, call=EVENTS[0].call, producer="p", seq=24, time=START)
    assert all(line.isprintable() for line in lines(difference(EVENTS, [*EVENTS, more])))
