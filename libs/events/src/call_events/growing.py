"""Sequences that only grow, kept as the bytes that Redis has and decoded when somebody looks.

A decoded event takes five to seven times the memory of its bytes, and of a call's history a handler looks at little:
what is new, the place it is at, the opening. So the bytes are kept for every event, and of the decoded ones only the
last few that were looked at, over all calls.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Generic, TypeVar, overload

T = TypeVar("T")

#: What an entry takes besides its bytes: the header of a bytes object and its place in a list.
_ENTRY_BYTES = 33 + 9


class Decoded(Generic[T]):
    """The decoded things that were looked at last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[int, int], T] = OrderedDict()
        self._serials = count()

    def keeping(self, read: Callable[[int, bytes], T]) -> Callable[[int, bytes], T]:
        """The reader of one sequence, that asks here first. Only for what cannot change at its number."""
        serial, kept, most = next(self._serials), self._kept, self._most

        def look(number: int, raw: bytes) -> T:
            key = (serial, number)
            found = kept.get(key)
            if found is None:
                found = kept[key] = read(number, raw)
                if len(kept) > most:
                    kept.popitem(last=False)
            else:
                kept.move_to_end(key)
            return found

        return look


class Growing(Generic[T]):
    """Entries 1, 2, 3 … as bytes."""

    __slots__ = ("_raw", "_read", "size")

    def __init__(self, read: Callable[[int, bytes], T]) -> None:
        """``read`` makes the entry of a number from its bytes."""
        self._read = read
        self._raw: list[bytes] = []
        #: Bytes of memory.
        self.size = 0

    def __len__(self) -> int:
        return len(self._raw)

    def append(self, raw: bytes) -> None:
        """Take the next one in."""
        self._raw.append(raw)
        self.size += len(raw) + _ENTRY_BYTES

    def raw(self, number: int) -> bytes:
        """The bytes of one that is there."""
        return self._raw[number - 1]

    def clear(self) -> None:
        """Let go of all; the same entries may be taken in again."""
        self._raw = []
        self.size = 0

    def at(self, index: int) -> T:
        """The entry at an index from 0, decoded."""
        return self._read(index + 1, self._raw[index])

    def so_far(self) -> Sequence[T]:
        """What is there now: a sequence that does not change when this one grows. Costs the same at any length."""
        return _Part(self, range(len(self._raw)))


class _Part(Sequence[T]):
    """Some places of a growing sequence; slices are parts again and decode nothing."""

    __slots__ = ("_places", "_source")

    def __init__(self, source: Growing[T], places: range) -> None:
        self._source = source
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return _Part(self._source, self._places[index])
        return self._source.at(self._places[index])

    def __iter__(self) -> Iterator[T]:
        return map(self._source.at, self._places)

    def __repr__(self) -> str:
        """Never what is in it: events are personal data."""
        return f"<{len(self)} of {len(self._source)} entries>"
