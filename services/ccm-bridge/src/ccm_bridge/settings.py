"""Everything a deployment chooses, read once as the process starts."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, HttpUrl, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ccm_bridge.domain.identity import Sources


def _sources(text: str) -> str:
    Sources.parse(text)
    return text


#: An ordered, comma-separated list; see ``ccm_bridge.domain.identity``.
SourceList = Annotated[str, AfterValidator(_sources)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseSettings):
    """The bridge's settings; each is ``CCM_BRIDGE_<NAME>`` but for the shared two."""

    model_config = SettingsConfigDict(env_prefix="CCM_BRIDGE_", frozen=True, extra="ignore")

    redis_url: str = Field(
        validation_alias="REDIS_URL", description="set it to the Redis of the event log, e.g. redis://127.0.0.1:6379/0"
    )
    ccm_url: HttpUrl = Field(
        validation_alias="CCM_URL",
        description="set it to the whole URL of CCM's inbound endpoint, e.g. https://cx.example/ccm/message/receive",
    )
    log_format: Literal["json", "console"] = Field(default="json", validation_alias="CALLWEAVE_LOG_FORMAT")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="CALLWEAVE_LOG_LEVEL"
    )
    #: false = start although nothing answers at CCM_URL, and deliver when it comes.
    require_ccm_at_start: bool = True

    #: How CCM wants to know us.
    auth: Literal["none", "bearer"] = "none"
    #: With bearer: where a token is had, e.g. ``https://cx.example/agent-manager/agent/login``.
    login_url: HttpUrl | None = None
    username: str | None = None
    password: SecretStr | None = None
    verify_tls: bool = True

    #: The customer of the conversation. The first source with a value counts, the call id where none has.
    customer_identifier: SourceList = "number,call"
    #: The channel. Must be the number under which CX has it.
    service_identifier: SourceList = "dialled,profile"

    #: Sender ids. The connector's is any fixed UUID of this bridge; the bot's is the channel's ``botId``.
    connector_id: str = Field(default="7c1f0e52-2b9d-4d0e-9c55-0d3a8f6b2e10", min_length=1)
    connector_name: str = Field(default="CALLWEAVE_BRIDGE", min_length=1)
    bot_id: str = Field(default="66c0ffee12ab34cd56ef7890", min_length=1)
    #: For people without an id of their own below.
    human_id: str = Field(default="3f6a2d1c-90b7-4e0f-8a55-1c2d3e4f5a6b", min_length=1)
    #: JSON object: a person's or destination's display name -> Keycloak user id.
    human_ids: dict[str, str] = Field(default_factory=dict)
    #: In whose name notes are posted that no agent says.
    system_name: str = Field(default="System", min_length=1)

    #: Send START_CONVERSATION; without it the first utterance opens the session.
    start_conversation: bool = True
    #: Send END_CHAT when the customer has left; without it a plain note.
    end_chat: bool = True
    #: Post a note where somebody spoke and no transcript is to be had.
    missing_transcript_note: bool = True
    #: Whose legs we report; the Agent Desk reports those of CX Voice extensions itself.
    call_legs: Literal["none", "human"] = "none"
    #: Where our facts about a message travel.
    carrier: Literal["entities", "sender.additionalDetail", "none"] = "entities"
    timestamp_format: Literal["milliseconds", "iso"] = "milliseconds"

    #: How long a text is waited for after its speech has ended.
    text_wait_s: Seconds = 5
    #: How long a speech may go on without an end in the log.
    speech_wait_s: Seconds = 120
    #: How long a transfer without outcome holds its call's messages.
    hold_s: Seconds = 120
    #: Deadline of one attempt.
    request_timeout_s: Seconds = 10
    first_retry_s: Seconds = 0.25
    longest_retry_s: Seconds = 15
    #: Between attempts while CCM answers that our configuration is wrong.
    misconfigured_retry_s: Seconds = 60

    #: Calls handled at once; also the size of the connection pool.
    slots: int = Field(default=128, ge=1, le=4096)
    #: A killed bridge's calls wait this long.
    lease_s: Seconds = 6
    #: What calls in hand get to finish in after SIGTERM.
    stop_budget_s: Seconds = 12

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65_535)

    @model_validator(mode="after")
    def _bearer_is_whole(self) -> Self:
        if self.auth == "bearer" and not (self.login_url and self.username and self.password):
            raise ValueError(
                "CCM_BRIDGE_AUTH=bearer also needs CCM_BRIDGE_LOGIN_URL, CCM_BRIDGE_USERNAME and CCM_BRIDGE_PASSWORD"
            )
        return self


def seconds(value: float) -> timedelta:
    """A setting as a duration."""
    return timedelta(seconds=value)
