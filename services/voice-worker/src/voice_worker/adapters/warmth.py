"""What a job process does before its first call, so that no call waits for it."""

import functools
import logging
import ssl
import threading

import uvloop
from livekit.agents.ipc.log_queue import LogQueueHandler
from livekit.agents.llm._realtime import openai as protocol
from livekit.agents.utils import http_context
from livekit.agents.voice.transcription import synchronizer
from livekit.agents.voice.transcription._speaking_rate import SpeakingRateDetector
from livekit.rtc._ffi_client import FfiClient
from pydantic import BaseModel

#: The SDK estimates the speaking rate ten times a second with a Fourier transform: half of a call's Python time.
#: Twice a second is as good for cutting an interrupted sentence where it was heard.
RATE_STEP_SECONDS = 0.5

#: How a line begins that the SDK logs as an error, with a traceback, whenever a caller speaks over a sentence that may
#: not be interrupted (1.8.9). It takes that for impossible, since by default it does not pass the caller's audio on
#: meanwhile. Here it does, on purpose, see :mod:`voice_worker.adapters.realtime_voice`: nothing is wrong then.
FALSE_ALARM = "RealtimeAPI input_speech_started, but current speech"


def end_with_the_worker() -> None:
    """See to it that this process can end when its worker was killed.

    The SDK forwards log lines to the worker in a thread that is no daemon, and stops it only on an orderly way out.
    When the worker is gone the main thread ends by an error instead, and the process would wait for that thread for
    ever. Call this before logging is configured: then the SDK's handler can still be found.
    """
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, LogQueueHandler)]

    def stop_forwarding() -> None:
        threading.main_thread().join()
        for handler in handlers:
            handler.close()

    if handlers:
        threading.Thread(target=stop_forwarding, name="end with the worker", daemon=True).start()


def make_what_forks_share() -> ssl.SSLContext:
    """What costs time and memory and can be made before a process is forked: 3 MB and 60 ms less for each.

    Returns:
        The TLS context, parsed once for the whole process.
    """
    # The provider's message types compile themselves at first use: 15 ms here and there while a caller waits.
    for kind in vars(protocol).values():
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not BaseModel:
            kind.model_rebuild()
    return http_context._create_ssl_context()  # noqa: SLF001 - caches the parsed CA bundle for the SDK's own sessions


def warm_up() -> ssl.SSLContext:
    """Make this process ready: uvloop, cheap speaking rate, CA bundle, media engine, schemas, no false alarms.

    Returns:
        The TLS context, parsed once for the whole process.
    """
    uvloop.install()
    # A module attribute of the SDK, pinned to 1.8.9; there is no setting for it.
    cheaper = functools.partial(SpeakingRateDetector, step_size=RATE_STEP_SECONDS)
    setattr(synchronizer, "SpeakingRateDetector", cheaper)  # noqa: B010 - not exported, so mypy must not look
    _ = FfiClient.instance
    logging.getLogger("livekit.agents").addFilter(_is_no_false_alarm)
    return make_what_forks_share()


def _is_no_false_alarm(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(FALSE_ALARM)
