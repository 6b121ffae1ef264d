"""What the model provider says about speech, told the same way by its realtime model and its speech-to-text.

Both speak the same protocol: ``speech_started``, ``speech_stopped`` and ``transcription.completed`` or ``.failed``,
each with the item's id. The SDK's own events have lost ids, times or failures; so both are tapped where the raw
events come in.
"""

from collections.abc import Mapping
from datetime import datetime
from math import exp
from typing import Any

from call_events.catalogue import Speaker
from voice_worker.domain.facts import Fact, SpeechEnded, SpeechStarted, TextArrived, TextFailed

_TRANSCRIPTION = "conversation.item.input_audio_transcription"

#: The events worth decoding, for readers who only have text.
TYPES = ("input_audio_buffer.speech_st", f"{_TRANSCRIPTION}.completed", f"{_TRANSCRIPTION}.failed")


def read_fact(event: Mapping[str, Any], *, source: str, speaker: Speaker, at: datetime) -> Fact | None:
    """The fact in a provider's event, if it is about somebody's speech.

    Args:
        event: as it came.
        source: name of the recogniser, unique in the call.
        speaker: whose audio the recogniser is given.
        at: now.
    """
    item = str(event.get("item_id") or "")
    match event.get("type"):
        case "input_audio_buffer.speech_started" if item:
            return SpeechStarted(source=source, item=item, speaker=speaker, at=at)
        case "input_audio_buffer.speech_stopped" if item:
            return SpeechEnded(source=source, item=item, speaker=speaker, at=at)
        case "conversation.item.input_audio_transcription.completed" if item:
            return TextArrived(
                source=source,
                item=item,
                speaker=speaker,
                at=at,
                text=str(event.get("transcript") or ""),
                confidence=_confidence(event.get("logprobs")),
            )
        case "conversation.item.input_audio_transcription.failed" if item:
            return TextFailed(source=source, item=item, at=at)
        case _:
            return None


def _confidence(logprobs: Any) -> float | None:
    """Mean probability of the tokens, where the provider tells it."""
    values = [entry.get("logprob") for entry in logprobs or () if isinstance(entry, Mapping)]
    known = [value for value in values if isinstance(value, int | float)]
    return min(1.0, exp(sum(known) / len(known))) if known else None
