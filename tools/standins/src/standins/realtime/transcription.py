"""Speech-to-text without a model: a streaming transcription session, and whole files."""

import io
import wave
from collections.abc import Callable
from typing import Any

import av
import numpy as np

from standins.phrases import Ear
from standins.phrases.pcm import Pcm, decode
from standins.realtime.conversation import decode_audio
from standins.realtime.heard import HeardLog
from standins.realtime.misbehaviour import Misbehaviour
from standins.realtime.transcripts import Transcriber
from standins.realtime.turns import SpeechEnded, SpeechStarted, TurnTaker, TurnTaking
from standins.realtime.wire import BadEvent, Connection, Event, merge, new_id


class TranscriptionSession:
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
        self._connection = connection
        self._id = session_id
        self._heard = heard
        self._fault = fault
        self._session: Event = {
            "type": "transcription",
            "id": session_id,
            "audio": {"input": {"turn_detection": {"type": "server_vad"}, "transcription": {}}},
        }
        self._turns = TurnTaker(ear)
        self._transcriber = Transcriber(connection, fault, deltas=True)
        self._item = ""
        self._previous: str | None = None
        self._take_turns()

    async def open(self) -> None:
        """Greet the client."""
        await self._connection.send("session.created", session=self._session)

    async def handle(self, event: Event) -> None:
        """Do what one client event asks for.

        Raises:
            BadEvent: the protocol does not allow it.
        """
        match event.get("type"):
            case "session.update":
                merge(self._session, event.get("session") or {})
                self._take_turns()
                await self._connection.send("session.updated", session=self._session)
            case "input_audio_buffer.append":
                await self._append(event)
            case "input_audio_buffer.commit":
                if self._turns.taking is None:
                    self._item = new_id("item")
                ended = await self._turns.commit()
                if ended is None:
                    raise BadEvent(
                        "The buffer holds less than 100 ms of sound.", code="input_audio_buffer_commit_empty"
                    )
                await self._ended(ended)
            case "input_audio_buffer.clear":
                self._turns.clear()
                await self._connection.send("input_audio_buffer.cleared")
            case other:
                raise BadEvent(f"A transcription session knows no event {other!r}.", code="invalid_event")

    def _take_turns(self) -> None:
        wanted = self._session["audio"]["input"].get("turn_detection")
        self._turns.configure(TurnTaking.wanted(wanted, self._fault().silence_ms) if wanted else None)

    async def _append(self, event: Event) -> None:
        async for happened in self._turns.push(decode_audio(event)):
            match happened:
                case SpeechStarted():
                    self._item = new_id("item")
                    began = {"item_id": self._item, "audio_start_ms": happened.at_ms}
                    await self._connection.send("input_audio_buffer.speech_started", **began)
                case SpeechEnded():
                    ended = {"item_id": self._item, "audio_end_ms": happened.at_ms}
                    await self._connection.send("input_audio_buffer.speech_stopped", **ended)
                    await self._ended(happened)

    async def _ended(self, ended: SpeechEnded) -> None:
        body: Event = {"id": self._item, "type": "message", "role": "user", "status": "completed"}
        body["content"] = [{"type": "input_audio", "transcript": None}]
        place: dict[str, Any] = {"previous_item_id": self._previous}
        await self._connection.send("input_audio_buffer.committed", item_id=self._item, **place)
        await self._connection.send("conversation.item.added", item=body, **place)
        self._previous = self._item
        self._transcriber.promise(self._item, ended.heard, ended.duration_s)
        self._heard.note(session=self._id, kind="transcription", item_id=self._item, heard=ended.heard)


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
