"""Calls with something missing: headers, CCM, the bridge."""

import os
import signal
import time
from collections.abc import Awaitable, Callable

from call_events import catalogue as c
from call_events.ids import CallId
from standins.demo import verdict
from standins.demo.people import Person
from standins.stack.services import CCM_BRIDGE
from standins.stack.stack import Stack
from support.calls import Reading, all_hold
from support.waiting import wait_until

Make = Callable[[str], Awaitable[Person]]


async def test_a_call_without_the_expected_headers_works(call: CallId, reading: Reading, person: Make) -> None:
    customer = await person("+15550004001")
    await customer.calls(call)
    await customer.hears("generic.greeting")
    await customer.phone.hang_up()
    events = await reading.whole()
    started = events[0].data
    assert isinstance(started, c.CallStarted)
    assert started.customer.number == "+15550004001"
    deliveries = await reading.delivered_through(events[-1].seq)
    all_hold([verdict.delivered_in_order(deliveries), verdict.delivered_completely(events, deliveries)])


async def test_an_interrupted_agent_is_quoted_only_as_far_as_it_was_heard(
    call: CallId, reading: Reading, person: Make
) -> None:
    customer = await person("+15550004002")
    await customer.calls(call, X_Ani="+15550004002")
    await customer.hears("generic.greeting")
    await customer.says("customer.long_story")
    monologue = await reading.nth_ai_utterance(2)
    began = time.monotonic()
    # Interrupting is what this test is about: let the caller hear some of it first.
    await wait_until(lambda: (customer.phone.recording.last_sound(began) or 0) > began + 2.5, within_s=10)
    await customer.says("customer.wait")
    await customer.hears("generic.go_on")
    await customer.phone.hang_up()
    events = await reading.whole()
    completed = next(
        e.data for e in events if isinstance(e.data, c.UtteranceCompleted) and e.data.utterance_id == monologue
    )
    whole = "In the end you will get a letter with the result, usually within ten days."
    assert completed.interrupted
    assert completed.text.startswith("Let me tell you")
    assert not completed.text.endswith(whole)


async def test_ccm_gets_everything_in_order_after_it_was_away(
    stack: Stack, call: CallId, reading: Reading, person: Make
) -> None:
    assert stack.ccm is not None
    customer = await person("+15550004003")
    await stack.ccm.go_down()
    try:
        await customer.calls(call, X_Ani="+15550004003")
        await customer.hears("generic.greeting")
        await customer.says("customer.hello")
        await customer.hears("generic.ask_topic")
        await customer.phone.hang_up()
        events = await reading.whole()
        assert reading.delivered() == []
    finally:
        await stack.ccm.come_up()
    deliveries = await reading.delivered_through(events[-1].seq, deadline_s=40)
    all_hold(
        [
            verdict.said_is_logged(events, c.Role.CUSTOMER, customer.said),
            verdict.delivered_in_order(deliveries),
            verdict.delivered_completely(events, deliveries),
        ]
    )


async def test_a_killed_bridge_loses_and_reorders_nothing(
    stack: Stack, call: CallId, reading: Reading, person: Make
) -> None:
    customer = await person("+15550004004")
    await customer.calls(call, X_Ani="+15550004004")
    await customer.hears("generic.greeting")
    os.kill(stack.services[CCM_BRIDGE.module].process.pid, signal.SIGKILL)
    await customer.says("customer.hello")
    await customer.hears("generic.ask_topic")
    await (await stack.start_service(CCM_BRIDGE)).ready()
    await customer.phone.hang_up()
    events = await reading.whole()
    deliveries = await reading.delivered_through(events[-1].seq)
    once = list({d.id: d for d in deliveries}.values())
    assert len(deliveries) - len(once) <= 1, "more than one message was repeated"
    all_hold([verdict.delivered_in_order(once), verdict.delivered_completely(events, once)])
