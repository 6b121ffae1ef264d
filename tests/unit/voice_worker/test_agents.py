"""What the agents of our own profile may tell whom, and what they know of the call they are in."""

import asyncio
import gc
import warnings
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest
from livekit.agents import StopResponse, ToolError
from livekit.agents.llm.tool_context import get_fnc_tool_names

from call_events.ids import CallId
from call_events.testing import START
from voice_worker.adapters.agents.cast import ProfileCast
from voice_worker.adapters.example_book import ExampleBook
from voice_worker.adapters.profile_files import load_profile
from voice_worker.domain.book import Caller, Demo
from voice_worker.domain.call import OpenTransfer, Phase, SessionState
from voice_worker.ports import Desk

PROFILE = load_profile(Path(__file__).parents[3] / "profiles", "contact-centre")


class FakeDesk:
    def __init__(self, **known: Any) -> None:
        self.state = SessionState(call=CallId("call-1"), customer_identity="sip_1", **known)


class Agents:
    """The agents of one call."""

    def __init__(self, desk: FakeDesk, book: ExampleBook | None = None) -> None:
        self.desk = desk
        self._cast = ProfileCast(PROFILE, cast("Desk", desk), book or ExampleBook(), date(2026, 11, 21))

    def instructions(self, agent: str) -> str:
        return str(self._make(agent).instructions)

    async def use(self, agent: str, tool: str, **arguments: str) -> str:
        """What the model is answered."""
        try:
            return str(await getattr(self._make(agent), tool)(**arguments))
        except ToolError as error:
            return error.message

    def _make(self, agent: str) -> Any:
        return self._cast.make(agent, chat_ctx=None, reason="r", introduce=False)


def known(customer_id: str | None = "C-2048") -> Agents:
    return Agents(FakeDesk(customer_id=customer_id, customer_number="+15550001111"))


PERSONAL: list[tuple[str, str, dict[str, str]]] = [
    ("billing", "find_invoice", {"invoice_number": "1042"}),
    ("billing", "list_invoices", {}),
    ("billing", "record_payment_promise", {"invoice_number": "1042", "date": "2026-12-04"}),
    ("support", "find_order", {"order_number": "2002"}),
    ("support", "ticket_status", {"ticket_number": "3101"}),
]


@pytest.mark.parametrize(("agent", "tool", "arguments"), PERSONAL)
async def test_what_is_a_customers_is_told_to_the_customer_only(
    agent: str, tool: str, arguments: dict[str, str]
) -> None:
    told = await known().use(agent, tool, **arguments)
    assert any(number in told for number in ("1042", "2002", "3101"))
    for caller in ("C-3110", "C-no-such", None):
        refused = await known(caller).use(agent, tool, **arguments)
        assert not any(secret in refused for secret in ("1042", "89.90", "2002", "3101", "shipped", "router"))


@pytest.mark.parametrize(("agent", "tool", "arguments"), PERSONAL)
async def test_a_caller_whom_nobody_knows_is_asked_who_they_are_whether_or_not_there_is_such_a_number(
    agent: str, tool: str, arguments: dict[str, str]
) -> None:
    """The answer must not tell which numbers exist."""
    nobody = known(None)
    refused = await nobody.use(agent, tool, **arguments)
    assert "identify_caller" in refused
    assert await known("").use(agent, tool, **arguments) == refused
    other = {name: "9999" if name.endswith("_number") else value for name, value in arguments.items()}
    assert await nobody.use(agent, tool, **other) == refused


async def test_whoever_proves_who_they_are_is_that_customer_for_every_agent() -> None:
    agents = known(None)
    assert "identified now" in await agents.use(
        "support", "identify_caller", customer_number="2048", service_pin="5307"
    )
    assert "89.90" in await agents.use("billing", "find_invoice", invoice_number="1042")
    assert agents.desk.state.customer_id == "C-2048"


async def test_guessing_ends_after_three_tries_also_with_another_agent_and_with_the_right_pin() -> None:
    agents = known(None)
    for agent, pin in (("support", "1"), ("support", "2"), ("billing", "3")):
        told = await agents.use(agent, "identify_caller", customer_number="2048", service_pin=pin)
        assert "do not belong together" in told
    told = await agents.use("billing", "identify_caller", customer_number="2048", service_pin="5307")
    assert "Too many tries" in told
    assert agents.desk.state.customer_id is None


async def test_tries_in_one_breath_are_several_tries() -> None:
    """A model may call a tool as often as it likes in one reply."""
    agents = known(None)
    async with asyncio.TaskGroup() as group:
        tries = [
            group.create_task(
                agents.use("billing", "identify_caller", customer_number="2048", service_pin=f"{pin:04d}")
            )
            for pin in range(5300, 5310)
        ]
    assert sum("Too many tries" in task.result() for task in tries) == 7
    assert agents.desk.state.customer_id is None


@pytest.mark.parametrize("phase", [Phase.HUMAN, Phase.ENDED])
async def test_a_model_that_is_no_longer_in_charge_asks_the_book_nothing_and_spends_no_try(phase: Phase) -> None:
    agents = known(None)
    agents.desk.state.phase = phase
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for tool, arguments in (
            ("find_invoice", {"invoice_number": "1042"}),
            ("identify_caller", {"customer_number": "2048", "service_pin": "5307"}),
        ):
            with pytest.raises(StopResponse):
                await agents.use("billing", tool, **arguments)
        gc.collect()
    assert not warned, "a question that is never put is withdrawn"
    assert agents.desk.state.identification_tries == 0
    assert agents.desk.state.customer_id is None


async def test_anybody_may_ask_what_is_sold_and_have_a_ticket_opened() -> None:
    nobody = known(None)
    assert "59.90" in await nobody.use("sales", "get_pricing", product="Business")
    assert "is booked" in await nobody.use("sales", "book_demo", day="2026-12-01", email="anna@example.com")
    assert "is open" in await nobody.use("support", "open_ticket", subject="No sound", details="Since noon")


async def test_the_book_is_told_who_calls_and_from_where() -> None:
    """A demonstration is booked for somebody who can be called back."""
    callers: list[Caller] = []

    class Book(ExampleBook):
        async def book_demo(self, caller: Caller, day: date, email: str) -> Demo:
            callers.append(caller)
            return await super().book_demo(caller, day, email)

    for customer_id in ("C-2048", None):
        agents = Agents(FakeDesk(customer_id=customer_id, customer_number="+15550001111"), Book())
        await agents.use("sales", "book_demo", day="2026-12-01", email="anna@example.com")
    assert callers == [
        Caller(customer_id="C-2048", number="+15550001111"),
        Caller(customer_id=None, number="+15550001111"),
    ]


def test_only_agents_that_tell_personal_things_ask_for_a_pin() -> None:
    asking = {
        spec.key
        for spec in PROFILE.agents
        if "identify_caller" in get_fnc_tool_names(Agents(FakeDesk())._make(spec.key).tools)
    }
    assert asking == {"billing", "support"}
    assert asking == {spec.key for spec in PROFILE.agents if "identify_caller" in spec.prompt}


def test_an_agent_that_takes_the_floor_knows_who_calls_and_whether_a_person_is_being_called() -> None:
    """Also one that another worker brings back in the middle of a transfer."""
    agents = known()
    assert agents.instructions("billing").endswith(
        "Today is Saturday, 21 November 2026. The caller is an identified customer."
    )
    agents.desk.state.transfer = OpenTransfer(transfer_id="t", destination="billing-desk", requested_at=START)
    assert "A person (billing-desk) is being called for the caller" in agents.instructions("generic")
    assert known(None).instructions("billing").endswith("It is not known who is calling.")
