"""A model provider of tones: enough of the realtime and transcription protocols to lead a call, steered by the test.

Everybody "speaks" a tone. The provider hears which tone it was and looks the sentence up; the AI answers in tones of
its own. So what a test hears is what was really sent, and nothing here can guess.
"""

import asyncio
import base64
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from aiohttp import WSMsgType, web

RATE = 24_000
LOUD = 600.0
SILENCE_S = 0.4
AI_TONE = 700


@dataclass(frozen=True)
class Say:
    text: str
    seconds: float = 0.6


@dataclass(frozen=True)
class Call:
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


Turn = Say | Call
#: (agent's instructions, what it answers: the caller's sentence, a tool's output or an instruction) → what it does.
Brain = Callable[[str, str], tuple[Turn, ...]]


@dataclass
class Heard:
    """One segment of somebody's speech."""

    item: str
    samples: list[np.ndarray] = field(default_factory=list)
    quiet_s: float = 0.0


class Provider:
    def __init__(self, brain: Brain, sentences: dict[int, str], *, transcript_s: float = 0.05) -> None:
        self.brain = brain
        self.sentences = sentences
        self.transcript_s = transcript_s
        self.requests: list[str] = []
        self.fatal = False
        self.fail_transcripts = False
        self.sockets: list[web.WebSocketResponse] = []
        self._ids = itertools.count(1)
        self._runner: web.AppRunner | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/v1/realtime", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for socket in self.sockets:
            await socket.close()
        assert self._runner
        await self._runner.cleanup()

    def id(self, kind: str) -> str:
        return f"{kind}_{next(self._ids)}"

    def spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def sentence(self, samples: np.ndarray) -> str:
        """Which tone it was; the loudest one within 15 Hz of a known one."""
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        peak = float(np.argmax(spectrum)) * RATE / len(samples)
        return next((text for tone, text in self.sentences.items() if abs(tone - peak) < 15), "")

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        self.sockets.append(socket)
        transcription = request.query.get("intent") == "transcription"
        connection = Connection(self, socket, speaks=not transcription)
        if self.fatal and not transcription:
            await connection.send(
                {"type": "error", "error": {"type": "x", "code": "insufficient_quota", "message": "no"}}
            )
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                event = json.loads(message.data)
                self.requests.append(event["type"])
                await connection.take(event)
        return socket


class Connection:
    def __init__(self, provider: Provider, socket: web.WebSocketResponse, *, speaks: bool) -> None:
        self.provider = provider
        self.socket = socket
        self.speaks = speaks
        self.instructions = ""
        self.last = ""
        self.heard: Heard | None = None
        self.response: asyncio.Task[None] | None = None
        self.cancelled: bool = False

    async def send(self, event: dict[str, Any]) -> None:
        if not self.socket.closed:
            await self.socket.send_str(json.dumps({"event_id": self.provider.id("event"), **event}))

    async def take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                self.instructions = event["session"].get("instructions") or self.instructions
            case "input_audio_buffer.append":
                await self._audio(np.frombuffer(base64.b64decode(event["audio"]), dtype=np.int16))
            case "conversation.item.create":
                item = event["item"]
                if item["type"] == "function_call_output":
                    self.last = f"tool: {item['output']}"
                elif item["type"] == "message" and item["role"] == "user":
                    self.last = " ".join(part.get("text", "") for part in item["content"])
                previous = event.get("previous_item_id")
                await self.send(
                    {
                        "type": "conversation.item.added",
                        "item": item,
                        "previous_item_id": None if previous == "root" else previous,
                    }
                )
            case "conversation.item.delete":
                await self.send({"type": "conversation.item.deleted", "item_id": event["item_id"]})
            case "response.create":
                asked = event.get("response") or {}
                extra = asked.get("instructions") or ""
                about = extra.removeprefix(self.instructions).strip() or self.last
                self.provider.spawn(self._respond(about, asked.get("metadata")))
            case "response.cancel":
                self.cancelled = True
            case _:
                pass

    async def _audio(self, samples: np.ndarray) -> None:
        loud = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) > LOUD
        if loud and self.heard is None:
            self.heard = Heard(self.provider.id("item"))
            await self.send(
                {"type": "input_audio_buffer.speech_started", "item_id": self.heard.item, "audio_start_ms": 0}
            )
            self.cancelled = True
        if self.heard is None:
            return
        if loud:
            self.heard.samples.append(samples)
            self.heard.quiet_s = 0.0
            return
        self.heard.quiet_s += len(samples) / RATE
        if self.heard.quiet_s >= SILENCE_S:
            done, self.heard = self.heard, None
            await self.send({"type": "input_audio_buffer.speech_stopped", "item_id": done.item, "audio_end_ms": 1})
            await self._understood(done)

    async def _understood(self, heard: Heard) -> None:
        text = self.provider.sentence(np.concatenate(heard.samples))
        item = {
            "id": heard.item, "type": "message", "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }  # fmt: skip
        if self.speaks:
            await self.send({"type": "conversation.item.added", "item": item, "previous_item_id": None})
            self.last = text
            self.provider.spawn(self._respond(text, None))
        self.provider.spawn(self._transcribe(heard.item, text))

    async def _transcribe(self, item: str, text: str) -> None:
        await asyncio.sleep(self.provider.transcript_s)
        prefix = "conversation.item.input_audio_transcription"
        if self.provider.fail_transcripts:
            await self.send(
                {"type": f"{prefix}.failed", "item_id": item, "content_index": 0, "error": {"message": "x"}}
            )
        else:
            await self.send({"type": f"{prefix}.completed", "item_id": item, "content_index": 0, "transcript": text})

    async def _respond(self, about: str, metadata: Any) -> None:
        turns = self.provider.brain(self.instructions, about)
        response = self.provider.id("resp")
        self.cancelled = False
        await self.send({"type": "response.created", "response": {"id": response, "metadata": metadata}})
        for turn in turns:
            await self._turn(turn)
        status = ("completed", "cancelled")[self.cancelled]
        usage = {
            "input_tokens": 10, "output_tokens": 20, "total_tokens": 30,
            "input_token_details": {"text_tokens": 5, "audio_tokens": 5, "cached_tokens": 0},
            "output_token_details": {"text_tokens": 5, "audio_tokens": 15},
        }  # fmt: skip
        await self.send({"type": "response.done", "response": {"id": response, "status": status, "usage": usage}})

    async def _turn(self, turn: Turn) -> None:
        item = self.provider.id("item")
        if isinstance(turn, Call):
            call = {
                "id": item, "type": "function_call", "name": turn.name, "call_id": self.provider.id("call"),
                "arguments": json.dumps(turn.arguments),
            }  # fmt: skip
            await self.send({"type": "conversation.item.added", "item": call, "previous_item_id": None})
            await self.send({"type": "response.output_item.done", "item": call})
            return
        message = {"id": item, "type": "message", "role": "assistant", "content": []}
        await self.send({"type": "response.output_item.added", "item": message})
        await self.send({"type": "conversation.item.added", "item": message, "previous_item_id": None})
        await self.send({"type": "response.output_audio_transcript.delta", "item_id": item, "delta": turn.text})
        at = np.arange(int(turn.seconds * RATE))
        tone = (8000 * np.sin(2 * np.pi * AI_TONE * at / RATE)).astype(np.int16)
        for start in range(0, len(tone), RATE // 5):
            if self.cancelled:
                return
            piece = base64.b64encode(tone[start : start + RATE // 5].tobytes()).decode()
            await self.send({"type": "response.output_audio.delta", "item_id": item, "delta": piece})
        await self.send({"type": "response.output_item.done", "item": message})
