"""Waiting for what a phone hears; the same for every driver, because it only looks at the recording."""

from __future__ import annotations

import asyncio
import time

from standins.phones.recording import RATE, Recording
from standins.phrases import Ear, Said, listen, load_book

#: How often waiting looks again; short against anything that a person would notice.
LOOK_S = 0.02
#: Silence after which a stretch of speech may be over and is worth recognising.
PAUSE_S = 0.25

_ears: dict[str, Ear] = {}


def common_ear() -> Ear:
    """One ear per process: the phrase book is read once. Takes a moment the first time; call it off the event loop."""
    if "ear" not in _ears:
        _ears["ear"] = Ear(load_book())
    return _ears["ear"]


async def wait_sound(recording: Recording, after: float | None, timeout_s: float) -> float:
    """When sound began after `after`."""
    async with asyncio.timeout(timeout_s):
        while True:
            began = recording.first_sound(after)
            if began is not None:
                return began
            await asyncio.sleep(LOOK_S)


async def wait_quiet(recording: Recording, quiet_s: float, after: float | None, timeout_s: float) -> float:
    """When the sound ended that was heard after `after` and has been followed by silence for `quiet_s`."""
    async with asyncio.timeout(timeout_s):
        while True:
            ended = recording.last_sound(after)
            if ended is not None and time.monotonic() - ended >= quiet_s:
                return ended
            await asyncio.sleep(LOOK_S)


async def wait_phrase(recording: Recording, phrase_id: str, after: float | None, timeout_s: float) -> Said:
    """The phrase once it was heard whole, after `after`.

    Raises:
        TimeoutError: it was not; the message says what was heard instead.
    """
    understood: list[Said] = []
    looked_at: float | None = None
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                ended = recording.last_sound(after)
                if ended is not None and ended != looked_at and time.monotonic() - ended >= PAUSE_S:
                    looked_at = ended
                    understood = await heard_phrases(recording, after)
                    for said in understood:
                        if said.heard.phrase_id == phrase_id and said.heard.complete:
                            return said
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        instead = ", ".join(str(said.heard.phrase_id) for said in understood) or "nothing"
        raise TimeoutError(f"{phrase_id} was not heard within {timeout_s:g} s; heard: {instead}") from None


async def heard_phrases(recording: Recording, after: float | None = None) -> list[Said]:
    """Everything heard after `after`, recognised; seconds count from the start of the recording."""
    offset_s = 0.0 if after is None else max(0.0, after - recording.began_at)
    pcm = recording.heard(after)
    found = await asyncio.to_thread(lambda: listen(common_ear(), pcm, RATE))
    return [Said(one.start_s + offset_s, one.end_s + offset_s, one.heard) for one in found]
