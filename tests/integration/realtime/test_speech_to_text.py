"""The speech-to-text endpoints, driven by the real plugin."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from livekit import rtc
from livekit.agents import stt, utils
from livekit.plugins import openai

from integration.realtime.conftest import RATE, until
from standins.phrases import load_book
from standins.phrases.pcm import Pcm
from standins.realtime import RealtimeStandIn, Transcripts


class Stream:
    """An open stream and what came out of it."""

    def __init__(self, stream: stt.RecognizeStream) -> None:
        self._stream = stream
        self.events: list[stt.SpeechEvent] = []

    def push(self, pcm: Pcm) -> None:
        """Send sound, all at once."""
        self._stream.push_frame(rtc.AudioFrame(pcm.tobytes(), RATE, 1, len(pcm)))

    async def read(self) -> None:
        """Note every event until the stream is closed."""
        async for event in self._stream:
            self.events.append(event)

    @property
    def finals(self) -> list[str]:
        """Final transcripts, as they came."""
        wanted = stt.SpeechEventType.FINAL_TRANSCRIPT
        return [event.alternatives[0].text for event in self.events if event.type == wanted]

    def count(self, kind: stt.SpeechEventType) -> int:
        """How many events of a kind."""
        return sum(event.type == kind for event in self.events)


@asynccontextmanager
async def listening(stand_in: RealtimeStandIn) -> AsyncIterator[Stream]:
    """A streaming session of the plugin."""
    async with utils.http_context.open():
        plugin = openai.STT(base_url=stand_in.base_url, api_key="any", use_realtime=True)
        stream = plugin.stream()
        listener = Stream(stream)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(listener.read())
            try:
                yield listener
            finally:
                await stream.aclose()
                reading.cancel()
        await plugin.aclose()


def spoken(*phrase_ids: str) -> Pcm:
    """Phrases with a second of silence after each."""
    silence = np.zeros(RATE, dtype=np.int16)
    book = load_book()
    return np.concatenate([part for one in phrase_ids for part in (book[one].pcm(RATE), silence)])


async def test_both_people_of_a_call_are_written_down_in_order(stand_in: RealtimeStandIn) -> None:
    said = ("human.greeting", "customer.to_human_1", "human.ask_which", "customer.to_human_2")
    async with listening(stand_in) as stream:
        stream.push(spoken(*said))
        await until(lambda: len(stream.finals) == 4, "four transcripts")
        assert stream.finals == [load_book()[one].text for one in said]
        assert stream.count(stt.SpeechEventType.START_OF_SPEECH) == 4
        assert stream.count(stt.SpeechEventType.END_OF_SPEECH) == 4


async def test_transcripts_can_come_in_the_wrong_order_and_name_their_item(stand_in: RealtimeStandIn) -> None:
    stand_in.misbehaviour = stand_in.misbehaviour.model_copy(update={"reorder_transcripts": True})
    async with listening(stand_in) as stream:
        stream.push(spoken("human.greeting", "human.goodbye"))
        await until(lambda: len(stream.finals) == 2, "two transcripts")
        assert stream.finals == [load_book()[one].text for one in ("human.goodbye", "human.greeting")]
        items = {entry["item_id"]: entry["text"] for entry in stand_in.heard.entries}
        finals = [event for event in stream.events if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT]
        assert {event.request_id: event.alternatives[0].text for event in finals} == items


async def test_a_failed_transcript_is_silence_but_the_speech_was_noticed(stand_in: RealtimeStandIn) -> None:
    stand_in.misbehaviour = stand_in.misbehaviour.model_copy(update={"transcripts": Transcripts.FAILED})
    async with listening(stand_in) as stream:
        stream.push(spoken("human.greeting"))
        await until(lambda: len(stand_in.heard.entries) == 1, "the turn")
        stand_in.misbehaviour = stand_in.misbehaviour.model_copy(update={"transcripts": Transcripts.COMPLETED})
        stream.push(spoken("human.goodbye"))
        await until(lambda: len(stream.finals) == 1, "the next transcript")
        assert stream.finals == [load_book()["human.goodbye"].text]
        assert stream.count(stt.SpeechEventType.END_OF_SPEECH) == 2


async def test_a_file_is_transcribed_with_the_same_ear(stand_in: RealtimeStandIn) -> None:
    async with utils.http_context.open():
        plugin = openai.STT(base_url=stand_in.base_url, api_key="any", use_realtime=False)
        pcm = load_book()["customer.ask_person"].pcm(RATE)
        known = await plugin.recognize(rtc.AudioFrame(pcm.tobytes(), RATE, 1, len(pcm)))
        backwards = pcm[::-1].copy()
        unknown = await plugin.recognize(rtc.AudioFrame(backwards.tobytes(), RATE, 1, len(pcm)))
        await plugin._client.close()
        await plugin.aclose()
    assert known.alternatives[0].text == load_book()["customer.ask_person"].text
    assert unknown.alternatives[0].text == "[unintelligible]"
