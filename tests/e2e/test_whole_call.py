"""The call that the product is about, from the phone to CCM."""

import asyncio
from collections.abc import Awaitable, Callable

from call_events import catalogue as c
from call_events.ids import CallId
from standins.demo import verdict
from standins.demo.people import Person
from standins.demo.report import judge
from standins.demo.scenario import CUSTOMER_NUMBER, HUMAN_NUMBER, Play
from standins.stack.stack import Stack
from support.calls import Reading, all_hold


async def test_a_customer_is_helped_by_two_agents_and_a_person(
    stack: Stack, call: CallId, reading: Reading, person: Callable[[str], Awaitable[Person]]
) -> None:
    play = Play((await person(CUSTOMER_NUMBER)).phone, (await person(HUMAN_NUMBER)).phone, call)
    played = await play.run()
    events = await reading.whole()
    deliveries = await reading.delivered_through(events[-1].seq)
    all_hold(
        [
            *judge(events, deliveries, played, scripted=True),
            verdict.heard_in_order("customer", await play.customer.heard(), play.CUSTOMER_HEARS),
            verdict.heard_in_order("human", await play.human.heard(), play.HUMAN_HEARS),
        ]
    )
    started = events[0].data
    assert isinstance(started, c.CallStarted)
    assert (started.customer.number, started.dialled_number, started.customer.customer_id) == (
        CUSTOMER_NUMBER,
        "8001",
        "C-2048",
    )
    assert started.sip_headers["x-customer-id"] == "C-2048"
    tool = next(e.data for e in events if isinstance(e.data, c.ToolCalled) and e.data.name == "find_invoice")
    assert (tool.outcome, tool.arguments) == ("ok", {"invoice_number": "1042"})
    ended = events[-1].data
    assert isinstance(ended, c.CallEnded)
    assert ended.ended_by is c.EndedBy.CUSTOMER
    assert [d.intent for d in deliveries if d.intent] == ["START_CONVERSATION", "END_CHAT"]
    assert stack.ccm is not None
    assert stack.ccm.record.max_in_flight[call] == 1


async def test_two_callers_at_once_do_not_hear_or_read_each_other(
    stack: Stack, person: Callable[[str], Awaitable[Person]]
) -> None:
    first, second = await person("+15550002001"), await person("+15550002002")

    async def ask_the_price() -> None:
        await first.calls("e2e-both-1", X_Ani="+15550002001", X_Dnis="8001")
        await first.hears("generic.greeting")
        await first.says("customer.ask_pricing")
        await first.hears("sales.introduction")
        await first.says("customer.ask_pricing")
        await first.hears("sales.pricing")
        await first.phone.hang_up()

    async def ask_for_the_order() -> None:
        await second.calls("e2e-both-2", X_Ani="+15550002002", X_Dnis="8001", X_Customer_Id="C-2048")
        await second.hears("generic.greeting")
        await second.says("customer.order_status")
        await second.hears("support.introduction")
        await second.says("customer.order_status")
        await second.hears("support.order_found")
        await second.phone.hang_up()

    async with asyncio.TaskGroup() as group:
        group.create_task(ask_the_price())
        group.create_task(ask_for_the_order())
    assert {agent_of(phrase) for phrase in await first.heard()} == {"generic", "sales"}
    assert {agent_of(phrase) for phrase in await second.heard()} == {"generic", "support"}
    for name, one in (("e2e-both-1", first), ("e2e-both-2", second)):
        reading = Reading(stack, CallId(name))
        events = await reading.whole()
        deliveries = await reading.delivered_through(events[-1].seq)
        all_hold(
            [
                verdict.numbers_have_no_gap(events),
                verdict.every_utterance_is_settled(events),
                verdict.said_is_logged(events, c.Role.CUSTOMER, one.said),
                verdict.delivered_in_order(deliveries),
                verdict.delivered_completely(events, deliveries),
            ]
        )


def agent_of(phrase: str | None) -> str:
    """Whose voice it was; nobody's if it is not a phrase of the book: two voices at once are not understood."""
    return phrase.partition(".")[0] if phrase else "nobody"
