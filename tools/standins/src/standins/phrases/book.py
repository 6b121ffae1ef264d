"""The phrase book: everything the stand-ins can say, as recordings a person can understand.

    book = load_book()
    phrase = book["customer.ask_invoice"]
    phrase.text, phrase.duration_s, phrase.pcm(24_000)

Recordings ship beside this module (`audio/`, Ogg/Opus) and are decoded when first asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from standins.phrases.features import Features
from standins.phrases.pcm import Pcm, decode, resample

HERE = Path(__file__).parent
BOOK = HERE / "book.yaml"
AUDIO = HERE / "audio"
#: What the ear compares with, computed by the renderer: decoding every recording at start would take seconds.
FEATURES = AUDIO / "features.npz"
#: Step of the stored features, natural-log power units, and the value stored as 0.
FEATURE_STEP, FEATURE_ZERO = 0.1, -21.0

#: The rate phrases are kept at, Hz.
RATE = 16_000


@dataclass(frozen=True)
class Voice:
    """espeak-ng settings: voice name, pitch 0-99, words per minute."""

    voice: str
    pitch: int
    speed: int


@dataclass(frozen=True)
class Recipe:
    """What the renderer needs to know about one phrase."""

    id: str
    role: str
    text: str
    voice: Voice

    @property
    def fingerprint(self) -> str:
        """Changes when the text or the voice changes: tells a stale recording from a fresh one."""
        return sha256(f"{self.text}|{self.voice}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Phrase:
    """One recording and what it says."""

    id: str
    role: str
    text: str
    path: Path
    rate: int = RATE
    _cache: dict[int, Pcm] = field(default_factory=dict, repr=False, compare=False)

    @property
    def pcm16k(self) -> Pcm:
        """The speech at 16 kHz."""
        return self.pcm(RATE)

    @property
    def duration_s(self) -> float:
        """How long it lasts, seconds."""
        return len(self.pcm16k) / RATE

    def pcm(self, rate: int) -> Pcm:
        """The speech at `rate` Hz (8000, 16000, 24000 or 48000), decoded once and then kept; do not write into it."""
        if rate not in self._cache:
            full = decode(self.path, rate) if rate in (RATE, 24_000, 48_000) else resample(self.pcm16k, RATE, rate)
            full.setflags(write=False)
            self._cache[rate] = full
        return self._cache[rate]

    @property
    def words(self) -> tuple[str, ...]:
        """The text, word by word."""
        return tuple(self.text.split())

    def spoken_until(self, fraction: float) -> str:
        """The words that fit into the first `fraction` (0..1) of the recording, by their share of the letters."""
        if fraction >= 1.0:
            return self.text
        budget = fraction * len(self.text)
        said: list[str] = []
        used = 0
        for word in self.words:
            used += len(word) + 1
            if used > budget + 1:
                break
            said.append(word)
        return " ".join(said)


class PhraseBook(Mapping[str, Phrase]):
    """Phrases by id, in the order of the file."""

    def __init__(self, phrases: Mapping[str, Phrase]) -> None:
        self._phrases = dict(phrases)

    def __getitem__(self, phrase_id: str) -> Phrase:
        try:
            return self._phrases[phrase_id]
        except KeyError:
            role = phrase_id.partition(".")[0]
            near = ", ".join(one.id for one in self._phrases.values() if one.role == role)
            raise KeyError(f"no phrase {phrase_id!r} in {BOOK.name}; there are: {near or ', '.join(self)}") from None

    def __contains__(self, phrase_id: object) -> bool:
        return phrase_id in self._phrases

    def __iter__(self) -> Iterator[str]:
        return iter(self._phrases)

    def __len__(self) -> int:
        return len(self._phrases)

    def of(self, *roles: str) -> "PhraseBook":
        """Only the phrases of these roles (customer, human, generic, sales, support, billing)."""
        return PhraseBook({one.id: one for one in self.values() if one.role in roles})


def read_recipes(path: Path = BOOK) -> dict[str, Recipe]:
    """The book as written: id -> recipe, shared phrases spelled out for each agent."""
    raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    voices = {role: Voice(**settings) for role, settings in raw["voices"].items()}
    said: dict[str, dict[str, str]] = {role: dict(phrases) for role, phrases in raw["phrases"].items()}
    for role in raw["shared"]["roles"]:
        said[role] |= raw["shared"]["phrases"]
    return {
        f"{role}.{name}": Recipe(id=f"{role}.{name}", role=role, text=" ".join(text.split()), voice=voices[role])
        for role, phrases in said.items()
        for name, text in phrases.items()
    }


@cache
def load_book() -> PhraseBook:
    """The book that ships with the stand-ins; one object per process, so recordings are decoded once."""
    return PhraseBook(
        {
            recipe.id: Phrase(id=recipe.id, role=recipe.role, text=recipe.text, path=AUDIO / f"{recipe.id}.ogg")
            for recipe in read_recipes().values()
        }
    )


def pack_features(power: Features) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """Log power in a byte per value."""
    return np.clip(np.round((power - FEATURE_ZERO) / FEATURE_STEP), 0, 255).astype(np.uint8)


@cache
def load_features() -> Mapping[str, Features]:
    """The shipped features (log-mel power) of every phrase, by id."""
    with np.load(FEATURES) as stored:
        return {name: stored[name].astype(np.float32) * FEATURE_STEP + FEATURE_ZERO for name in stored.files}
