"""Invoices and payments."""

from livekit.agents import function_tool

from voice_worker.adapters.agents.personal import PersonalAgent
from voice_worker.adapters.agents.sales import a_day
from voice_worker.domain.book import Invoice


class BillingAgent(PersonalAgent):
    """Explains invoices and notes when they will be paid."""

    @function_tool
    async def find_invoice(self, invoice_number: str) -> str:
        """Look up an invoice with its positions.

        Args:
            invoice_number: The number of the invoice.
        """
        invoice = await self.look_up(self.book.invoice(self.caller, invoice_number))
        if invoice is None:
            raise self.not_found("invoice")
        positions = "; ".join(f"{line.text} {line.amount} {invoice.currency}" for line in invoice.lines)
        return f"{_in_short(invoice)} Positions: {positions}."

    @function_tool
    async def list_invoices(self) -> str:
        """List the caller's invoices, newest first."""
        invoices = await self.look_up(self.book.invoices(self.caller))
        if not invoices and self.caller.customer_id is None:
            raise self.not_found("invoice")
        return " ".join(map(_in_short, invoices)) or "There are no invoices for this caller."

    @function_tool
    async def record_payment_promise(self, invoice_number: str, date: str) -> str:
        """Note the day on which the caller will pay an invoice.

        Args:
            invoice_number: The number of the invoice.
            date: The day as YYYY-MM-DD.
        """
        invoice = await self.look_up(self.book.promise_payment(self.caller, invoice_number, a_day(date)))
        if invoice is None:
            raise self.not_found("invoice to pay")
        return f"Noted: invoice {invoice.number} will be paid on {invoice.promised_for:%d %B %Y}."


def _in_short(invoice: Invoice) -> str:
    promised = f", payment promised for {invoice.promised_for:%d %B %Y}" if invoice.promised_for else ""
    return (
        f"Invoice {invoice.number}: {invoice.amount} {invoice.currency}, {invoice.status}, "
        f"due {invoice.due:%d %B %Y}{promised}."
    )
