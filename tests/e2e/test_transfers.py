"""Bringing a person in, when the person does what people do."""

import time
from collections.abc import Awaitable, Callable

from call_events import catalogue as c
from call_events.ids import CallId
from standins.demo import verdict
from standins.demo.people import Person
from support.calls import Reading, all_hold

Make = Callable[[str], Awaitable[Person]]
DESK = "7001"


async def _asks_for_a_person(customer: Person, call: CallId, number: str) -> None:
    await customer.calls(call, X_Ani=number, X_Dnis="8001")
    await customer.hears("generic.greeting")
    await customer.says("customer.ask_person")


async def test_a_busy_desk_is_told_to_the_caller_and_the_ai_goes_on(
    call: CallId, reading: Reading, person: Make
) -> None:
    customer, desk = await person("+15550003001"), await person(DESK)
    desk.phone.busy()
    await _asks_for_a_person(customer, call, "+15550003001")
    await customer.hears("generic.transfer_busy")
    await customer.says("customer.ask_invoice")
    await customer.hears("billing.introduction")
    await customer.phone.hang_up()

    events = await reading.whole()
    deliveries = await reading.delivered_through(events[-1].seq)
    failed = next(e.data for e in events if isinstance(e.data, c.TransferFailed))
    assert failed.outcome is c.DialOutcome.BUSY
    assert [(a.outcome, a.sip_status) for a in failed.attempts] == [(c.DialOutcome.BUSY, 486)]
    all_hold(
        [
            verdict.numbers_have_no_gap(events),
            verdict.every_utterance_is_settled(events),
            verdict.said_is_logged(events, c.Role.CUSTOMER, customer.said),
            verdict.happened(events, "one transfer, one outcome", c.TransferRequested, c.TransferFailed),
            verdict.delivered_in_order(deliveries),
            verdict.delivered_completely(events, deliveries),
            verdict.held_while_open(events, deliveries),
        ]
    )


async def test_a_caller_who_leaves_while_the_phone_rings_stops_the_ringing(
    call: CallId, reading: Reading, person: Make
) -> None:
    customer, desk = await person("+15550003002"), await person(DESK)
    desk.phone.ring_out()
    await _asks_for_a_person(customer, call, "+15550003002")
    await desk.phone.wait_ringing()
    await customer.phone.hang_up()
    hung_up = time.monotonic()
    stopped = await desk.phone.wait_ringing_stopped()
    assert stopped - hung_up < 5.0
    cancelled = await reading.wait_for(c.CallEnded)
    events = await reading.now()
    # The worker closes the log; the word about the transfer must have come before, or the log would lack it.
    outcome = verdict.outcome_of(
        events, next(e.data.transfer_id for e in events if isinstance(e.data, c.TransferRequested))
    )
    assert outcome is not None
    assert isinstance(outcome.data, c.TransferCancelled)
    assert outcome.data.cause in {"caller_left", "call_ended"}
    deliveries = await reading.delivered_through(cancelled.seq)
    all_hold([verdict.numbers_have_no_gap(events), verdict.delivered_in_order(deliveries)])


async def test_the_ai_is_silent_at_once_when_the_person_answers_in_the_middle_of_its_sentence(
    call: CallId, reading: Reading, person: Make
) -> None:
    customer, desk = await person("+15550003003"), await person(DESK)
    desk.phone.answer(after_s=0.5)
    await _asks_for_a_person(customer, call, "+15550003003")
    await reading.wait_for(c.TransferConnected)
    await reading.wait_for(c.TransferCompleted)
    connected = await reading.wait_for(c.TransferConnected)
    moment = connected.time.timestamp() - (time.time() - time.monotonic())
    await customer.phone.wait_quiet(1.0)
    last = customer.phone.recording.last_sound()
    assert last is not None
    assert last - moment < 1.0, "the AI went on speaking to the caller and the person"
    # The two now talk, and both are written down.
    await desk.says("human.greeting")
    await customer.hears("human.greeting")
    await customer.says("customer.to_human_1")
    await desk.hears("customer.to_human_1")
    await customer.phone.hang_up()
    events = await reading.whole()
    assert verdict.texts(events, c.Role.HUMAN) == desk.said
    all_hold([verdict.said_is_logged(events, c.Role.CUSTOMER, customer.said)])


async def test_when_the_person_hangs_up_first_the_ai_comes_back(call: CallId, reading: Reading, person: Make) -> None:
    customer, desk = await person("+15550003004"), await person(DESK)
    desk.phone.answer(after_s=0.8)
    await _asks_for_a_person(customer, call, "+15550003004")
    await desk.picks_up()
    await desk.says("human.goodbye")
    await customer.hears("human.goodbye")
    await desk.phone.hang_up()
    await customer.hears("generic.human_left")
    await customer.says("customer.no")
    await customer.phone.wait_hung_up()
    events = await reading.whole()
    ended = events[-1].data
    assert isinstance(ended, c.CallEnded)
    assert ended.ended_by is c.EndedBy.AI
    all_hold(
        [
            verdict.numbers_have_no_gap(events),
            verdict.every_utterance_is_settled(events),
            verdict.said_is_logged(events, c.Role.CUSTOMER, customer.said),
            verdict.said_is_logged(events, c.Role.HUMAN, desk.said),
        ]
    )
