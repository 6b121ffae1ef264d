"""One response of the model: its life on the wire from `response.created` to `response.done`."""

import asyncio
from typing import Any

from standins.realtime.brain import Reply, ToolCall
from standins.realtime.history import History, Item
from standins.realtime.speech import Script
from standins.realtime.wire import Connection, Event, new_id

#: Tokens per second of speech, heard and spoken, and letters per token of text: about what the provider bills.
_HEARD_TOKENS, _SPOKEN_TOKENS, _LETTERS = 10, 20, 4


class Response:
    """Sends itself; `cancel` ends it early. Exactly one `response.done` is sent either way."""

    def __init__(self, connection: Connection, history: History, *, metadata: Event | None, audio: bool) -> None:
        self.id = new_id("resp")
        self.active = True
        self._connection = connection
        self._history = history
        self._metadata = metadata
        self._audio = audio
        self._output: list[Event] = []
        self._open: Item | None = None
        self._spoken_s = 0.0
        self._letters = 0
        self._heard_s = 0.0

    async def create(self) -> None:
        """Announce it; the metadata of the request come back so that the client knows which answer this is."""
        await self._connection.send("response.created", response=self._described("in_progress"))

    async def play(self, reply: Reply, script: Script, *, delay_s: float, speed: float, heard_s: float) -> None:
        """Say and call what was decided, `speed` times faster than it is heard."""
        self._heard_s = heard_s
        if delay_s:
            await asyncio.sleep(delay_s)
        if script.phrases:
            await self._say(script, speed)
        if reply.call is not None:
            await self._call(reply.call)
        await self._finish("completed")

    async def cancel(self, reason: str) -> None:
        """End it early; `reason` is turn_detected or client_cancelled."""
        if self.active:
            if self._open is not None:
                await self._close_item(self._open, "incomplete")
            await self._finish("cancelled", {"type": "cancelled", "reason": reason})

    async def _say(self, script: Script, speed: float) -> None:
        item = Item(new_id("item"), {"type": "message", "role": "assistant", "status": "in_progress", "content": []})
        await self._open_item(item)
        part = {"type": "audio", "transcript": ""} if self._audio else {"type": "text", "text": ""}
        where: Event = {"response_id": self.id, "item_id": item.id, "output_index": 0, "content_index": 0}
        await self._connection.send("response.content_part.added", **where, part=part)
        words_event = "response.output_audio_transcript" if self._audio else "response.output_text"
        for piece in script.pieces:
            if piece.words:
                item.said += piece.words
                item.words_until.append((piece.until_ms, piece.words.strip()))
                await self._connection.send(f"{words_event}.delta", **where, delta=piece.words)
            if self._audio:
                item.spoken_ms = piece.until_ms
                self._spoken_s += piece.duration_s
                await self._connection.send("response.output_audio.delta", **where, delta=piece.audio)
                await asyncio.sleep(piece.duration_s / speed)
        self._letters += len(script.text)
        if self._audio:
            await self._connection.send("response.output_audio.done", **where)
            await self._connection.send(f"{words_event}.done", **where, transcript=script.text)
        else:
            await self._connection.send(f"{words_event}.done", **where, text=script.text)
        full = part | ({"transcript": script.text} if self._audio else {"text": script.text})
        await self._connection.send("response.content_part.done", **where, part=full)
        item.body["content"] = [full]
        await self._close_item(item, "completed")

    async def _call(self, call: ToolCall) -> None:
        body = {
            "type": "function_call",
            "name": call.tool,
            "call_id": new_id("call"),
            "arguments": "",
            "status": "in_progress",
        }
        item = Item(new_id("item"), body)
        await self._open_item(item)
        item.body["arguments"] = call.arguments_json
        self._letters += len(call.arguments_json)
        where: Event = {"response_id": self.id, "item_id": item.id, "call_id": item.body["call_id"]}
        where["output_index"] = len(self._output) - 1
        await self._connection.send("response.function_call_arguments.done", **where, arguments=call.arguments_json)
        await self._close_item(item, "completed")

    async def _open_item(self, item: Item) -> None:
        self._open = item
        place = len(self._output)
        self._output.append(item.body)
        item.body["id"] = item.id
        previous = self._history.add(item)
        where = {"response_id": self.id, "output_index": place}
        await self._connection.send("response.output_item.added", **where, item=item.body)
        await self._connection.send("conversation.item.added", item=item.body, previous_item_id=previous)

    async def _close_item(self, item: Item, status: str) -> None:
        self._open = None
        item.body["status"] = status
        where = {"response_id": self.id, "output_index": len(self._output) - 1}
        await self._connection.send("response.output_item.done", **where, item=item.body)
        await self._connection.send("conversation.item.done", item=item.body)

    async def _finish(self, status: str, details: Event | None = None) -> None:
        self.active = False
        described = self._described(status) | {"status_details": details, "usage": self._usage()}
        await self._connection.send("response.done", response=described)

    def _described(self, status: str) -> Event:
        modality = "audio" if self._audio else "text"
        described: dict[str, Any] = {"object": "realtime.response", "id": self.id, "status": status}
        return described | {"output": self._output, "metadata": self._metadata, "output_modalities": [modality]}

    def _usage(self) -> Event:
        text_in = sum(len(item.said) for item in self._history) // _LETTERS
        audio_in, audio_out = int(self._heard_s * _HEARD_TOKENS), int(self._spoken_s * _SPOKEN_TOKENS)
        text_out = self._letters // _LETTERS
        return {
            "total_tokens": text_in + audio_in + audio_out + text_out,
            "input_tokens": text_in + audio_in,
            "output_tokens": audio_out + text_out,
            "input_token_details": {"text_tokens": text_in, "audio_tokens": audio_in, "cached_tokens": 0},
            "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
        }
