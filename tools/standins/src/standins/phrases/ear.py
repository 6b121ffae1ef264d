"""The ear: which phrase of the book was said, judged by sound alone.

The arriving sound is aligned with every phrase at once: frame by frame each alignment stays, goes on or leaps over a
frame of its phrase (so a jitter buffer that stretches or squeezes speech does no harm), and the mean similarity along
the best way is the phrase's score. The best few are then looked at again for their *worst* quarter of a second, which
tells "a question about my invoice" from "a question about my garden" by the same voice.

Nothing else goes in: no order, no expectation, no side channel. What is not in the book is `None`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from standins.phrases.book import PhraseBook, load_features
from standins.phrases.features import HOP_S, Features, mel_power, vectors
from standins.phrases.pcm import Pcm

#: Mean similarity that a recognised phrase must reach. Degraded phrases measure >= 0.93, other speech <= 0.86.
ACCEPT = 0.88
#: The same for its worst stretch of `STRETCH` frames.
ACCEPT_WORST = 0.72
STRETCH = 13
#: A beginning of a phrase is easier to hit by chance: it needs more similarity and a minimum of sound, seconds.
ACCEPT_PREFIX = 0.92
MIN_PREFIX_S = 0.3
#: Cost of staying on or leaping over a frame, against similarities of at most 1.
_WARP = 0.15
#: Frames that may be missing at the start (a clipped onset) and at the end.
_MISSING_START, _MISSING_END = 8, 6
#: How much longer than its phrase the sound may last.
_LONGEST = 1.35
#: Phrases worth a closer look: so many, and not further behind the best than this.
_CANDIDATES, _BEHIND = 4, 0.08
#: The first frames (0.6 s) choose the phrases worth a whole alignment.
_OPENING, _SHORTLIST = 30, 24
_FAR = np.float32(1e6)


@dataclass(frozen=True)
class Heard:
    """What the ear made of one utterance.

    `phrase_id` is None and `text` empty when it was unintelligible. `score` is the mean similarity (0..1) of the best
    candidate either way. `fraction` tells how much of the phrase was heard, and `text` holds only those words.
    """

    phrase_id: str | None
    text: str
    score: float
    fraction: float = 1.0

    @property
    def understood(self) -> bool:
        """Whether it was a phrase of the book, or the beginning of one."""
        return self.phrase_id is not None

    @property
    def complete(self) -> bool:
        """Whether the whole phrase was heard, to its end."""
        return self.phrase_id is not None and self.fraction >= 1.0


@dataclass(frozen=True)
class _Match:
    phrase: int
    score: float
    worst: float
    fraction: float


class Ear:
    """Recognises the phrases of one book. Holds no state between utterances; safe to share between threads."""

    def __init__(self, book: PhraseBook) -> None:
        self._phrases = list(book.values())
        shipped = load_features()
        self._templates: list[Features] = [vectors(shipped[phrase.id]) for phrase in self._phrases]
        self._lengths = np.array([len(template) for template in self._templates])

    def recognise(self, pcm: Pcm, rate: int) -> Heard:
        """Say what one utterance was: `pcm` mono at `rate` Hz, with or without silence around it."""
        query = vectors(mel_power(pcm, rate))
        chosen = np.flatnonzero(self._lengths * _LONGEST >= len(query))
        if len(query) < 5 or len(chosen) == 0:
            return Heard(None, "", 0.0)
        if len(query) > _OPENING:
            _, opening = self._align(query[:_OPENING], chosen)
            chosen = chosen[np.argsort(opening)[::-1][:_SHORTLIST]]
        whole, prefix = self._align(query, chosen)
        best = max((self._look_closer(query, int(chosen[n])) for n in _top(whole)), key=_quality)
        if best.score >= ACCEPT and best.worst >= ACCEPT_WORST:
            phrase = self._phrases[best.phrase]
            return Heard(phrase.id, phrase.text, best.score)
        begun = self._beginning(query, chosen, prefix)
        return begun or Heard(None, "", float(best.score))

    def _beginning(self, query: Features, chosen: npt.NDArray[np.intp], scores: Features) -> Heard | None:
        """The phrase whose first part this is, unless two phrases with different words fit equally well."""
        if len(query) * HOP_S < MIN_PREFIX_S:
            return None
        closer = (self._look_closer(query, int(chosen[n]), to_the_end=False) for n in _top(scores))
        fits = sorted(
            (one for one in closer if one.score >= ACCEPT_PREFIX and one.worst >= ACCEPT_WORST),
            key=_quality,
            reverse=True,
        )
        if not fits:
            return None
        heard = [(self._phrases[one.phrase], one) for one in fits if one.score > fits[0].score - 0.02]
        texts = {phrase.spoken_until(one.fraction).casefold().strip(".,?!") for phrase, one in heard}
        if len(texts) > 1:
            return None
        phrase, one = heard[0]
        return Heard(phrase.id, phrase.spoken_until(one.fraction), one.score, one.fraction)

    def _align(self, query: Features, chosen: npt.NDArray[np.intp]) -> tuple[Features, Features]:
        """Scores of all chosen phrases, whole and as a beginning, in one sweep over their joined frames."""
        reach = int(len(query) * _LONGEST) + _MISSING_START
        parts = [self._templates[n][:reach] for n in chosen]
        lengths = np.array([len(part) for part in parts])
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        place = np.arange(lengths.sum()) - np.repeat(starts, lengths)
        cost = 1.0 - query @ np.concatenate(parts).T
        first, second = place < 1, place < 2
        total = np.where(place <= _MISSING_START, cost[0] + 0.02 * place, _FAR).astype(np.float32)
        step, leap = np.full_like(total, _FAR), np.full_like(total, _FAR)
        for row in cost[1:]:
            step[1:], leap[2:] = total[:-1], total[:-2]
            step[first], leap[second] = _FAR, _FAR
            leap += _WARP
            total += _WARP
            np.minimum(total, step, out=total)
            np.minimum(total, leap, out=total)
            total += row
        similarity = 1.0 - total / len(query)
        prefix = np.maximum.reduceat(similarity, starts)
        similarity[place < np.repeat(self._lengths[chosen] - _MISSING_END, lengths)] = -_FAR
        return np.maximum.reduceat(similarity, starts), prefix

    def _look_closer(self, query: Features, phrase: int, *, to_the_end: bool = True) -> _Match:
        """The best way through one phrase, with its worst stretch."""
        template = self._templates[phrase]
        cost = 1.0 - query @ template.T
        rows, columns = cost.shape
        total = np.full(columns, _FAR, dtype=np.float32)
        total[: _MISSING_START + 1] = cost[0, : _MISSING_START + 1] + 0.02 * np.arange(columns)[: _MISSING_START + 1]
        moves = np.zeros((rows, columns), dtype=np.int8)
        ways = np.empty((3, columns), dtype=np.float32)
        for number in range(1, rows):
            ways[0] = total + _WARP
            ways[1, 0], ways[1, 1:] = _FAR, total[:-1]
            ways[2, :2], ways[2, 2:] = _FAR, total[:-2] + _WARP
            moves[number] = ways.argmin(axis=0)
            total = ways.min(axis=0) + cost[number]
        first_end = max(0, columns - _MISSING_END) if to_the_end else 0
        end = first_end + int(total[first_end:].argmin())
        along = np.empty(rows, dtype=np.float32)
        column = end
        for number in range(rows - 1, -1, -1):
            along[number] = 1.0 - cost[number, column]
            column -= int(moves[number, column])
        stretch = min(STRETCH, rows)
        smooth = np.convolve(along, np.full(stretch, 1 / stretch), mode="valid")
        score = float(1.0 - total[end] / rows)
        return _Match(phrase, score, float(smooth.min()), 1.0 if to_the_end else (end + 1) / columns)


def _top(scores: Features) -> list[int]:
    best = [int(n) for n in np.argsort(scores)[::-1][:_CANDIDATES]]
    return [n for n in best if scores[n] >= scores[best[0]] - _BEHIND]


def _quality(match: _Match) -> float:
    return match.score + 0.5 * match.worst
