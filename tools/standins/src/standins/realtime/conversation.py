"""One conversation with the model: the Realtime protocol from the provider's side.

The server is the keeper of the conversation: it acknowledges each item, tells where it stands, opens user items at the
end of the caller's turn and answers with responses, at most one at a time. Speech that begins while a response is being
sent cancels it.
"""

from collections.abc import Callable
from typing import Any

import structlog

from standins.phrases import Ear, PhraseBook
from standins.realtime.brain import UNINTELLIGIBLE, Brain, Situation
from standins.realtime.heard import HeardLog
from standins.realtime.history import History, Item
from standins.realtime.listening import ListeningSession
from standins.realtime.misbehaviour import Misbehaviour
from standins.realtime.response import Response
from standins.realtime.speech import Scripts
from standins.realtime.transcripts import Transcriber
from standins.realtime.turns import SpeechEnded
from standins.realtime.wire import BadEvent, Connection, Event, new_id

log = structlog.get_logger()

#: Share of a phrase that a listener needs to know which one it is.
_ENOUGH = 0.5


class Conversation(ListeningSession):
    """State of one session."""

    def __init__(
        self,
        connection: Connection,
        *,
        session_id: str,
        book: PhraseBook,
        ear: Ear,
        brain: Brain,
        scripts: Scripts,
        heard: HeardLog,
        fault: Callable[[], Misbehaviour],
    ) -> None:
        session: Event = {
            "type": "realtime",
            "id": session_id,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "audio": {"input": {"turn_detection": {"type": "server_vad"}, "transcription": None}, "output": {}},
        }
        super().__init__(connection, session, ear=ear, fault=fault)
        self._texts = {phrase.text.casefold(): phrase.id for phrase in book.of("customer", "human").values()}
        self._brain = brain
        self._scripts = scripts
        self._heard = heard
        self._history = History()
        self._transcriber = Transcriber(connection, fault, deltas=False)
        self._response: Response | None = None
        self._playing: Any = None
        self._heard_s = 0.0
        self._owes_answer = False
        self._handlers |= {
            "conversation.item.create": self._create_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    # -- turns -------------------------------------------------------------------------------------

    async def _speech_began(self) -> None:
        if self._turns.taking is not None and self._turns.taking.interrupt_response:
            await self._stop_response("turn_detected")

    async def _turn_ended(self, ended: SpeechEnded) -> None:
        heard = ended.heard
        body = {"type": "message", "role": "user", "status": "completed"}
        item = Item(self._turn_item, body | {"id": self._turn_item}, said=heard.text)
        item.body["content"] = [{"type": "input_audio", "transcript": None}]
        item.heard = heard.phrase_id if heard.phrase_id and heard.fraction >= _ENOUGH else UNINTELLIGIBLE
        previous = self._history.add(item)
        self._heard_s += ended.duration_s
        self._heard.note(session=self._id, kind="conversation", item_id=item.id, heard=heard)
        await self._connection.send("input_audio_buffer.committed", item_id=item.id, previous_item_id=previous)
        await self._connection.send("conversation.item.added", item=item.body, previous_item_id=previous)
        await self._connection.send("conversation.item.done", item=item.body, previous_item_id=previous)
        if self._session["audio"]["input"].get("transcription"):
            self._transcriber.promise(item.id, heard, ended.duration_s)
        if self._turns.taking is not None and self._turns.taking.create_response:
            await self._answer()

    # -- items -------------------------------------------------------------------------------------

    async def _create_item(self, event: Event) -> None:
        body: Event = dict(event.get("item") or {})
        body.setdefault("id", new_id("item"))
        item = Item(str(body["id"]), body, said=text_of(body))
        if item.role == "user":
            item.heard = self._texts.get(item.said.casefold(), UNINTELLIGIBLE)
        previous = self._history.add(item, after=event.get("previous_item_id"))
        await self._acknowledge("conversation.item.added", item=body, previous_item_id=previous)

    async def _delete_item(self, event: Event) -> None:
        self._history.remove(str(event.get("item_id")))
        await self._acknowledge("conversation.item.deleted", item_id=event.get("item_id"))

    async def _truncate_item(self, event: Event) -> None:
        item = self._history.get(str(event.get("item_id")))
        item.cut(int(event.get("audio_end_ms") or 0))
        where = {name: event.get(name) for name in ("item_id", "content_index", "audio_end_ms")}
        await self._connection.send("conversation.item.truncated", **where)

    async def _acknowledge(self, kind: str, **content: Any) -> None:
        delay_s = self._fault().ack_delay_s
        if delay_s:
            self._connection.later(delay_s, lambda: self._connection.send(kind, **content))
        else:
            await self._connection.send(kind, **content)

    # -- responses ---------------------------------------------------------------------------------

    async def _create_response(self, event: Event) -> None:
        if self._response is not None and self._response.active:
            message = f"Conversation already has an active response in progress: {self._response.id}."
            raise BadEvent(message, code="conversation_already_has_active_response")
        await self._answer(event.get("response") or {}, event_id=event.get("event_id"))

    async def _cancel_response(self, event: Event) -> None:
        wanted = event.get("response_id")
        if self._response is None or not self._response.active or (wanted and wanted != self._response.id):
            raise BadEvent("Cancellation failed: no active response found", code="response_cancel_not_active")
        await self._stop_response("client_cancelled")

    async def _stop_response(self, reason: str) -> None:
        self._owes_answer = False
        if self._response is not None and self._response.active:
            self._playing.cancel()
            await self._response.cancel(reason)

    async def _answer(self, request: Event | None = None, *, event_id: str | None = None) -> None:
        request = request or {}
        fault = self._fault()
        if fault.reply_error:
            message = f"The stand-in was told to fail with {fault.reply_error}."
            await self._connection.send_error(
                message, code=fault.reply_error, event_id=event_id, kind=fault.reply_error
            )
            return
        if self._response is not None and self._response.active:
            self._owes_answer = True
            return
        seen = self._look_around(request)
        reply = self._brain.decide(seen)
        modalities = request.get("output_modalities") or self._session["output_modalities"]
        response = Response(
            self._connection, self._history, metadata=request.get("metadata"), audio="audio" in modalities
        )
        self._response = response
        log.info("realtime.replying", session=self._id, agent=seen.agent, heard=seen.heard, tool=seen.tool,
                 say=[phrase.id for phrase in reply.say], call=reply.call and reply.call.tool)  # fmt: skip
        await response.create()
        heard_s, self._heard_s = self._heard_s, 0.0

        async def play() -> None:
            script = self._scripts.of(reply.say)
            await response.play(reply, script, delay_s=fault.reply_delay_s, speed=fault.speed, heard_s=heard_s)
            if self._owes_answer:
                self._owes_answer = False
                await self._answer()

        self._playing = self._connection.start(play())

    def _look_around(self, request: Event) -> Situation:
        session_instructions = str(self._session["instructions"])
        wanted = request.get("instructions")
        instructions = str(wanted) if wanted else session_instructions
        asked_tools = request.get("tools")
        tools = self._session["tools"] if asked_tools is None else asked_tools
        choice = request.get("tool_choice") or self._session["tool_choice"]
        last = self._history.last
        output = last is not None and last.kind == "function_call_output"
        return Situation(
            instructions=instructions,
            asked=str(wanted).removeprefix(session_instructions).strip() if wanted else "",
            tools=frozenset() if choice == "none" else frozenset(str(tool.get("name")) for tool in tools),
            heard=last.heard if last is not None else None,
            tool=self._history.tool_of(str(last.body.get("call_id"))) if last is not None and output else None,
            output=str(last.body.get("output", "")) if last is not None and output else "",
            last_said=self._history.last_said_by_agent,
        )


def text_of(body: Event) -> str:
    """The text of an item a client created."""
    parts = body.get("content") or []
    return " ".join(str(part.get("text") or part.get("transcript") or "") for part in parts).strip()
