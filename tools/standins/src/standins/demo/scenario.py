"""The demo's call: a customer with a question about an invoice, and Maria at the billing desk who answers it.

The people react to what they hear, as people do: they speak when the other side has said what they waited for. Against
a real model, whose words nobody knows beforehand, they wait for its silence instead.
"""

import asyncio
import time
from dataclasses import dataclass, field

from standins.phones import Phone
from standins.phrases import load_book

CUSTOMER_NUMBER = "+15550001111"
HUMAN_NUMBER = "maria"
DIALLED_NUMBER = "8001"
#: The human's phone rings for that long before it is picked up.
PICK_UP_AFTER_S = 2.5
#: A pause of a person who has heard the other side end.
BREATH_S = 0.3
TURN_DEADLINE_S = 30.0


@dataclass
class Played:
    """What the people did, with monotonic times."""

    call: str
    said_by_customer: list[str] = field(default_factory=list)
    said_by_human: list[str] = field(default_factory=list)
    called_at: float = 0.0
    answered_at: float = 0.0
    first_sound_at: float = 0.0
    asked_for_person_at: float = 0.0
    human_picked_up_at: float = 0.0


class Play:
    """One performance of the scenario.

    Args:
        customer: the phone that calls.
        human: the phone of the billing desk.
        call: call id = the user that the switch dials at LiveKit.
        scripted: the model is the stand-in, so its words are known.
    """

    #: What the customer must have understood, and the human, in this order.
    CUSTOMER_HEARS = (
        "generic.greeting",
        "billing.introduction",
        "billing.invoice_found",
        "billing.connecting_person",
        "human.greeting",
        "human.ask_which",
        "human.resolved",
        "human.goodbye",
    )
    HUMAN_HEARS = ("customer.to_human_1", "customer.to_human_2", "customer.to_human_3")

    def __init__(self, customer: Phone, human: Phone, call: str, *, scripted: bool = True) -> None:
        self._customer = customer
        self._human = human
        self._scripted = scripted
        self._book = load_book()
        self.played = Played(call)

    async def run(self) -> Played:
        """Play it from the INVITE to both phones on the hook.

        Raises:
            TimeoutError: somebody waited in vain; the note says for what.
        """
        self._human.answer(after_s=PICK_UP_AFTER_S)
        await self._call()
        await self._ask_the_ai()
        await self._talk_to_maria()
        await self._customer.hang_up()
        await self._human.hang_up()
        return self.played

    async def _call(self) -> None:
        played, customer = self.played, self._customer
        played.called_at = time.monotonic()
        await customer.call(
            played.call, headers={"X-Ani": CUSTOMER_NUMBER, "X-Dnis": DIALLED_NUMBER, "X-Customer-Id": "C-2048"}
        )
        played.answered_at = await customer.wait_answered(TURN_DEADLINE_S)
        played.first_sound_at = await customer.wait_sound(timeout_s=TURN_DEADLINE_S)

    async def _ask_the_ai(self) -> None:
        await self._customer_hears("generic.greeting", since=self.played.answered_at)
        asked = await self._customer_says("customer.ask_invoice")
        await self._customer_hears("billing.introduction", since=asked)
        asked = await self._customer_says("customer.invoice_number")
        await self._customer_hears("billing.invoice_found", since=asked)
        self.played.asked_for_person_at = await self._customer_says("customer.ask_person")

    async def _talk_to_maria(self) -> None:
        await self._human.wait_ringing(TURN_DEADLINE_S)
        self.played.human_picked_up_at = await self._human.wait_ringing_stopped(TURN_DEADLINE_S)
        for mine, hers in (
            (None, "human.greeting"),
            ("customer.to_human_1", "human.ask_which"),
            ("customer.to_human_2", "human.resolved"),
            ("customer.to_human_3", "human.goodbye"),
        ):
            if mine is not None:
                began = await self._customer_says(mine)
                await self._human.wait_phrase(mine, after=began, timeout_s=TURN_DEADLINE_S)
                await asyncio.sleep(BREATH_S)
            began, _ = await self._human.say(hers)
            self.played.said_by_human.append(self._book[hers].text)
            await self._customer.wait_phrase(hers, after=began, timeout_s=TURN_DEADLINE_S)
            await asyncio.sleep(BREATH_S)

    async def _customer_says(self, phrase: str) -> float:
        """Speak; returns when the speech ended."""
        _, ended = await self._customer.say(phrase)
        self.played.said_by_customer.append(self._book[phrase].text)
        return ended

    async def _customer_hears(self, phrase: str, *, since: float) -> None:
        if self._scripted:
            await self._customer.wait_phrase(phrase, after=since, timeout_s=TURN_DEADLINE_S)
        else:
            await self._customer.wait_quiet(1.5, after=since, timeout_s=TURN_DEADLINE_S)
        await asyncio.sleep(BREATH_S)
