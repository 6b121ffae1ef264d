"""Orders and technical issues."""

from livekit.agents import ToolError, function_tool

from voice_worker.adapters.agents.base import CallAgent


class SupportAgent(CallAgent):
    """Finds orders, opens tickets, tells how far they are."""

    @function_tool
    async def find_order(self, order_number: str) -> str:
        """Look up an order.

        Args:
            order_number: The number on the order confirmation.
        """
        order = await self.look_up(self.book.order(order_number))
        if order is None:
            raise ToolError("There is no order of that number. Ask the caller to read it again, digit by digit.")
        return f"Order {order.number}: {order.product}, {order.status}. {order.detail}"

    @function_tool
    async def open_ticket(self, subject: str, details: str) -> str:
        """Open a ticket for a technical issue that you cannot solve in this call.

        Args:
            subject: The issue in a few words.
            details: What the caller did, saw and expected.
        """
        ticket = await self.look_up(self.book.open_ticket(self.customer, subject, details))
        return f"Ticket {ticket.number} is open. A technician will call back within one working day."

    @function_tool
    async def ticket_status(self, ticket_number: str) -> str:
        """Look up how far a ticket is.

        Args:
            ticket_number: The number of the ticket.
        """
        ticket = await self.look_up(self.book.ticket(ticket_number))
        if ticket is None:
            raise ToolError("There is no ticket of that number. Ask the caller to read it again, digit by digit.")
        return f"Ticket {ticket.number}, {ticket.subject}: {ticket.status.replace('_', ' ')}. {ticket.note}"
