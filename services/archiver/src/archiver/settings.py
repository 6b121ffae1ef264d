"""What the archiver is told by its environment. Read once, as the process starts."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from call_events.connection import RedisUrl


class Settings(BaseSettings):
    """Own variables begin with ``ARCHIVER_``; shared ones have their own names."""

    model_config = SettingsConfigDict(env_prefix="ARCHIVER_", frozen=True, env_ignore_empty=True)

    redis_url: RedisUrl = Field(validation_alias="REDIS_URL", description="set it, e.g. redis://127.0.0.1:6379/0")
    archive_url: str = Field(
        validation_alias="ARCHIVE_URL",
        min_length=1,
        description="set it to a directory (/var/lib/callweave/archive) or a bucket (s3://bucket/prefix)",
    )
    s3_endpoint: str | None = Field(
        default=None,
        validation_alias="ARCHIVE_S3_ENDPOINT",
        pattern=r"^https?://",
        description="the address of the store, e.g. https://s3.example.com:9000",
    )
    s3_region: str | None = Field(default=None, validation_alias="ARCHIVE_S3_REGION")
    s3_access_key_id: str | None = Field(default=None, validation_alias="ARCHIVE_S3_ACCESS_KEY_ID")
    s3_secret_access_key: SecretStr | None = Field(default=None, validation_alias="ARCHIVE_S3_SECRET_ACCESS_KEY")
    log_format: Literal["json", "console"] = Field(default="json", validation_alias="CALLWEAVE_LOG_FORMAT")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="CALLWEAVE_LOG_LEVEL"
    )

    #: The consumer groups that must have finished with a call before it is sealed, with commas between. Their receipts
    #: go into the file. A service that is not used here must not stand in the list: calls would wait for it for ever.
    groups: str = Field(
        default="ccm,transfer",
        pattern=r"^[a-z0-9_-]+(,[a-z0-9_-]+)*$",
        description="names of groups with commas between, e.g. ccm,transfer",
    )
    #: Seconds that the end of a call must have been in the log. Longer than producers look back after a fail-over of
    #: Redis (10 s), so that nothing can change a sealed call.
    settle_s: float = Field(default=30.0, ge=0, le=3600, description="seconds from 0 to 3600")
    #: Seconds that Redis keeps a call after it was sealed, for those who still look at it there.
    grace_s: int = Field(default=86_400, ge=0, le=2_592_000, description="seconds from 0 to 2592000 (30 days)")
    #: Days after which the content of a sealed call is removed; the chain keeps the proof that it was there. Absent:
    #: kept for ever.
    keep_days: float | None = Field(default=None, gt=0, le=36_500, description="days, or leave it out to keep for ever")
    #: An Ed25519 key in PEM with which the links of the chain are signed. Absent: they are not.
    signing_key_file: Path | None = None
    #: Seconds for which links are gathered: at least so far apart are two of one archiver.
    link_pause_s: float = Field(default=0.5, ge=0, le=60, description="seconds from 0 to 60")
    #: Calls looked at or sealed at the same time.
    slots: int = Field(default=128, ge=1, le=1024, description="a number from 1 to 1024")
    #: Seconds until another archiver takes up what a killed one had in hand.
    lease_s: float = Field(default=6.0, ge=1, le=300, description="seconds from 1 to 300")
    #: Seconds between two looks at everything that is in Redis.
    sweep_s: float = Field(default=60.0, ge=0.1, le=3600, description="seconds from 0.1 to 3600")
    #: Seconds in which calls in hand are finished following SIGTERM. The grace period of the pod must be longer by some
    #: 4 s.
    stop_budget_s: float = Field(default=8.0, ge=0, le=120, description="seconds from 0 to 120")
    #: The address for /health and /metrics.
    http_host: str = "127.0.0.1"
    #: The port for them; 0 takes any free one.
    http_port: int = Field(default=0, ge=0, le=65535, description="a port number; 0 takes any free one")

    @field_validator("groups")
    @classmethod
    def _not_ourselves(cls, groups: str) -> str:
        if "archive" in groups.split(","):
            raise ValueError("the archive cannot wait for itself")
        return groups
