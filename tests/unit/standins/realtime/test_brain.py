"""The model's mind: what it says depends on what it sees, and on nothing else."""

from pathlib import Path

import pytest

from standins.phrases import load_book
from standins.realtime.brain import Brain, Situation

BOOK = load_book()
BRAIN = Brain(BOOK)
HAND_OVERS = frozenset(f"hand_over_to_{key}" for key in ("generic", "sales", "support", "billing"))
TOOLS = {
    "generic": HAND_OVERS | {"transfer_to_human", "end_call"},
    "sales": HAND_OVERS | {"transfer_to_human", "end_call", "get_pricing", "book_demo", "start_trial"},
    "support": HAND_OVERS | {"transfer_to_human", "end_call", "find_order", "open_ticket", "ticket_status"},
    "billing": HAND_OVERS
    | {"transfer_to_human", "end_call", "find_invoice", "list_invoices", "record_payment_promise"},
}


def seen(agent: str, *, heard: str | None = None, tool: str | None = None, output: str = "", asked: str = "",
         last_said: str = "") -> Situation:  # fmt: skip
    """A situation of one agent with all its tools."""
    instructions = f"You are the {agent.title()} agent of Callweave.\n\n# What you do"
    return Situation(
        instructions=instructions,
        tools=TOOLS[agent],
        heard=heard,
        tool=tool,
        output=output,
        asked=asked,
        last_said=last_said,
    )


def said(situation: Situation) -> list[str]:
    """The phrases of the reply."""
    return [phrase.id for phrase in BRAIN.decide(situation).say]


@pytest.mark.parametrize(
    ("agent", "heard", "tool"),
    [
        ("generic", "customer.ask_invoice", "hand_over_to_billing"),
        ("generic", "customer.ask_pricing", "hand_over_to_sales"),
        ("generic", "customer.technical_problem", "hand_over_to_support"),
        ("billing", "customer.other_topic", "hand_over_to_generic"),
        ("billing", "customer.invoice_number", "find_invoice"),
        ("billing", "customer.list_invoices", "list_invoices"),
        ("billing", "customer.promise_payment", "record_payment_promise"),
        ("billing", "customer.ask_person", "transfer_to_human"),
        ("sales", "customer.ask_pricing", "get_pricing"),
        ("sales", "customer.ask_demo", "book_demo"),
        ("sales", "customer.start_trial", "start_trial"),
        ("support", "customer.order_status", "find_order"),
        ("support", "customer.open_ticket", "open_ticket"),
        ("support", "customer.ticket_status", "ticket_status"),
        ("generic", "customer.goodbye", "end_call"),
    ],
)
def test_what_the_caller_says_calls_the_tool_of_the_agent(agent: str, heard: str, tool: str) -> None:
    call = BRAIN.decide(seen(agent, heard=heard)).call
    assert call is not None
    assert call.tool == tool


@pytest.mark.parametrize("agent", list(TOOLS))
@pytest.mark.parametrize("heard", [*BOOK.of("customer"), "unintelligible"])
def test_every_agent_has_an_answer_to_everything(agent: str, heard: str) -> None:
    reply = BRAIN.decide(seen(agent, heard=heard))
    assert reply.say or reply.call
    assert reply.call is None or reply.call.tool in TOOLS[agent]


def test_without_its_tool_the_agent_does_not_pretend() -> None:
    situation = Situation(instructions="You are the Billing agent.", tools=frozenset(), heard="customer.invoice_number")
    assert BRAIN.decide(situation).call is None
    assert said(situation) == ["billing.did_not_understand"]


@pytest.mark.parametrize(
    ("output", "phrase"),
    [
        (
            "Invoice 1042: 89.90 EUR, open, due 05 December 2026. Positions: one-off setup fee 30.00 EUR.",
            "billing.invoice_found",
        ),
        (
            "Invoice 1042: 98.90 EUR, open, due 05 December 2026. Positions: one-off setup fee 30.00 EUR.",
            "billing.invoice_other",
        ),
        ("There is no invoice of that number. Ask the caller to read it again.", "billing.invoice_unknown"),
    ],
)
def test_the_output_of_a_tool_decides_the_sentence(output: str, phrase: str) -> None:
    assert said(seen("billing", tool="find_invoice", output=output)) == [phrase]


@pytest.mark.parametrize(
    ("agent", "tool", "phrase"),
    [
        ("billing", "find_invoice", "billing.invoice_unknown"),
        ("billing", "list_invoices", "billing.invoice_unknown"),
        ("billing", "record_payment_promise", "billing.promise_refused"),
        ("support", "find_order", "support.order_unknown"),
        ("support", "ticket_status", "support.ticket_unknown"),
    ],
)
def test_nothing_is_said_to_be_found_for_a_caller_who_is_not_identified(agent: str, tool: str, phrase: str) -> None:
    output = "Not found, for the caller is not identified. Ask for their customer number and service PIN."
    assert said(seen(agent, tool=tool, output=output)) == [phrase]


@pytest.mark.parametrize(
    ("asked", "phrase"),
    [
        ("Greet the caller: welcome them to Callweave.", "generic.greeting"),
        ("Introduce yourself to the caller in one short sentence.", "generic.introduction"),
        ("The transfer failed: busy. Tell the caller that nobody could be reached.", "generic.transfer_busy"),
        ("The transfer failed: declined. The busy person declined.", "generic.transfer_declined"),
        ("The transfer failed: no_answer. Tell the caller.", "generic.transfer_no_answer"),
        ("The transfer failed: unreachable. Tell the caller.", "generic.transfer_unreachable"),
        ("The human left the call. Tell the caller briefly that you are back.", "generic.human_left"),
    ],
)
def test_the_instructions_of_one_reply_decide_the_sentence(asked: str, phrase: str) -> None:
    assert said(seen("generic", asked=asked)) == [phrase]


def test_yes_means_what_was_offered_last() -> None:
    offer = BOOK["support.ask_open_ticket"].text
    assert BRAIN.decide(seen("support", heard="customer.yes", last_said=offer)).call is not None
    assert said(seen("support", heard="customer.yes")) == ["support.go_on"]


def test_a_dialogue_with_a_phrase_that_nobody_can_say_is_refused(tmp_path: Path) -> None:
    dialogue = tmp_path / "wrong.yaml"
    dialogue.write_text("rules:\n  - {when: {heard: anything}, say: no_such_phrase}\n")
    with pytest.raises(KeyError, match=r"wrong\.yaml.*no_such_phrase"):
        Brain(BOOK, dialogue)
