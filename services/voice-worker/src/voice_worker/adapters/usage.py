"""What a session of the AI has used of its models since it was last asked."""

import statistics

from livekit.agents import AgentSession
from livekit.agents.metrics import LLMModelUsage, STTModelUsage

from voice_worker.domain.call import SessionState
from voice_worker.ports import Usage


class Meter:
    """Reads one session's totals and tells the differences."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, str], tuple[int, int, int, int]] = {}
        self._latencies: list[float] = []

    def note_latency(self, milliseconds: float) -> None:
        """A reply became audible that long after the caller's sentence."""
        self._latencies.append(milliseconds)

    def read(self, session: AgentSession[SessionState]) -> list[Usage]:
        """What was used since the last time, one entry for each model."""
        latencies = {"reply_first_audio": round(statistics.median(self._latencies), 1)} if self._latencies else {}
        self._latencies = []
        news: list[Usage] = []
        for used in session.usage.model_usage:
            if isinstance(used, LLMModelUsage):
                total = (used.input_tokens, used.output_tokens, 0, 0)
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
