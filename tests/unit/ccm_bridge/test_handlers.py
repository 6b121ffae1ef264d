"""One turn of the handler: attempts, waits, refusals, and what is told about them."""

from datetime import timedelta

import pytest
import structlog

from call_events.ports import AnyEvent, CallView, Endpoint
from call_events.registry import UnknownData
from call_events.testing import START, said, speaking, started
from ccm_bridge.domain.retry import NoAnswer
from ccm_bridge.handlers import without_content
from unit.ccm_bridge.world import CALL, World, at, finish, requested


def test_a_failed_message_is_put_off_and_not_tried_before_its_time_even_if_events_come() -> None:
    world = World()
    world.ccm.script = [503]
    world.append(started(CALL))
    assert world.cursor == 0
    assert world.wake_at is not None
    world.append(speaking(CALL, "c", at_s=0.05))
    assert len(world.ccm.attempts) == 1
    world.later(1)
    assert world.ccm.texts == ["Call started"]


def test_a_refused_message_gets_a_receipt_and_the_call_goes_on() -> None:
    world = World()
    world.ccm.script = [400]
    world.append(started(CALL), speaking(CALL, "c", at_s=1), said(CALL, "c", "Hello", at_s=1))
    assert [(r.seq, r.outcome) for r in world.receipts] == [(1, "refused"), (2, "delivered")]
    assert world.receipts[0].detail["status"] == 400
    assert "CCM answered 400" in world.receipts[0].detail["reason"]
    assert world.ccm.texts == ["Hello"]


def test_a_wrong_configuration_holds_the_call_and_nothing_is_lost() -> None:
    world = World()
    world.ccm.script = [404, 404]
    world.append(started(CALL))
    world.later(25)
    assert len(world.ccm.attempts) == 1
    world.later(200)
    assert world.ccm.texts == ["Call started"]


def test_a_time_out_is_repeated_with_the_same_bytes() -> None:
    world = World()
    world.ccm.script = [NoAnswer.TIMEOUT]
    world.append(started(CALL))
    world.later(5)
    first, second = world.ccm.taken
    assert first.body == second.body


def test_a_new_process_sends_the_same_bytes() -> None:
    world = World()
    world.ccm.script = [NoAnswer.TIMEOUT]
    world.append(started(CALL))
    world.restart()
    world.turn()
    first, second = world.ccm.taken
    assert first.body == second.body


def test_one_turn_sends_one_message_so_that_a_crash_repeats_at_most_one() -> None:
    world = World()
    events = [started(CALL), speaking(CALL, "c", at_s=1), said(CALL, "c", "Hello", at_s=1), requested(5)]
    numbered = tuple(one.model_copy(update={"seq": n}) for n, one in enumerate(events, 1))
    progress = finish(world.handler(CallView(CALL, numbered, 0, ())))
    assert (progress.through, len(progress.receipts)) == (1, 1)
    assert len(world.ccm.attempts) == 1


def test_a_wait_after_a_message_is_told_in_the_same_answer() -> None:
    world = World()
    numbered = (
        started(CALL).model_copy(update={"seq": 1}),
        speaking(CALL, "c", at_s=1).model_copy(update={"seq": 2}),
    )
    progress = finish(world.handler(CallView(CALL, numbered, 0, ())))
    assert (progress.through, progress.wake_at) == (1, START + timedelta(seconds=121))


def test_an_answer_that_repeats_the_message_is_kept_without_personal_data() -> None:
    world = World()
    world.append(started(CALL), speaking(CALL, "c", at_s=1), said(CALL, "c", "My name is Ms Example", at_s=1))
    message = world.ccm.shown[-1]
    excerpt = f'{{"error":"bad text My name is Ms Example from {message.channel.customer}, card 4111111111111111"}}'
    assert without_content(excerpt, message) == '{"error":"bad text … from …, card …"}'


@pytest.mark.parametrize(
    ("text", "answer", "kept"),
    [
        ("Größe 7", '"reason":"bad text Größe 7"', '"reason":"bad text …"'),
        ("Größe 7", '"reason":"bad text Gr\\u00f6\\u00dfe 7"', '"reason":"bad text …"'),
        ('He said "no" to Ann', '"reason":"bad text He said \\"no\\" to Ann"', '"reason":"bad text …"'),
        ("It is 4 7 1 1", "no digits please: 4, 7", "no digits please: …, …"),
        ("PIN is 4711, ok", "column 12: '4711,' is not allowed", "column 12: '…' is not allowed"),
        ("PIN is 4711, ok", "got 4711 at column 12", "got … at column 12"),
        ("Yes", "unknown customer +1 (555) 000-1111", "unknown customer …"),
        ("Call Conversation", "the Conversational service is down", "the Conversational service is down"),
    ],
)
def test_speech_and_numbers_are_cut_out_of_an_answer_however_they_are_spelled(
    text: str, answer: str, kept: str
) -> None:
    world = World()
    world.append(started(CALL), speaking(CALL, "c", at_s=1), said(CALL, "c", text, at_s=1))
    assert without_content(answer, world.ccm.shown[-1]) == kept


def test_logs_and_receipts_hold_neither_speech_nor_numbers() -> None:
    world = World()
    world.ccm.script = [202, 400]
    with structlog.testing.capture_logs() as logs:
        world.append(
            started(CALL), speaking(CALL, "c", at_s=1), said(CALL, "c", "Sensitive sentence", at_s=1), requested(9)
        )
    told = repr(logs) + repr(world.receipts[1])
    assert logs
    assert "15550100" not in told
    assert "Sensitive sentence" not in told


def test_an_event_of_a_newer_release_is_reported_and_passed_over() -> None:
    world = World()
    with structlog.testing.capture_logs() as logs:
        world.append(started(CALL), at(UnknownData(wire_type="mood.noticed.v1", raw={"mood": "x"}), 1), requested(2))
    assert [one["type"] for one in logs if one["event"] == "event.unknown"] == ["mood.noticed.v1"]
    assert world.cursor == 2, "the request after it is held, so it was passed"


def test_the_consumer_is_told_whether_ccm_was_asked_and_served() -> None:
    world = World()
    world.ccm.script = [503, NoAnswer.TIMEOUT, 400]

    def turn(*events: AnyEvent) -> Endpoint:
        numbered = tuple(one.model_copy(update={"seq": n}) for n, one in enumerate(events, 1))
        return finish(world.handler(CallView(CALL, numbered, 0, ()))).endpoint

    assert turn(started(CALL)) is Endpoint.FAILED
    assert turn(started(CALL)) is Endpoint.NOT_ASKED, "its time has not come"
    world.clock.advance(5)
    assert turn(started(CALL)) is Endpoint.FAILED
    world.clock.advance(5)
    assert turn(started(CALL)) is Endpoint.SERVED, "a refusal is an answer"
    assert turn(started(CALL), speaking(CALL, "c")) is Endpoint.SERVED
    assert turn(requested(0)) is Endpoint.NOT_ASKED


def test_a_hold_that_times_out_while_ccm_is_down_is_alarmed_once() -> None:
    world = World()
    world.append(started(CALL), requested(1))
    world.ccm.script = [503] * 30
    world.later(180)
    assert len(world.ccm.attempts) > 2
    assert world.meter.counts["hold_timed_out"] == 1
