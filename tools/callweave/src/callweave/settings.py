"""Where the command line finds the log. The environment is read once, here."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from the environment, once, as the process starts."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CALLWEAVE_", extra="ignore")

    #: Redis or Valkey with the log. Absent: the log that `./dev demo` left on this machine.
    redis_url: SecretStr | None = Field(default=None, validation_alias="REDIS_URL")
    #: Directory of the embedded log that is used when REDIS_URL is absent.
    log_dir: Path = Path(".run/log")
    #: Who is at the keyboard, as it is kept with what they decide. Absent: `user@host` of the operating system.
    user: str | None = None
    #: Where the voice-workers of this machine keep events while Redis is away (their VOICE_WORKER_SPOOL_DIR), for
    #: `callweave log status`. Absent: not looked at.
    spool_dir: Path | None = None
