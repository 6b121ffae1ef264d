"""A person with a telephone: speaks phrases of the book and waits until the other side has been understood."""

import asyncio
import time

from standins.phones import Phone
from standins.phrases import PhraseBook, load_book

#: A pause of somebody who has heard the other side end.
BREATH_S = 0.3
TURN_DEADLINE_S = 30.0
#: From lifting the handset to the first word.
HANDSET_TO_EAR_S = 1.0


class Person:
    """Remembers what was said, as text, in order."""

    def __init__(self, phone: Phone, book: PhraseBook | None = None) -> None:
        self.phone = phone
        self.said: list[str] = []
        self._book = book or load_book()
        #: Monotonic time of the last thing this person did: what is waited for comes after it.
        self.mark = time.monotonic()

    async def calls(self, call: str, **headers: str) -> float:
        """Dial; returns when it was answered. Header names are given with underscores."""
        await self.phone.call(call, headers={name.replace("_", "-"): value for name, value in headers.items()})
        self.mark = await self.phone.wait_answered(TURN_DEADLINE_S)
        return self.mark

    async def says(self, phrase: str) -> tuple[float, float]:
        """Speak in real time; returns when it began and ended."""
        began, ended = await self.phone.say(phrase)
        self.said.append(self._book[phrase].text)
        self.mark = began
        return began, ended

    async def hears(self, phrase: str, deadline_s: float = TURN_DEADLINE_S) -> None:
        """Wait until this was heard whole, since the last thing this person did; then take a breath.

        Raises:
            TimeoutError: it was not heard; the text tells what was.
        """
        await self.phone.wait_phrase(phrase, after=self.mark, timeout_s=deadline_s)
        await asyncio.sleep(BREATH_S)

    async def hears_something(self, deadline_s: float = TURN_DEADLINE_S) -> None:
        """Wait until the other side has spoken and is quiet again, whatever it said."""
        await self.phone.wait_quiet(1.5, after=self.mark, timeout_s=deadline_s)
        await asyncio.sleep(BREATH_S)

    async def picks_up(self) -> float:
        """Wait until the ringing has stopped because the call was taken; returns when, with the handset at the ear."""
        await self.phone.wait_ringing(TURN_DEADLINE_S)
        picked_up = self.mark = await self.phone.wait_ringing_stopped(TURN_DEADLINE_S)
        await asyncio.sleep(HANDSET_TO_EAR_S)
        return picked_up

    async def heard(self) -> list[str | None]:
        """Everything heard in this call, by phrase id; None is speech that is not in the book."""
        return [said.heard.phrase_id for said in await self.phone.heard_phrases()]
