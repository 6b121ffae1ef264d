"""What models were used for, told as differences: how much since it was last asked."""

import statistics
from collections.abc import Sequence
from datetime import datetime, timedelta

from livekit.agents.metrics import LLMModelUsage, ModelUsage, STTModelUsage

from voice_worker.ports import Usage


class Stretches:
    """How long something went on, in one stretch or several."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}
        self._total = timedelta()

    def begin(self, name: str, at: datetime) -> None:
        """One begins."""
        self._since.setdefault(name, at)

    def end(self, name: str, at: datetime) -> None:
        """It ends; nothing if it had not begun."""
        if (since := self._since.pop(name, None)) is not None:
            self._total += max(timedelta(), at - since)

    @property
    def total_ms(self) -> int:
        """All that have ended, in milliseconds."""
        return int(self._total / timedelta(milliseconds=1))


class Meter:
    """Takes totals and tells the differences."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, str], tuple[int, int, int, int]] = {}
        self._latencies: list[float] = []
        #: What a model that listens and speaks has heard of the caller, and what was heard of it.
        self.heard = Stretches()
        self.spoken = Stretches()

    def note_latency(self, milliseconds: float) -> None:
        """A reply became audible that long after the caller's sentence."""
        self._latencies.append(milliseconds)

    def read(self, totals: Sequence[ModelUsage]) -> list[Usage]:
        """What was used since the last time, one entry for each model.

        Args:
            totals: as the SDK has added them up since the session began.
        """
        latencies = {"reply_first_audio": round(statistics.median(self._latencies), 1)} if self._latencies else {}
        self._latencies = []
        news: list[Usage] = []
        for used in totals:
            if isinstance(used, LLMModelUsage):
                total = (used.input_tokens, used.output_tokens, self.heard.total_ms, self.spoken.total_ms)
            elif isinstance(used, STTModelUsage):
                total = (used.input_tokens, used.output_tokens, int(used.audio_duration * 1000), 0)
            else:
                continue
            key = (used.provider, used.model)
            before = self._used.get(key, (0, 0, 0, 0))
            if total == before:
                continue
            self._used[key] = total
            delta = [now - then for now, then in zip(total, before, strict=True)]
            news.append(
                Usage(
                    provider=used.provider,
                    model=used.model,
                    input_tokens=delta[0],
                    output_tokens=delta[1],
                    input_audio_ms=delta[2],
                    output_audio_ms=delta[3],
                    latencies_ms=latencies if isinstance(used, LLMModelUsage) else {},
                )
            )
        return news
