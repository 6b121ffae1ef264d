"""What the orchestrator is told by its environment. Read once, as the process starts."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from call_events.connection import RedisUrl


class Settings(BaseSettings):
    """Own variables begin with ``TRANSFER_ORCHESTRATOR_``; shared ones have their own names."""

    model_config = SettingsConfigDict(env_prefix="TRANSFER_ORCHESTRATOR_", frozen=True, env_ignore_empty=True)

    redis_url: RedisUrl = Field(validation_alias="REDIS_URL", description="set it, e.g. redis://127.0.0.1:6379/0")
    livekit_url: str = Field(
        validation_alias="LIVEKIT_URL", pattern=r"^(wss?|https?)://", description="set it, e.g. ws://127.0.0.1:7880"
    )
    livekit_api_key: str = Field(
        validation_alias="LIVEKIT_API_KEY", min_length=1, description="set it to a key of livekit-server's 'keys'"
    )
    livekit_api_secret: SecretStr = Field(
        validation_alias="LIVEKIT_API_SECRET",
        min_length=32,
        description="set it to the secret that belongs to LIVEKIT_API_KEY; livekit-server generate-keys makes a pair",
    )
    log_format: Literal["json", "console"] = Field(default="json", validation_alias="CALLWEAVE_LOG_FORMAT")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="CALLWEAVE_LOG_LEVEL"
    )

    #: The file that lists the destinations: nothing else is ever dialled. Whatever a ``profile.yaml`` beside it names
    #: as a destination must be in the list.
    destinations: Path = Field(
        default=Path("profiles/contact-centre/destinations.yaml"),
        description="name the file that lists the destinations, e.g. profiles/contact-centre/destinations.yaml",
    )
    #: Name of LiveKit's outbound trunk through which people are dialled.
    trunk_name: str = Field(default="callweave-outbound", min_length=1)
    #: The address for /health and /metrics.
    http_host: str = "127.0.0.1"
    #: The port for them; 0 takes any free one.
    http_port: int = Field(default=0, ge=0, le=65535, description="a port number; 0 takes any free one")
    #: Milliseconds between two looks at a room for which a phone rings.
    poll_ms: int = Field(default=200, ge=20, le=5000, description="milliseconds from 20 to 5000")
    #: Seconds that running dials are looked after following SIGTERM; what still rings is left to another instance.
    #: The grace period of the pod must be longer by some 12 s.
    stop_grace_s: float = Field(default=15.0, ge=0, le=120, description="seconds from 0 to 120")
