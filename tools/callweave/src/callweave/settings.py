"""Where the command line finds calls, and who uses it. The environment is read once, here."""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from the environment, once, as the process starts."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CALLWEAVE_", extra="ignore", env_ignore_empty=True)

    #: Redis or Valkey with the log. Absent: the log that `./dev demo` left on this machine.
    redis_url: SecretStr | None = Field(default=None, validation_alias="REDIS_URL")
    #: Directory of the embedded log that is used when REDIS_URL is absent.
    log_dir: Path = Path(".run/log")
    #: Where the voice-workers of this machine keep events while Redis is away (their VOICE_WORKER_SPOOL_DIR), for
    #: `callweave log status`. Absent: not looked at.
    spool_dir: Path | None = None
    #: The archive of sealed calls: a directory, or the `s3://…` URL of a bucket; ARCHIVE_URL, as the archiver has it,
    #: does as well. `--archive` overrides both. Absent, and without REDIS_URL: that of the log in CALLWEAVE_LOG_DIR.
    archive: str | None = Field(default=None, validation_alias=AliasChoices("CALLWEAVE_ARCHIVE", "ARCHIVE_URL"))
    #: Address of the bucket's store, if it is not AWS.
    s3_endpoint: str | None = Field(default=None, validation_alias="ARCHIVE_S3_ENDPOINT")
    #: Region of the bucket.
    s3_region: str | None = Field(default=None, validation_alias="ARCHIVE_S3_REGION")
    #: A key that may read the bucket (and, where there is no REDIS_URL, create objects under `reads/`).
    s3_access_key_id: str | None = Field(default=None, validation_alias="ARCHIVE_S3_ACCESS_KEY_ID")
    #: The secret that belongs to it.
    s3_secret_access_key: SecretStr | None = Field(default=None, validation_alias="ARCHIVE_S3_SECRET_ACCESS_KEY")
    #: Files with the public keys (PEM, Ed25519), separated by commas, by one of which every link of the archive's chain
    #: must be signed. Empty: signatures are not looked at.
    archive_keys: str = ""
    #: File with the private key (PEM, Ed25519) that signs the link which `erase` adds to the chain; needed where the
    #: archiver signs its links.
    archive_signing_key: Path | None = None
    #: Who is at the keyboard: in the record of readings, and with what is decided. Absent: the account on this machine
    #: and the machine's name.
    user: str | None = None
    #: Why calls are read, e.g. a ticket; `--why` overrides it.
    why: str | None = None
    #: Show no call to somebody who does not say why.
    why_required: bool = False
