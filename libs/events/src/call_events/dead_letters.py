"""What groups put aside, and what people decided about it: one stream per group and shard, which only grows.

    kind        written by         what else it holds
    parked      park.lua           the call waits, for this group alone, until somebody decides
    refused     commit, park.lua   the call has gone on without this message
    requeued    unpark.lua         who gave the call back, and why
    discarded   discard.lua        who let the group pass over an event (what: one) or the rest of the call (rest), why
    seen        ``mark_seen``      of: the id of the refused message that somebody has looked after; who, why

Every letter has ``c`` (the call), ``n`` (the event it is about) and ``why``. A letter's id for people,
``<group>/<shard>/<entry id>``, has a slash, so it is never a call's.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

from redis.asyncio import Redis

from call_events import keys
from call_events.asking import asked
from call_events.errors import OurMistake
from call_events.ids import CallId

Kind = Literal["parked", "refused", "requeued", "discarded", "seen"]

_PAGE = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry: something that was put aside, or a decision about it."""

    id: str
    group: str
    call: CallId
    #: The event it is about.
    seq: int
    kind: Kind
    why: str
    at: datetime
    #: Who decided; empty where a service wrote the letter.
    who: str = ""
    #: Of ``discarded``: ``one`` event or the ``rest`` of the call; of ``seen``: the id of the refused message.
    what: str = ""


class NoSuchLetter(OurMistake):
    """There is no dead letter of this id."""


class DeadLetters:
    """The letters of a log. Every method raises ``LogUnavailable`` while Redis cannot be asked."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def open(self, group: str, *, limit: int = 100) -> Sequence[DeadLetter]:
        """What still counts of a group's letters, newest first: ``limit`` parked calls and ``limit`` refused messages.

        A parked call is told once, with its newest letter, however many others have come since; a refused message
        counts until somebody has marked it as seen.
        """
        parked: dict[CallId, DeadLetter] = {}
        refused: list[DeadLetter] = []
        for tag in keys.TAGS:
            calls, seen = set[CallId](), set[str]()
            async for letters in self._pages(group, tag):
                seen.update(letter.what for letter in letters if letter.kind == "seen")
                refused += [one for one in letters if one.kind == "refused" and one.id not in seen]
                newest = {letter.call: letter for letter in reversed(letters) if letter.kind == "parked"}
                unseen = [call for call in newest if call not in calls]
                calls.update(unseen)
                parked |= {call: newest[call] for call in await self._still_parked(group, unseen)}
        return newest_first([*newest_first(parked.values())[:limit], *newest_first(refused)[:limit]])

    async def history(self, group: str, *, limit: int = 100) -> Sequence[DeadLetter]:
        """The last ``limit`` letters of a group of every kind, newest first."""
        found: list[DeadLetter] = []
        for tag in keys.TAGS:
            ours = keys.dead_letters(tag, group)
            page = await asked(self._redis.xrevrange(ours, "+", "-", count=limit))
            found += [_letter(group, tag, entry) for entry in page]
        return newest_first(found)[:limit]

    async def of_call(self, group: str, call: CallId) -> Sequence[DeadLetter]:
        """All letters of a group about one call, newest first."""
        pages = self._pages(group, keys.tag_of(call))
        return [letter async for letters in pages for letter in letters if letter.call == call]

    async def find(self, letter_id: str) -> DeadLetter:
        """The letter of that id.

        Raises:
            NoSuchLetter: it is no id, or there is nothing under it.
        """
        group, tag, entry_id = _parts(letter_id)
        found = await asked(self._redis.xrange(keys.dead_letters(tag, group), entry_id, entry_id))
        if not found:
            raise NoSuchLetter(
                f"there is no dead letter of that id in group {group}; `callweave dlq list` tells the ids"
            )
        return _letter(group, tag, found[0])

    async def mark_seen(self, letter: DeadLetter, *, who: str, why: str) -> bool:
        """Note that somebody has looked after a refused message; false if it was noted before."""
        group, tag, _ = _parts(letter.id)
        async for letters in self._pages(group, tag):
            if any(one.kind == "seen" and one.what == letter.id for one in letters):
                return False
            if any(one.id == letter.id for one in letters):
                break
        fields: dict[Any, Any] = {"c": letter.call, "n": letter.seq, "kind": "seen", "why": why, "who": who}
        await asked(self._redis.xadd(keys.dead_letters(tag, group), fields | {"of": letter.id}))
        return True

    async def _pages(self, group: str, tag: str) -> AsyncIterator[list[DeadLetter]]:
        """A shard's letters, newest first."""
        before = "+"
        ours = keys.dead_letters(tag, group)
        while page := await asked(self._redis.xrevrange(ours, before, "-", count=_PAGE)):
            yield [_letter(group, tag, entry) for entry in page]
            before = f"({page[-1][0].decode()}"

    async def _still_parked(self, group: str, calls: Sequence[CallId]) -> list[CallId]:
        """Those of some calls of one shard that wait still."""
        if not calls:
            return []
        async with self._redis.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.hexists(keys.group_keys(group, call).state, "parked")
            answers = await asked(pipe.execute())
        return [call for call, is_parked in zip(calls, answers, strict=True) if is_parked]


def newest_first(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """In the order in which people want them."""
    return sorted(letters, key=lambda letter: letter.at, reverse=True)


def _parts(letter_id: str) -> tuple[str, str, str]:
    group, _, rest = letter_id.partition("/")
    tag, _, entry_id = rest.partition("/")
    milliseconds, _, count = entry_id.partition("-")
    if tag not in keys.TAGS or not (milliseconds.isascii() and milliseconds.isdigit() and count.isdigit()):
        raise NoSuchLetter("that is no id of a dead letter; `callweave dlq list` tells the ids")
    return group, tag, entry_id


def _letter(group: str, tag: str, entry: Any) -> DeadLetter:
    entry_id, fields = entry
    text = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
    return DeadLetter(
        id=f"{group}/{tag}/{entry_id.decode()}",
        group=group,
        call=CallId(text["c"]),
        seq=int(text["n"]),
        kind=cast("Kind", text["kind"]),
        why=text["why"],
        at=datetime.fromtimestamp(int(entry_id.partition(b"-")[0]) / 1000, UTC),
        who=text.get("who", ""),
        what=text.get("what") or text.get("of", ""),
    )
