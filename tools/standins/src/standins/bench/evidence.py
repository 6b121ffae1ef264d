"""What the books of all consumers prove: losses, repeats, order, delays."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from standins.bench.witness import Record, records

#: A call stalls if one of its events is handled later than this, in seconds (design goal: at most 1 % of the calls).
STALLED_S = 0.5


@dataclass(frozen=True)
class Evidence:
    """Over all events of a run; "first" is about an event's first handling, whoever did it."""

    #: Events that a handler was through with at least once.
    handled: int
    #: Events that never were.
    lost: int
    #: Handlings begun beyond the first of each event.
    repeated: int
    #: Events whose first handling began before that of the event before them in the same call.
    inversions: int
    #: Events whose first handling began while the event before them in the same call was still being handled.
    overlaps: int
    #: From append to the end of the first handling, in milliseconds, in the order of the appends, after the warm-up.
    delays_ms: tuple[float, ...]
    #: Calls with an event that came later than :data:`STALLED_S`, or never.
    stalled_calls: int
    #: When the last event was handled for the first time, seconds of the wall clock.
    last_at: float


def judge(books: Iterable[Path], expected: Mapping[int, int], *, warm_up_s: float = 0.0) -> Evidence:
    """Compare what was done with what was appended.

    Args:
        books: of every process, also of those that were killed.
        expected: call → number of events; they count from 1.
        warm_up_s: events of the first seconds count for everything but the delays and the stalls.
    """
    return weigh((record for book in books for record in records(book)), expected, warm_up_s=warm_up_s)


def weigh(found: Iterable[Record], expected: Mapping[int, int], *, warm_up_s: float = 0.0) -> Evidence:
    """See :func:`judge`."""
    begun: dict[tuple[int, int], float] = {}
    ended: dict[tuple[int, int], Record] = {}
    handlings = 0
    for record in found:
        place = record.call, record.seq
        if not record.ends:
            handlings += 1
            begun[place] = min(record.at, begun.get(place, record.at))
        elif place not in ended or record.at < ended[place].at:
            ended[place] = record
    wanted = [(call, seq) for call, count in expected.items() for seq in range(1, count + 1)]
    lost = [place for place in wanted if place not in ended]
    inversions, overlaps = _disorder(begun, ended)
    counted_from = min((record.appended for record in ended.values()), default=0.0) + warm_up_s
    counted = sorted((record for record in ended.values() if record.appended >= counted_from), key=lambda r: r.appended)
    late = {record.call for record in counted if record.at - record.appended > STALLED_S}
    return Evidence(
        handled=len(ended),
        lost=len(lost),
        repeated=handlings - len(begun),
        inversions=inversions,
        overlaps=overlaps,
        delays_ms=tuple((record.at - record.appended) * 1000 for record in counted),
        stalled_calls=len(late | {call for call, _ in lost}),
        last_at=max((record.at for record in ended.values()), default=0.0),
    )


def _disorder(begun: Mapping[tuple[int, int], float], ended: Mapping[tuple[int, int], Record]) -> tuple[int, int]:
    inversions = overlaps = 0
    for (call, seq), at in begun.items():
        before = call, seq - 1
        if before not in begun:
            continue
        if at < begun[before]:
            inversions += 1
        elif before in ended and at < ended[before].at:
            overlaps += 1
    return inversions, overlaps
