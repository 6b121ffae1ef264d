"""Turn `book.yaml` into speech: `python -m standins.phrases.render`.

Needs espeak-ng on the PATH, and only somebody who changed the book has to run it: the files are shipped.
Pauses inside a phrase are shortened to `INNER_PAUSE_MS`, so that no end-of-speech detector (ours hangs over 200-350 ms)
takes a comma for the end of the turn. Files are Ogg/Opus at `BITRATE`: 2.5 kB per second of speech.
"""

import io
import json
import shutil
import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from standins.phrases.book import AUDIO, FEATURES, Recipe, pack_features, read_recipes
from standins.phrases.features import mel_power
from standins.phrases.pcm import Pcm, decode, resample

#: Longest silence left inside a phrase, milliseconds.
INNER_PAUSE_MS = 110
#: Silence kept before and after the speech, milliseconds.
MARGIN_MS = 40
BITRATE = 20_000
#: The rate Opus works at.
RATE = 48_000
#: Loudest sample after rendering, of 32767: about -3 dBFS, the level of a near speaker on a good telephone.
PEAK = 23_000


def speak(recipe: Recipe) -> tuple[Pcm, int]:
    """What espeak-ng says for one phrase, as (samples, rate in Hz)."""
    command = ["espeak-ng", "-v", recipe.voice.voice, "-p", str(recipe.voice.pitch), "-s", str(recipe.voice.speed)]
    done = subprocess.run([*command, "--stdout", recipe.text], capture_output=True, check=True, timeout=60)
    with wave.open(io.BytesIO(done.stdout)) as sound:
        rate = sound.getframerate()
        # espeak-ng writes to a pipe and cannot know the length: the header promises more than there is.
        data = done.stdout[44:]
    return np.frombuffer(data[: len(data) // 2 * 2], dtype=np.int16), rate


def tighten(pcm: Pcm, rate: int) -> Pcm:
    """The same speech with long pauses shortened, margins set and the level normalised."""
    step = rate // 100
    count = len(pcm) // step
    frames = pcm[: count * step].reshape(count, step).astype(np.float64)
    loud = np.sqrt((frames**2).mean(axis=1)) > 0.01 * np.abs(pcm).max()
    first, last = int(np.argmax(loud)), count - int(np.argmax(loud[::-1]))
    kept: list[Pcm] = []
    quiet = 0
    for index in range(first, last):
        quiet = 0 if loud[index] else quiet + 1
        if quiet <= INNER_PAUSE_MS // 10:
            kept.append(pcm[index * step : (index + 1) * step])
    speech = np.concatenate(kept).astype(np.float64)
    speech *= PEAK / np.abs(speech).max()
    margin = np.zeros(rate * MARGIN_MS // 1000)
    return np.concatenate([margin, speech, margin]).astype(np.int16)


def encode(pcm: Pcm, rate: int, path: Path) -> None:
    """Write an Ogg/Opus file."""
    samples = resample(pcm, rate, RATE)
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono", options={"application": "voip"})
        stream.bit_rate = BITRATE
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def main() -> int:
    """Render every phrase and note which text each file speaks."""
    if shutil.which("espeak-ng") is None:
        print("espeak-ng is not installed; on Debian: apt-get install espeak-ng", file=sys.stderr)
        return 2
    AUDIO.mkdir(exist_ok=True)
    recipes = read_recipes()
    for stale in {path.stem for path in AUDIO.glob("*.ogg")} - set(recipes):
        (AUDIO / f"{stale}.ogg").unlink()
    for recipe in recipes.values():
        spoken, rate = speak(recipe)
        encode(tighten(spoken, rate), rate, AUDIO / f"{recipe.id}.ogg")
    features = {one: pack_features(mel_power(decode(AUDIO / f"{one}.ogg", 16_000), 16_000)) for one in recipes}
    np.savez_compressed(FEATURES, allow_pickle=False, **features)
    rendered = {recipe.id: recipe.fingerprint for recipe in recipes.values()}
    (AUDIO / "rendered.json").write_text(json.dumps(rendered, indent=1, sort_keys=True) + "\n")
    size = sum(path.stat().st_size for path in AUDIO.iterdir())
    print(f"{len(recipes)} phrases, {size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
