"""The composition root: settings in, a process that can answer calls out. Runs once per process."""

import asyncio
import importlib
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from livekit import api, rtc

from call_events.catalogue import LegJoined, Role, Speaker, TransferRequested
from call_events.clock import SystemClock
from call_events.envelope import EventData
from call_events.errors import BadSetting
from call_events.ids import CallId
from call_events.logs import configure_logging
from call_events.redis_log import RedisEventLog, connect
from call_events.spool import Spool
from call_events.spool_keeper import bequeath
from voice_worker.adapters.foreign import FOREIGN_FAULTS, in_one_line
from voice_worker.adapters.livekit_room import LiveKitLegs
from voice_worker.adapters.profile_files import load_profile
from voice_worker.adapters.realtime_model import ModelAccess
from voice_worker.adapters.studio import LiveKitStudio
from voice_worker.adapters.text_stage import Stage, TextEar, TextStudio
from voice_worker.adapters.warmth import end_with_the_worker, warm_up
from voice_worker.domain.profile import Profile
from voice_worker.handlers.call import Conductor
from voice_worker.handlers.limits import Limits
from voice_worker.ports import CustomerBook, Hear, Legs, Studio
from voice_worker.settings import Settings

NO_SPOOL = "none"


@dataclass(frozen=True, slots=True)
class Process:
    """What all calls of one process share."""

    settings: Settings
    profile: Profile
    book: CustomerBook
    access: ModelAccess
    tls: ssl.SSLContext
    producer: str

    async def run_call(
        self, call: CallId, room: rtc.Room, client: api.LiveKitAPI, enter: Callable[[], Awaitable[None]]
    ) -> None:
        """Live through one call.

        Args:
            call: which call.
            room: its room.
            client: the server's API.
            enter: connects the room. Meanwhile the log is asked and the model's session is opened.
        """
        legs = LiveKitLegs(room, client, rejoin_s=self.settings.rejoin_seconds)
        studio = LiveKitStudio(room, legs, profile=self.profile, book=self.book, access=self.access, tls=self.tls)
        async with connect(self.settings.redis_url) as redis:
            log = RedisEventLog(redis)
            conductor = self._conductor(call, log, legs, studio)

            def on_track(identity: str, sid: str) -> None:
                conductor.state.audio_tracks[identity] = sid

            async def arrive() -> None:
                await enter()
                legs.watch(conductor.signal, on_track)

            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(arrive(), name="enter")
                    group.create_task(studio.open(), name="model")
                    beside = (
                        group.create_task(legs.audio.tidy(), name="tidy"),
                        group.create_task(log.keep_journal(), name="journal"),
                    )
                    await conductor.run()
                    for task in beside:
                        task.cancel()
            finally:
                await studio.close()
                await legs.close()
                if (spool := spool_of(self.settings)) is not None:
                    await bequeath(spool, log, call)

    async def run_text_call(self, call: CallId, stage: Stage, on_heard: Callable[[], None]) -> None:
        """Live through one call in text, with parties who do what ``stage`` is told.

        Args:
            call: which call.
            stage: where the parties are.
            on_heard: called, once or more, as there is somebody to hear what they say; before that it would be lost.
        """
        studio = _TextStudio(stage, profile=self.profile, book=self.book, access=self.access)
        studio.on_ear = on_heard
        async with connect(self.settings.redis_url) as redis:
            log = RedisEventLog(redis)
            before = len(await log.read(call))
            conductor = self._conductor(call, log, stage, studio)
            stage.watch(conductor.signal, lambda: conductor.desk)

            async def tell_when_heard() -> None:
                async for event in log.follow(call, after=before):
                    if _somebody_hears(event.data):
                        on_heard()
                        return

            async with asyncio.TaskGroup() as group:
                telling = group.create_task(tell_when_heard(), name="heard")
                await conductor.run()
                telling.cancel()

    def _conductor(self, call: CallId, log: RedisEventLog, legs: Legs, studio: Studio) -> Conductor:
        return Conductor(
            call,
            profile=self.profile,
            events=log,
            legs=legs,
            studio=studio,
            clock=SystemClock(),
            producer=f"{self.producer}/{uuid4().hex[:8]}",
            limits=Limits(lease_ms=self.settings.lease_ms),
            spool=spool.of(call) if (spool := spool_of(self.settings)) else None,
        )


class _TextStudio(TextStudio):
    """Tells when it gives somebody an ear: where a human had the call already, no event of it follows."""

    on_ear: Callable[[], None]

    def ear(self, speaker: Speaker, source: str, hear: Hear) -> TextEar:
        """See ``TextStudio.ear``."""
        ear = super().ear(speaker, source, hear)
        self.on_ear()
        return ear


def _somebody_hears(data: EventData) -> bool:
    """Whether the AI's session is there, or a human is asked for as it cannot be."""
    return isinstance(data, TransferRequested) or (isinstance(data, LegJoined) and data.role is Role.AI)


def prepare_process(settings: Settings) -> Process:
    """Load and warm what every call of this process needs.

    Raises:
        BadSetting, BadProfile: one line that names the setting or the file, and the mend.
    """
    end_with_the_worker()
    configure_logging("voice-worker", format=settings.log_format, level=settings.log_level)
    return Process(
        settings=settings,
        profile=load_profile(settings.profiles_dir, settings.profile),
        book=load_book(settings.book),
        access=ModelAccess(
            base_url=settings.openai_base_url,
            api_key=settings.openai_api_key.get_secret_value(),
            realtime_model=settings.realtime_model,
            stt_model=settings.stt_model,
        ),
        tls=warm_up(),
        producer=f"voice-worker/{socket.gethostname()[:60]}-{os.getpid()}",
    )


def spool_of(settings: Settings) -> Spool | None:
    """The spool of this machine; absent if there shall be none."""
    if str(settings.spool_dir) == NO_SPOOL:
        return None
    return Spool(settings.spool_dir, max_bytes=settings.spool_mib * 2**20)


def check_spool(settings: Settings) -> None:
    """See that events could be kept on disk.

    Raises:
        BadSetting: the directory cannot be written.
    """
    if (spool := spool_of(settings)) is None:
        return
    try:
        spool.prepare()
    except OSError as error:
        raise BadSetting(
            f"VOICE_WORKER_SPOOL_DIR: {settings.spool_dir} cannot be written ({error.strerror}), and what is said "
            "while Redis is away would be lost; name a directory of its own on a disk that is kept, or none"
        ) from None


def load_book(name: str) -> CustomerBook:
    """The customer book that ``VOICE_WORKER_BOOK`` names.

    Raises:
        BadSetting: it cannot be imported, made, or lacks a method.
    """
    module, _, attribute = name.partition(":")
    try:
        book = getattr(importlib.import_module(module), attribute)()
    except FOREIGN_FAULTS as error:
        raise BadSetting(
            f"VOICE_WORKER_BOOK: {name} cannot be used ({in_one_line(error)}); write package.module:Class of a book "
            "that can be made without arguments"
        ) from None
    methods = [method for base in CustomerBook.__mro__ for method in vars(base) if not method.startswith("_")]
    missing = [method for method in methods if not callable(getattr(book, method, None))]
    if missing:
        raise BadSetting(f"VOICE_WORKER_BOOK: {name} lacks {', '.join(missing)}; see voice_worker.ports.CustomerBook")
    return book  # type: ignore[no-any-return]
