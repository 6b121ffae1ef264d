"""Every setting of the voice worker; the only module that touches the environment."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from call_events.connection import RedisUrl


class Settings(BaseSettings):
    """Read once, as the process starts. A field's description is the mend that a bad value's message ends with."""

    model_config = SettingsConfigDict(env_prefix="VOICE_WORKER_", frozen=True, extra="ignore", populate_by_name=True)

    redis_url: RedisUrl = Field(
        validation_alias="REDIS_URL",
        pattern=r"^(rediss?(\+sentinel|\+cluster)?|unix)://",
        description="set it to the event log's Redis, e.g. redis://127.0.0.1:6379/0",
    )
    livekit_url: str = Field(
        validation_alias="LIVEKIT_URL",
        pattern=r"^(ws|wss|http|https)://.",
        description="set it to livekit-server, e.g. ws://127.0.0.1:7880",
    )
    livekit_api_key: str = Field(
        validation_alias="LIVEKIT_API_KEY", min_length=1, description="set it to the worker's key in livekit-server"
    )
    livekit_api_secret: SecretStr = Field(
        validation_alias="LIVEKIT_API_SECRET",
        min_length=32,
        description="set it to the secret of LIVEKIT_API_KEY; livekit-server generate-keys makes a pair",
    )
    openai_api_key: SecretStr = Field(
        validation_alias="OPENAI_API_KEY", min_length=1, description="set it to the model provider's key"
    )
    openai_base_url: str = Field(
        default="https://api.openai.com/v1",
        validation_alias="OPENAI_BASE_URL",
        pattern=r"^https?://.",
        description="set it to the model provider, e.g. https://api.openai.com/v1",
    )
    log_format: Literal["json", "console"] = Field(
        default="json", validation_alias="CALLWEAVE_LOG_FORMAT", description="use json or console"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="CALLWEAVE_LOG_LEVEL", description="use debug, info, warning or error"
    )
    #: Name for explicit dispatch: a dispatch rule or token names it.
    agent_name: str = Field(default="callweave", min_length=1, description="use the name in the dispatch rule")
    profiles_dir: Path = Field(default=Path("profiles"), description="the directory that holds the profiles")
    profile: str = Field(
        default="contact-centre", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="the name of a profile directory"
    )
    #: Calls at once.
    max_calls: int = Field(default=8, ge=1, le=1000, description="a number; plan 10 % of a core for each call")
    #: Job processes kept warm, so that a call need not wait for one to start.
    idle_processes: int = Field(default=2, ge=0, le=64, description="a number; 2 suits one new call a second")
    #: The longest call we promise to finish after SIGTERM.
    drain_seconds: int = Field(default=3600, ge=1, description="seconds, as long as the longest call")
    http_host: str = Field(default="127.0.0.1", description="the address for /health and /metrics")
    http_port: int = Field(default=0, ge=0, le=65535, description="a free port, or 0 for any")
    realtime_model: str = Field(default="gpt-realtime", min_length=1, description="a realtime model of the provider")
    stt_model: str = Field(
        default="gpt-4o-mini-transcribe", min_length=1, description="a transcription model of the provider"
    )
    #: Who answers for orders, invoices and tickets, see ``voice_worker.ports.CustomerBook``.
    book: str = Field(
        default="voice_worker.adapters.example_book:ExampleBook",
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="write package.module:Class",
    )
    #: Lease of the right to speak for a call; it is renewed three times as often.
    lease_ms: int = Field(default=6000, ge=1000, le=60_000, description="milliseconds, 1000 to 60000")
    #: How long a leg that vanished without a reason may take to come back, e.g. after a restart of livekit-server.
    rejoin_seconds: float = Field(default=15.0, ge=0, le=120, description="seconds, 0 to 120")
    #: Where events wait on disk while Redis is away: on a volume that outlives the process. `none`: they wait in memory
    #: only, and are lost if the call ends before Redis is back.
    spool_dir: Path = Field(
        default=Path(".run/spool"), description="a directory this user may write, on a disk that is kept; or none"
    )
    #: The most that all calls of this machine may have there.
    spool_mib: int = Field(default=256, ge=1, le=1_000_000, description="MiB; an hour's outage of 100 calls takes 250")


def prepare_environment() -> None:
    """What the agents SDK reads from the environment only, measured to be worth it; a value that is set already stays.

    The model detects turns, so the local inference models (250 MB) are not loaded; the SDK's loop monitor costs 7 %
    of a call's CPU.
    """
    os.environ.setdefault("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")  # noqa: TID251 - this is settings.py
    os.environ.setdefault("LIVEKIT_AGENTS_LOOP_BLOCK_WARN_MS", "0")  # noqa: TID251 - this is settings.py
