"""Pricing, demonstrations, trials."""

from datetime import date

from livekit.agents import ToolError, function_tool

from voice_worker.adapters.agents.base import CallAgent


def a_day(text: str) -> date:
    """A day as the model writes it.

    Raises:
        ToolError: it is no day; said in words for the model.
    """
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ToolError("Give the day as YYYY-MM-DD, for example 2026-12-05.") from None


def an_email(text: str) -> str:
    """An address that could exist.

    Raises:
        ToolError: it could not; said in words for the model.
    """
    address = text.strip()
    name, _, host = address.partition("@")
    if not name or "." not in host or " " in address:
        raise ToolError("That is no complete e-mail address. Ask the caller to spell it.")
    return address


class SalesAgent(CallAgent):
    """Tells what things cost, shows them, and lets people try them."""

    @function_tool
    async def get_pricing(self, product: str) -> str:
        """Look up what a product costs and includes.

        Args:
            product: Name of the product, or "all" for the whole list.
        """
        found = await self.look_up(self.book.product(product))
        if found is None:
            everything = await self.look_up(self.book.products())
            listed = "; ".join(f"{p.name} {p.monthly_price} {p.currency} a month" for p in everything)
            return f"We sell: {listed}."
        return (
            f"{found.name} costs {found.monthly_price} {found.currency} a month. Included: {found.includes}. "
            f"It can be tried for {found.trial_days} days."
        )

    @function_tool
    async def book_demo(self, day: str, email: str) -> str:
        """Book a demonstration.

        Args:
            day: The day as YYYY-MM-DD.
            email: Where the invitation goes.
        """
        booked = await self.look_up(self.book.book_demo(self.caller, a_day(day), an_email(email)))
        return f"The demonstration is booked for {booked.day:%A, %d %B %Y}. The invitation will come by e-mail."

    @function_tool
    async def start_trial(self, product: str, email: str) -> str:
        """Start a free trial.

        Args:
            product: Name of the product.
            email: Where the access goes.
        """
        trial = await self.look_up(self.book.start_trial(self.caller, product, an_email(email)))
        if trial is None:
            raise ToolError("There is no such product. Look the names up with get_pricing.")
        return f"The trial of {trial.product} has started and ends by itself on {trial.until:%d %B %Y}."
