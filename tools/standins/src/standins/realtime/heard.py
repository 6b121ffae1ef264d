"""What the stand-in heard, for tests and people who look into a call: `GET /control/heard`."""

import time
from typing import Any

from standins.phrases import Heard


class HeardLog:
    """Every turn of every session, oldest first."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def note(self, *, session: str, kind: str, item_id: str, heard: Heard) -> None:
        """Add a turn; `kind` is conversation, transcription or file."""
        self.entries.append(
            {
                "at": time.time(),
                "session": session,
                "kind": kind,
                "item_id": item_id,
                "phrase_id": heard.phrase_id,
                "text": heard.text,
                "score": round(heard.score, 3),
                "fraction": round(heard.fraction, 2),
            }
        )
