"""The half that every Realtime session has: settings, sound coming in, and the turns that it is cut into."""

import base64
import binascii
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

import numpy as np

from standins.phrases import Ear
from standins.phrases.pcm import Pcm
from standins.realtime.misbehaviour import Misbehaviour
from standins.realtime.turns import SpeechEnded, SpeechStarted, TurnTaker, TurnTaking
from standins.realtime.wire import BadEvent, Connection, Event, merge, new_id

Handler = Callable[[Event], Awaitable[None]]


class ListeningSession(ABC):
    """One session that listens; what a turn leads to is its own business.

    Args:
        session: its settings as long as the client changes nothing; ``type`` names the kind of session.
    """

    def __init__(self, connection: Connection, session: Event, *, ear: Ear, fault: Callable[[], Misbehaviour]) -> None:
        self._connection = connection
        self._session = session
        self._id = str(session["id"])
        self._fault = fault
        self._turns = TurnTaker(ear)
        #: Id of the user item that the present turn becomes.
        self._turn_item = ""
        self._handlers: dict[str, Handler] = {
            "session.update": self._update_session,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
        }
        self._take_turns()

    @abstractmethod
    async def _turn_ended(self, ended: SpeechEnded) -> None:
        """The caller's turn is over; its item has the id `_turn_item`."""

    @abstractmethod
    async def _speech_began(self) -> None:
        """The caller began to speak."""

    async def open(self) -> None:
        """Greet the client."""
        await self._connection.send("session.created", session=self._session)

    async def handle(self, event: Event) -> None:
        """Do what one client event asks for.

        Raises:
            BadEvent: the protocol does not allow it.
        """
        handler = self._handlers.get(str(event.get("type")))
        if handler is None:
            message = f"A {self._session['type']} session knows no event {event.get('type')!r}."
            raise BadEvent(message, code="invalid_event")
        await handler(event)

    async def _update_session(self, event: Event) -> None:
        merge(self._session, event.get("session") or {})
        self._take_turns()
        await self._connection.send("session.updated", session=self._session)

    def _take_turns(self) -> None:
        wanted = self._session["audio"]["input"].get("turn_detection")
        self._turns.configure(TurnTaking.wanted(wanted, self._fault().silence_ms) if wanted else None)

    async def _append(self, event: Event) -> None:
        async for happened in self._turns.push(decode_audio(event)):
            match happened:
                case SpeechStarted():
                    self._turn_item = new_id("item")
                    began = {"item_id": self._turn_item, "audio_start_ms": happened.at_ms}
                    await self._connection.send("input_audio_buffer.speech_started", **began)
                    await self._speech_began()
                case SpeechEnded():
                    ended = {"item_id": self._turn_item, "audio_end_ms": happened.at_ms}
                    await self._connection.send("input_audio_buffer.speech_stopped", **ended)
                    await self._turn_ended(happened)

    async def _commit(self, _: Event) -> None:
        # A turn that speech opened keeps its item; one that the client alone delimits gets a new one.
        if self._turns.taking is None:
            self._turn_item = new_id("item")
        ended = await self._turns.commit()
        if ended is None:
            raise BadEvent("The buffer holds less than 100 ms of sound.", code="input_audio_buffer_commit_empty")
        await self._turn_ended(ended)

    async def _clear(self, _: Event) -> None:
        self._turns.clear()
        await self._connection.send("input_audio_buffer.cleared")


def decode_audio(event: Event) -> Pcm:
    """The samples of an `input_audio_buffer.append`.

    Raises:
        BadEvent: it is not base64 of 16-bit samples.
    """
    try:
        data = base64.b64decode(str(event.get("audio", "")), validate=True)
        return np.frombuffer(data, dtype="<i2")
    except (binascii.Error, ValueError) as wrong:
        raise BadEvent("Expected base64 of 16-bit samples in 'audio'.", code="invalid_audio") from wrong
