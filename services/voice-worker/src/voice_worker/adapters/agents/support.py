"""Orders and technical issues."""

from livekit.agents import function_tool

from voice_worker.adapters.agents.personal import PersonalAgent


class SupportAgent(PersonalAgent):
    """Finds orders, opens tickets, tells how far they are."""

    @function_tool
    async def find_order(self, order_number: str) -> str:
        """Look up an order.

        Args:
            order_number: The number on the order confirmation.
        """
        order = await self.look_up(self.book.order(self.caller, order_number))
        if order is None:
            raise self.not_found("order")
        return f"Order {order.number}: {order.product}, {order.status}. {order.detail}"

    @function_tool
    async def open_ticket(self, subject: str, details: str) -> str:
        """Open a ticket for a technical issue that you cannot solve in this call.

        Args:
            subject: The issue in a few words.
            details: What the caller did, saw and expected.
        """
        ticket = await self.look_up(self.book.open_ticket(self.caller, subject, details))
        return f"Ticket {ticket.number} is open. A technician will call back within one working day."

    @function_tool
    async def ticket_status(self, ticket_number: str) -> str:
        """Look up how far a ticket is.

        Args:
            ticket_number: The number of the ticket.
        """
        ticket = await self.look_up(self.book.ticket(self.caller, ticket_number))
        if ticket is None:
            raise self.not_found("ticket")
        return f"Ticket {ticket.number}, {ticket.subject}: {ticket.status.replace('_', ' ')}. {ticket.note}"
