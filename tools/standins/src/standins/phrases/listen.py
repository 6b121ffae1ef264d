"""Everything that was said in a recording, with its place."""

from dataclasses import dataclass

from standins.phrases.ear import Ear, Heard
from standins.phrases.pcm import Pcm
from standins.phrases.vad import stretches

#: Sound kept around each stretch of speech, seconds: onsets are soft.
_AROUND_S = 0.06


@dataclass(frozen=True)
class Said:
    """One utterance in a recording, seconds from its start."""

    start_s: float
    end_s: float
    heard: Heard


def listen(ear: Ear, pcm: Pcm, rate: int, *, hangover_ms: int = 300) -> list[Said]:
    """Split a recording (mono) at its silences and recognise each piece."""
    said = []
    for one in stretches(pcm, rate, hangover_ms=hangover_ms):
        first, last = max(0, int((one.start_s - _AROUND_S) * rate)), int((one.end_s + _AROUND_S) * rate)
        said.append(Said(one.start_s, one.end_s, ear.recognise(pcm[first:last], rate)))
    return said
