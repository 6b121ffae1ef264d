"""What a job process does before its first call, so that no call waits for it."""

import functools
import ssl

import uvloop
from livekit.agents.utils import http_context
from livekit.agents.voice.transcription import synchronizer
from livekit.agents.voice.transcription._speaking_rate import SpeakingRateDetector
from livekit.plugins import openai
from livekit.rtc._ffi_client import FfiClient

#: The SDK estimates the speaking rate ten times a second with a Fourier transform: half of a call's Python time.
#: Twice a second is as good for cutting an interrupted sentence where it was heard.
RATE_STEP_SECONDS = 0.5


def warm_up() -> ssl.SSLContext:
    """Make this process ready: uvloop, cheap speaking rate, CA bundle, media engine, schemas.

    Returns:
        The TLS context, parsed once for the whole process.
    """
    uvloop.install()
    # A module attribute of the SDK, pinned to 1.8.9; there is no setting for it.
    cheaper = functools.partial(SpeakingRateDetector, step_size=RATE_STEP_SECONDS)
    setattr(synchronizer, "SpeakingRateDetector", cheaper)  # noqa: B010 - not exported, so mypy must not look
    tls = http_context._create_ssl_context()  # noqa: SLF001 - caches the parsed CA bundle for the SDK's own sessions
    _ = FfiClient.instance
    # Building one session configuration compiles the provider's pydantic schemas.
    model = openai.realtime.RealtimeModel(api_key="warm-up", base_url="http://127.0.0.1:9/v1")
    openai.STT(api_key="warm-up", base_url="http://127.0.0.1:9/v1", use_realtime=True)
    del model
    return tls
