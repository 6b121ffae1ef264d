"""The stand-in for OpenAI's Realtime and speech-to-text servers, on loopback.

    async with RealtimeStandIn() as stand_in:
        model = openai.realtime.RealtimeModel(base_url=stand_in.base_url, api_key="any")

| path | what |
|---|---|
| GET  /v1/realtime                        | conversation (WebSocket) |
| GET  /v1/realtime?intent=transcription   | streaming speech-to-text (WebSocket) |
| POST /v1/audio/transcriptions            | speech-to-text of a file |
| GET, POST /control                       | read or change the misbehaviour (`Misbehaviour` as JSON, partly) |
| POST /control/reset                      | behave again, forget what was heard |
| POST /control/drop                       | break every open connection |
| POST /control/error                      | send an `error` event with {"code": ...} on every open connection |
| GET  /control/heard                      | everything heard, oldest first |
| GET  /health                             | it is up, with its open connections |
"""

import asyncio
import time
from pathlib import Path
from types import TracebackType

import orjson
import structlog
from aiohttp import web
from pydantic import ValidationError

from standins.phrases import Ear, load_book
from standins.realtime.brain import DEFAULT_DIALOGUE, Brain
from standins.realtime.conversation import Conversation
from standins.realtime.heard import HeardLog
from standins.realtime.misbehaviour import Misbehaviour
from standins.realtime.speech import Scripts
from standins.realtime.transcription import TranscriptionSession, read_sound
from standins.realtime.transcripts import usage
from standins.realtime.wire import BadEvent, Connection, new_id

log = structlog.get_logger()

#: Largest message and upload, bytes: a minute of 48 kHz stereo sound.
_MAX_BYTES = 12_000_000


class RealtimeStandIn:
    """A running server; `misbehaviour` may be replaced at any time."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        dialogue: Path = DEFAULT_DIALOGUE,
        misbehaviour: Misbehaviour | None = None,
    ) -> None:
        self.misbehaviour = misbehaviour or Misbehaviour()
        self.heard = HeardLog()
        self._host = host
        self._port = port
        self._book = load_book()
        self._ear = Ear(self._book)
        self._brain = Brain(self._book, dialogue)
        self._scripts = Scripts()
        self._connections: set[Connection] = set()
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1.0)

    @property
    def base_url(self) -> str:
        """For OPENAI_BASE_URL: http://127.0.0.1:PORT/v1."""
        return f"{self.url}/v1"

    @property
    def url(self) -> str:
        """Where it listens: http://127.0.0.1:PORT."""
        return f"http://{self._host}:{self._port}"

    async def __aenter__(self) -> "RealtimeStandIn":
        """Start listening.

        Raises:
            OSError: the port is taken.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Break the connections and stop."""
        self.drop()
        await self._runner.cleanup()

    async def warm_up(self, stop: asyncio.Event) -> None:
        """Decode all that agents can say, until told to stop: then the first reply is as quick as the next."""
        for phrase in self._book.values():
            if stop.is_set():
                return
            if phrase.role not in ("customer", "human"):
                await asyncio.to_thread(lambda script: script.pieces, self._scripts.of((phrase,)))

    def drop(self) -> int:
        """Break every open connection; answers how many."""
        broken = list(self._connections)
        for connection in broken:
            connection.abort()
        return len(broken)

    async def send_error(self, code: str) -> None:
        """Send an `error` event to every open connection; some codes (insufficient_quota) end a client's session."""
        for connection in list(self._connections):
            await connection.send_error(f"The stand-in was told to fail with {code}.", code=code, kind=code)

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=_MAX_BYTES)
        application.add_routes(
            [
                web.get("/v1/realtime", self._realtime),
                web.post("/v1/audio/transcriptions", self._transcribe_file),
                web.get("/control", self._show_control),
                web.post("/control", self._change_control),
                web.post("/control/reset", self._reset),
                web.post("/control/drop", self._drop),
                web.post("/control/error", self._error),
                web.get("/control/heard", self._show_heard),
                web.get("/health", self._health),
            ]
        )
        return application

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        if (status := self.misbehaviour.refuse_with_status) is not None:
            return web.json_response({"error": {"message": "The stand-in was told to refuse."}}, status=status)
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            problem = {"type": "invalid_request_error", "code": "invalid_api_key", "message": "No API key provided."}
            return web.json_response({"error": problem}, status=401)
        socket = web.WebSocketResponse(max_msg_size=_MAX_BYTES)
        await socket.prepare(request)
        connection = Connection(socket, request.transport)
        session = self._session(connection, transcription=request.query.get("intent") == "transcription")
        self._connections.add(connection)
        try:
            await session.open()
            await connection.serve(session.handle)
        finally:
            self._connections.discard(connection)
        return socket

    def _session(self, connection: Connection, *, transcription: bool) -> Conversation | TranscriptionSession:
        session_id = new_id("sess")
        log.info("realtime.connected", session=session_id, transcription=transcription)
        if transcription:
            return TranscriptionSession(
                connection, session_id=session_id, ear=self._ear, heard=self.heard, fault=lambda: self.misbehaviour
            )
        return Conversation(
            connection,
            session_id=session_id,
            book=self._book,
            ear=self._ear,
            brain=self._brain,
            scripts=self._scripts,
            heard=self.heard,
            fault=lambda: self.misbehaviour,
        )

    async def _transcribe_file(self, request: web.Request) -> web.Response:
        if (status := self.misbehaviour.refuse_with_status) is not None:
            return web.json_response({"error": {"message": "The stand-in was told to refuse."}}, status=status)
        upload = (await request.post()).get("file")
        if not isinstance(upload, web.FileField):
            return web.json_response({"error": {"message": "There is no file in the form."}}, status=400)
        try:
            pcm, rate = read_sound(upload.file.read())
        except BadEvent as bad:
            return web.json_response({"error": {"message": str(bad), "code": bad.code}}, status=400)
        heard = self._ear.recognise(pcm, rate)
        self.heard.note(session="file", kind="file", item_id=new_id("file"), heard=heard)
        text = heard.text if heard.understood else self.misbehaviour.unintelligible_text
        return web.json_response({"text": text, "usage": usage(text, len(pcm) / rate)})

    async def _show_control(self, _: web.Request) -> web.Response:
        return web.json_response(self.misbehaviour.model_dump(mode="json"))

    async def _change_control(self, request: web.Request) -> web.Response:
        try:
            changes = orjson.loads(await request.read())
            self.misbehaviour = Misbehaviour.model_validate(self.misbehaviour.model_dump() | changes)
        except (orjson.JSONDecodeError, TypeError, ValidationError) as wrong:
            return web.json_response({"error": str(wrong)}, status=400)
        return await self._show_control(request)

    async def _reset(self, request: web.Request) -> web.Response:
        self.misbehaviour = Misbehaviour()
        self.heard.entries.clear()
        return await self._show_control(request)

    async def _drop(self, _: web.Request) -> web.Response:
        return web.json_response({"dropped": self.drop()})

    async def _error(self, request: web.Request) -> web.Response:
        try:
            code = str(orjson.loads(await request.read())["code"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return web.json_response({"error": 'expected {"code": "..."}'}, status=400)
        await self.send_error(code)
        return web.json_response({"code": code})

    async def _show_heard(self, _: web.Request) -> web.Response:
        return web.json_response(self.heard.entries)

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "connections": len(self._connections), "time": time.time()})
