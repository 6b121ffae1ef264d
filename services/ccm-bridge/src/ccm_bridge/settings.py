"""Everything a deployment chooses, read once as the process starts."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, HttpUrl, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from call_events.connection import RedisUrl
from ccm_bridge.domain.identity import Sources


def _sources(text: str) -> str:
    Sources.parse(text)
    return text


#: An ordered, comma-separated list; see ``ccm_bridge.domain.identity``.
SourceList = Annotated[str, AfterValidator(_sources)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseSettings):
    """The bridge's settings; each is ``CCM_BRIDGE_<NAME>`` but for the shared ones."""

    model_config = SettingsConfigDict(env_prefix="CCM_BRIDGE_", frozen=True, extra="ignore", env_ignore_empty=True)

    redis_url: RedisUrl = Field(
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

    #: Whether CCM's gateway wants a bearer token.
    auth: Literal["none", "bearer"] = "none"
    #: With bearer: where a token is had, e.g. `https://cx.example/agent-manager/agent/login`.
    login_url: HttpUrl | None = None
    #: With bearer: the account's name; an ordinary Keycloak user with the admin and default roles.
    username: str | None = None
    #: With bearer: the account's password.
    password: SecretStr | None = None
    #: false = take any certificate of CCM's; for trials only.
    verify_tls: bool = True

    #: The customer of the conversation: the first of `number`, `customer_id`, `identity`, `dialled`, `profile`, `call`,
    #: `header:NAME`, `=TEXT` that has a value counts, the call id where none has.
    customer_identifier: SourceList = "number,call"
    #: The channel, from the same sources; must be the number under which CX has it.
    service_identifier: SourceList = "dialled,profile"

    #: Sender id of what the bridge posts for the customer: any UUID, always the same.
    connector_id: str = Field(default="0e14c44d-d76a-4f32-bb8e-9326be3335b1", min_length=1)
    #: Name beside that id, shown to agents.
    connector_name: str = Field(default="CALLWEAVE_BRIDGE", min_length=1)
    #: Sender id of what AI agents say: the `botId` that CX has for the channel.
    bot_id: str = Field(
        min_length=1,
        description="set it to the channel's botId: channelConfig.botId in the answer of "
        "GET /ccm/channels/service-identifier/<number> on CCM's host",
    )
    #: Sender id of what people say who have none of their own in CCM_BRIDGE_HUMAN_IDS: a Keycloak user id.
    human_id: str = Field(
        min_length=1,
        description="set it to the Keycloak id of the user in whose name people's words are shown, e.g. one made for "
        "telephone agents",
    )
    #: JSON object that gives people their own sender ids: the `human_name` of destinations.yaml → Keycloak user id.
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
    #: Where our facts about a message travel. CIM models before 1.21.6 know no `header.additionalData`.
    carrier: Literal["entities", "sender.additionalDetail", "header.additionalData", "none"] = "entities"
    #: How times are written.
    timestamp_format: Literal["milliseconds", "iso"] = "milliseconds"

    #: Seconds a text is waited for after its speech has ended.
    text_wait_s: Seconds = 5
    #: Seconds a speech may go on without an end in the log.
    speech_wait_s: Seconds = 120
    #: Seconds a transfer without outcome holds its call's messages. Must exceed the time its phones may ring: the
    #: orchestrator takes no destination whose phones ring for more than 100 s together.
    hold_s: Seconds = 120
    #: Deadline of one attempt in seconds, until the answer's headers are there.
    request_timeout_s: Seconds = 10
    #: Seconds before the first repeat; doubled at each further one.
    first_retry_s: Seconds = 0.25
    #: Seconds between repeats at most.
    longest_retry_s: Seconds = 15
    #: Seconds between attempts while CCM answers that our configuration is wrong.
    misconfigured_retry_s: Seconds = 60

    #: Calls handled at once; the connections to CCM and Redis are as many.
    slots: int = Field(default=128, ge=1, le=4096)
    #: Seconds a killed bridge's calls wait for another.
    lease_s: Seconds = 6
    #: Memory in MiB for what is known of calls between their turns; 64 are room for 90,000 events. What does not fit is
    #: read again.
    cached_mib: int = Field(default=64, ge=1, le=65_536)
    #: Seconds that calls in hand get to finish in after SIGTERM.
    stop_budget_s: Seconds = 12

    #: The address for /health and /metrics.
    http_host: str = "127.0.0.1"
    #: The port for them; 0 takes any free one.
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
