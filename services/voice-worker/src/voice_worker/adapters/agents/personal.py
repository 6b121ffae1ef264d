"""What agents have in common that tell a caller what is the caller's alone."""

from livekit.agents import ToolError, function_tool

from voice_worker.adapters.agents.base import CallAgent

#: In one call, whoever has the floor. Then it takes a person: who knows their PIN does not need more.
TRIES = 3


class PersonalAgent(CallAgent):
    """Looks up what belongs to a customer, so it can find out who calls.

    The book decides what a caller may know, see :class:`~voice_worker.ports.CustomerBook`; nothing here opens it.
    """

    @function_tool
    async def identify_caller(self, customer_number: str, service_pin: str) -> str:
        """Find out which customer is calling. Use it only where a tool has asked for it.

        Args:
            customer_number: The number of the customer, as the caller says it.
            service_pin: The service PIN, as the caller says it. Never say it yourself.
        """
        self.may_act()  # before the try is counted: what the model wishes after its time is none
        state = self.desk.state
        if state.identification_tries >= TRIES:
            raise ToolError("Too many tries. Do not try again; offer to put the caller through to a person.")
        # Counted before the book has answered: several tries in one breath are several tries.
        state.identification_tries += 1
        customer_id = await self.look_up(self.book.identify(self.caller, customer_number, service_pin))
        if customer_id is None:
            raise ToolError(
                "Number and PIN do not belong together. Do not say which of them is wrong. "
                "Ask for both once more, or offer to put the caller through to a person."
            )
        state.customer_id = customer_id
        return "The caller is identified now. Go on with what they want."

    def not_found(self, what: str) -> ToolError:
        """Why there is no such thing: for a caller whom nobody knows there is none at all.

        Args:
            what: e.g. ``invoice``.
        """
        if self.caller.customer_id is None:
            return ToolError(
                "Not found, for the caller is not identified. Ask for their customer number and service PIN, "
                "use identify_caller, and then look again."
            )
        return ToolError(f"This caller has no {what} of that number. Ask them to read it again, digit by digit.")
