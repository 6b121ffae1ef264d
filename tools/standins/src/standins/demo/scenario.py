"""The demo's call: a customer with a question about an invoice, and Maria at the billing desk who answers it.

The people react to what they hear, as people do: they speak when the other side has said what they waited for. Against
a real model, whose words nobody knows beforehand, they wait for its silence instead.
"""

import time
from dataclasses import dataclass, field

from standins.demo.people import TURN_DEADLINE_S, Person
from standins.phones import Phone

CUSTOMER_NUMBER = "+15550001111"
#: Who the switch says is calling: whose invoices can be asked for.
CUSTOMER_ID = "C-2048"
#: The SIP user of the billing desk in profiles/contact-centre/destinations.yaml.
HUMAN_NUMBER = "7001"
DIALLED_NUMBER = "8001"
#: The human's phone rings for that long before it is picked up.
PICK_UP_AFTER_S = 2.5


@dataclass
class Played:
    """What the people did, with monotonic times."""

    call: str
    said_by_customer: list[str] = field(default_factory=list)
    said_by_human: list[str] = field(default_factory=list)
    called_at: float = 0.0
    answered_at: float = 0.0
    first_sound_at: float = 0.0
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
        self.customer = Person(customer)
        self.human = Person(human)
        self._scripted = scripted
        self.played = Played(call, said_by_customer=self.customer.said, said_by_human=self.human.said)

    async def run(self) -> Played:
        """Play it from the INVITE to both phones on the hook.

        Raises:
            TimeoutError: somebody waited in vain; the text says for what.
        """
        self.human.phone.answer(after_s=PICK_UP_AFTER_S)
        await self._call()
        await self._ask_the_ai()
        await self._talk_to_maria()
        await self.customer.phone.hang_up()
        await self.human.phone.hang_up()
        return self.played

    async def _call(self) -> None:
        played = self.played
        played.called_at = time.monotonic()
        played.answered_at = await self.customer.calls(
            played.call, X_Ani=CUSTOMER_NUMBER, X_Dnis=DIALLED_NUMBER, X_Customer_Id=CUSTOMER_ID
        )
        played.first_sound_at = await self.customer.phone.wait_sound(timeout_s=TURN_DEADLINE_S)

    async def _ask_the_ai(self) -> None:
        await self._customer_hears("generic.greeting")
        await self.customer.says("customer.ask_invoice")
        await self._customer_hears("billing.introduction")
        await self.customer.says("customer.invoice_number")
        await self._customer_hears("billing.invoice_found")
        await self.customer.says("customer.ask_person")

    async def _talk_to_maria(self) -> None:
        self.played.human_picked_up_at = await self.human.picks_up()
        for mine, hers in (
            (None, "human.greeting"),
            ("customer.to_human_1", "human.ask_which"),
            ("customer.to_human_2", "human.resolved"),
            ("customer.to_human_3", "human.goodbye"),
        ):
            if mine is not None:
                await self.customer.says(mine)
                await self.human.hears(mine)
            await self.human.says(hers)
            await self.customer.hears(hers)

    async def _customer_hears(self, phrase: str) -> None:
        if self._scripted:
            await self.customer.hears(phrase)
        else:
            await self.customer.hears_something()
