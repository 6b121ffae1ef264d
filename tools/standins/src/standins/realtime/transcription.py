"""Speech-to-text without a model: a streaming transcription session, and whole files."""

import io
import wave
from collections.abc import Callable
from typing import Any

import av
import numpy as np

from standins.phrases import Ear
from standins.phrases.pcm import Pcm, decode
from standins.realtime.heard import HeardLog
from standins.realtime.listening import ListeningSession
from standins.realtime.misbehaviour import Misbehaviour
from standins.realtime.transcripts import Transcriber
from standins.realtime.turns import SpeechEnded
from standins.realtime.wire import BadEvent, Connection, Event


class TranscriptionSession(ListeningSession):
    """State of one `intent=transcription` session: turns in, transcripts out, nothing is ever said."""

    def __init__(
        self,
        connection: Connection,
        *,
        session_id: str,
        ear: Ear,
        heard: HeardLog,
        fault: Callable[[], Misbehaviour],
    ) -> None:
        session: Event = {
            "type": "transcription",
            "id": session_id,
            "audio": {"input": {"turn_detection": {"type": "server_vad"}, "transcription": {}}},
        }
        super().__init__(connection, session, ear=ear, fault=fault)
        self._heard = heard
        self._transcriber = Transcriber(connection, fault, deltas=True)
        self._previous: str | None = None

    async def _speech_began(self) -> None:
        """Nobody speaks here who could be interrupted."""

    async def _turn_ended(self, ended: SpeechEnded) -> None:
        body: Event = {"id": self._turn_item, "type": "message", "role": "user", "status": "completed"}
        body["content"] = [{"type": "input_audio", "transcript": None}]
        place: dict[str, Any] = {"previous_item_id": self._previous}
        await self._connection.send("input_audio_buffer.committed", item_id=self._turn_item, **place)
        await self._connection.send("conversation.item.added", item=body, **place)
        self._previous = self._turn_item
        self._transcriber.promise(self._turn_item, ended.heard, ended.duration_s)
        self._heard.note(session=self._id, kind="transcription", item_id=self._turn_item, heard=ended.heard)


def read_sound(data: bytes) -> tuple[Pcm, int]:
    """An uploaded file as (mono samples, rate in Hz): WAV directly, anything else PyAV can decode.

    Raises:
        BadEvent: it holds no sound.
    """
    try:
        with wave.open(io.BytesIO(data)) as sound:
            if sound.getsampwidth() == 2:
                samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2")
                mono = samples.reshape(-1, sound.getnchannels()).mean(axis=1).astype(np.int16)
                return mono, sound.getframerate()
    except (wave.Error, EOFError):
        pass  # not a plain WAV file
    try:
        return decode(io.BytesIO(data), 16_000), 16_000
    except (av.error.FFmpegError, IndexError, ValueError) as wrong:
        raise BadEvent("The file could not be decoded.", code="invalid_file") from wrong
