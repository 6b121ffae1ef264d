"""Transcripts of voiced turns, which come when they come: late, in another order, failed, or never."""

from collections.abc import Callable

from standins.phrases import Heard
from standins.realtime.misbehaviour import Misbehaviour, Transcripts
from standins.realtime.wire import Connection, Event


class Transcriber:
    """Sends the transcripts of one session."""

    def __init__(self, connection: Connection, fault: Callable[[], Misbehaviour], *, deltas: bool) -> None:
        self._connection = connection
        self._fault = fault
        self._deltas = deltas
        self._kept_back: tuple[str, Heard, float, Misbehaviour] | None = None

    def promise(self, item_id: str, heard: Heard, duration_s: float) -> None:
        """Send the transcript of a turn when its time has come. What becomes of it is decided now."""
        fault = self._fault()
        work = (item_id, heard, duration_s, fault)
        self._connection.later(fault.transcript_delay_s, lambda: self._deliver(*work))

    async def _deliver(self, item_id: str, heard: Heard, duration_s: float, fault: Misbehaviour) -> None:
        if fault.reorder_transcripts and self._kept_back is None:
            self._kept_back = (item_id, heard, duration_s, fault)
            return
        await self._send(item_id, heard, duration_s, fault)
        if self._kept_back is not None:
            kept_back, self._kept_back = self._kept_back, None
            await self._send(*kept_back)

    async def _send(self, item_id: str, heard: Heard, duration_s: float, fault: Misbehaviour) -> None:
        event = "conversation.item.input_audio_transcription"
        where: Event = {"item_id": item_id, "content_index": 0}
        match fault.transcripts:
            case Transcripts.DROPPED:
                return
            case Transcripts.FAILED:
                error = {
                    "type": "transcription_error",
                    "code": "audio_unintelligible",
                    "message": "No transcript.",
                    "param": None,
                }
                await self._connection.send(f"{event}.failed", **where, error=error)
            case Transcripts.COMPLETED:
                text = heard.text if heard.understood else fault.unintelligible_text
                if self._deltas and text:
                    await self._connection.send(f"{event}.delta", **where, delta=text)
                await self._connection.send(
                    f"{event}.completed", **where, transcript=text, usage=usage(text, duration_s)
                )


def usage(text: str, duration_s: float) -> Event:
    """Tokens of one transcript, about what the provider bills."""
    heard, written = int(duration_s * 10), len(text) // 4
    details = {"audio_tokens": heard, "text_tokens": 0}
    return {
        "type": "tokens",
        "input_tokens": heard,
        "output_tokens": written,
        "total_tokens": heard + written,
        "input_token_details": details,
    }
