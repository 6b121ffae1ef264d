"""The conversation as the provider keeps it: items in order, what was said in each."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from standins.realtime.wire import BadEvent, Event


@dataclass
class Item:
    """One item. `said` is its text for the model; `heard` what the ear made of a voiced turn."""

    id: str
    body: Event
    said: str = ""
    heard: str | None = None
    spoken_ms: int = 0
    words_until: list[tuple[int, str]] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """message, function_call or function_call_output."""
        return str(self.body.get("type"))

    @property
    def role(self) -> str:
        """user, assistant or system; empty for anything but messages."""
        return str(self.body.get("role", ""))

    def cut(self, audio_end_ms: int) -> None:
        """The listener heard no more than this: what came after was never said."""
        self.spoken_ms = min(self.spoken_ms, audio_end_ms)
        self.said = " ".join(words for until_ms, words in self.words_until if until_ms <= audio_end_ms)


class History:
    """Items in conversation order."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def get(self, item_id: str) -> Item:
        """One item.

        Raises:
            BadEvent: there is no such item.
        """
        for item in self._items:
            if item.id == item_id:
                return item
        raise BadEvent(f"Item {item_id} does not exist.", code="item_not_found")

    @property
    def last(self) -> Item | None:
        """The newest item."""
        return self._items[-1] if self._items else None

    def add(self, item: Item, *, after: str | None = None) -> str | None:
        """Put an item after another one ("root": first; None: last); answers the id of the one before it.

        Raises:
            BadEvent: the id is taken, or there is no item to put it after.
        """
        if any(one.id == item.id for one in self._items):
            raise BadEvent(f"Item {item.id} exists already.", code="item_create_duplicate_item_id")
        if after == "root":
            place = 0
        elif after is None:
            place = len(self._items)
        else:
            place = self._items.index(self.get(after)) + 1
        self._items.insert(place, item)
        return self._items[place - 1].id if place else None

    def remove(self, item_id: str) -> None:
        """Forget an item.

        Raises:
            BadEvent: there is no such item.
        """
        self._items.remove(self.get(item_id))

    @property
    def last_said_by_agent(self) -> str:
        """What the agent said last."""
        return next((one.said for one in reversed(self._items) if one.role == "assistant" and one.said), "")

    def tool_of(self, call_id: str) -> str | None:
        """The name of the tool that was called under this id."""
        calls = (one.body for one in self._items if one.kind == "function_call")
        return next((str(body.get("name")) for body in calls if body.get("call_id") == call_id), None)
