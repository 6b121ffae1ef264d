"""One whole Callweave on loopback: what is not at hand is played by a stand-in, what the environment names is used.

| environment | instead of |
|---|---|
| REDIS_URL | the embedded Valkey |
| LIVEKIT_URL + LIVEKIT_API_KEY + LIVEKIT_API_SECRET | a livekit-server of our own |
| LIVEKIT_SIP_BIN (or livekit-sip on PATH) | the telephone exchange: phones are then real SIP phones |
| OPENAI_BASE_URL, OPENAI_API_KEY | the model stand-in |
| CCM_URL | the CCM stand-in |
| ARCHIVE_URL | a directory beside the log (without it, REDIS_URL's log is not archived) |
"""

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.errors import LogInUse
from call_events.redis_log import RedisEventLog
from standins.ccm import CcmStandIn
from standins.exchange import Exchange
from standins.media import Media, provision
from standins.media.assembly import Assembly
from standins.media.ports import free_port
from standins.media.processes import ChildProcess
from standins.phones import ExchangePhones, Phones, SipPhones
from standins.stack.named import check_livekit, check_model, model_url
from standins.stack.services import ALL, ARCHIVER, CCM_SENDERS, GROUPS, Program, Service

#: Of this checkout: the stand-ins are never installed without it.
PROFILES = Path(__file__).resolve().parents[5] / "profiles"
MODEL_DEADLINE_S = 30.0
#: Where nothing listens: a service that must have an address but never uses it.
NOWHERE = "ws://127.0.0.1:9"
#: Digest account of the switch at the inbound trunk.
SWITCH_USER = "switch"


@dataclass(frozen=True)
class Options:
    """What of the stack differs from the ordinary."""

    #: Settings added to each service's environment, by module name.
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: Arguments of the model stand-in.
    model: tuple[str, ...] = ()
    #: Services to start; tests leave out what they run by hand.
    services: tuple[Program, ...] = ALL
    #: Directory of the log's append-only file; None keeps it in memory.
    log_directory: Path | None = None
    #: Without: no livekit-server, no telephones, no sound; only for the call in text.
    media: bool = True


class Stack(Assembly):
    """Everything a call needs; an async context manager.

    Attributes are there once it is entered: ``log``, ``redis_url``, ``livekit_url``, ``ccm`` (None when CCM_URL names a
    real one), ``phones``, ``services`` by module name.
    """

    redis_url: str
    livekit_url: str
    model_url: str
    ccm_url: str
    log: RedisEventLog
    phones: Phones
    media: Media
    exchange: Exchange | None
    ccm: CcmStandIn | None
    #: None: this run seals nothing.
    archive_url: str | None

    def __init__(
        self,
        directory: Path,
        options: Options | None = None,
        *,
        environment: Mapping[str, str] = os.environ,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        super().__init__()
        self.directory = directory
        self.services: dict[str, Service] = {}
        #: What is a stand-in in this run and what is real, for the reader of the demo.
        self.parts: list[tuple[str, str]] = []
        self._options = options or Options()
        self._environment = environment
        self._say = say

    async def _start(self) -> None:
        await check_model(self._environment)
        if self._options.media:
            await check_livekit(self._environment)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._use_archive(await self._start_log())
        if self._options.media:
            await self._start_media()
        else:
            self.exchange, self.livekit_url = None, NOWHERE
        await self._start_model()
        await self._start_ccm()
        for program in self._options.services:
            if program is not ARCHIVER or self.archive_url is not None:
                await self.start_service(program)
        for service in self.services.values():
            await service.ready()
            self._say(f"{service.program.module} is ready")
        if self._options.media:
            # First of all when it ends: a worker that is told to stop waits for its running calls.
            self._stack.push_async_callback(self.phones.hang_up)

    async def _start_log(self) -> Path:
        """Start it; gives where it lies, or would if it were kept."""
        given = self._environment.get("REDIS_URL")
        if given:
            self.redis_url, directory = given, None
            self.parts.append(("event log", "the server at REDIS_URL"))
        else:
            directory = self._options.log_directory
            try:
                server = await self._stack.enter_async_context(EmbeddedRedis(directory))
            except LogInUse:
                self._say(f"{directory} is in use by another run; this one keeps its log in {self.directory / 'log'}")
                directory = self.directory / "log"
                server = await self._stack.enter_async_context(EmbeddedRedis(directory))
            self.redis_url = server.url
            self.parts.append(("event log", "real Valkey (embedded)"))
            if directory is not None:
                self._leave_address(directory / "url", server.url)
        redis = connect(self.redis_url)
        self._stack.push_async_callback(redis.aclose)
        self.log = RedisEventLog(redis)
        return directory or self.directory

    def _use_archive(self, beside: Path) -> None:
        """One log has one archive: beside a log of ours lies its own; to that of somebody else we add none."""
        given = self._environment.get("ARCHIVE_URL")
        if given or self._environment.get("REDIS_URL"):
            self.archive_url = given or None
            self.parts.append(("archive", "the one at ARCHIVE_URL" if given else "none: ARCHIVE_URL names none"))
            return
        directory = beside / "archive"
        directory.mkdir(exist_ok=True)
        self.archive_url = str(directory.resolve())
        self.parts.append(("archive", f"a directory, {directory}"))

    def _leave_address(self, path: Path, url: str) -> None:
        """So that the command line finds the running server instead of opening its directory a second time."""
        path.write_text(url)
        self._stack.callback(path.unlink, missing_ok=True)

    async def _start_media(self) -> None:
        own = await self._stack.enter_async_context(EmbeddedRedis())  # LiveKit's pub/sub ignores database numbers
        self.media = await self._stack.enter_async_context(
            Media(own.url, self.directory / "media", sip=True, environment=self._environment, say=self._say)
        )
        key, secret = self.media.api_key, self.media.api_secret
        self.parts.append(("media server", "real livekit-server"))
        password = secrets.token_urlsafe(12)
        if self.media.sip_address is not None:
            await self._use_sip_phones(self.media.sip_address, password)
            return
        self.exchange = await self._stack.enter_async_context(Exchange(self.media.url, key, secret))
        self.livekit_url = self.exchange.url
        await provision(self.livekit_url, key, secret, username=SWITCH_USER, password=password)
        self.phones = await self._stack.enter_async_context(
            ExchangePhones(self.exchange, directory=self.directory, username=SWITCH_USER, password=password)
        )
        self.parts.append(
            ("telephones", "stand-in exchange; each phone is a LiveKit participant of kind SIP, G.711 sound")
        )

    async def _use_sip_phones(self, sip_address: str, password: str) -> None:
        self.exchange = None
        self.livekit_url = self.media.url
        sip = SipPhones(sip_address, directory=self.directory, username=SWITCH_USER, password=password)
        phones = await self._stack.enter_async_context(sip)
        self.phones = phones
        await provision(
            self.livekit_url,
            self.media.api_key,
            self.media.api_secret,
            outbound_address=phones.address,
            username=SWITCH_USER,
            password=password,
        )
        self.parts.append(("telephones", "real SIP phones (pjsua2) through real livekit-sip"))

    async def _start_model(self) -> None:
        given = model_url(self._environment)
        if given is not None:
            self.model_url = given
            self.parts.append(("model and speech-to-text", "the one at OPENAI_BASE_URL"))
            return
        port = free_port()
        child = ChildProcess(
            "model stand-in",
            [sys.executable, "-m", "standins.realtime", "--port", str(port), *self._options.model],
            log=self.directory / "model.log",
        )
        await self._stack.enter_async_context(child)
        await child.healthy(f"http://127.0.0.1:{port}/control/heard", MODEL_DEADLINE_S)
        self.model_url = f"http://127.0.0.1:{port}/v1"
        self.parts.append(("model and speech-to-text", "stand-in; it recognises speech from the sound it receives"))

    async def _start_ccm(self) -> None:
        given = self._environment.get("CCM_URL")
        if given:
            self.ccm, self.ccm_url = None, given
            self.parts.append(("CCM", "the one at CCM_URL"))
            return
        self.ccm = await self._stack.enter_async_context(CcmStandIn())
        self.ccm_url = self.ccm.url
        self.parts.append(("CCM", "strict stand-in"))

    @property
    def model_is_standin(self) -> bool:
        """Whether the words of the AI are known beforehand."""
        return model_url(self._environment) is None

    async def start_service(self, program: Program) -> Service:
        """Start one of Callweave's services (again); the caller waits for ``ready()``."""
        service = Service(
            program,
            {**self.settings_of(program.module), **self._options.settings.get(program.module, {})},
            log=self.directory / f"{program.module}.log",
        )
        await service.start()
        self._stack.push_async_callback(service.stop)
        self.services[program.module] = service
        return service

    def settings_of(self, module: str) -> dict[str, str]:
        """Least privilege, as in production: each service gets what it needs and nothing else."""
        settings = {"REDIS_URL": self.redis_url, "CALLWEAVE_LOG_FORMAT": "json"}
        livekit = {
            "LIVEKIT_URL": self.livekit_url,
            "LIVEKIT_API_KEY": self.media.api_key if self._options.media else "none",
            "LIVEKIT_API_SECRET": self.media.api_secret if self._options.media else secrets.token_urlsafe(36),
        }
        match module:
            case "voice_worker":
                model = {
                    "OPENAI_BASE_URL": self.model_url,
                    "OPENAI_API_KEY": self._environment.get("OPENAI_API_KEY") or "stand-in",
                }
                spool = str(self.directory / "spool")
                places = {"VOICE_WORKER_PROFILES_DIR": str(PROFILES), "VOICE_WORKER_SPOOL_DIR": spool}
                return settings | livekit | model | places
            case "transfer_orchestrator":
                destinations = str(PROFILES / "contact-centre" / "destinations.yaml")
                return settings | livekit | {"TRANSFER_ORCHESTRATOR_DESTINATIONS": destinations}
            case "archiver":
                return settings | self._settings_of_archiver()
            case _:
                senders = {name: self._environment.get(name) or ours for name, ours in CCM_SENDERS.items()}
                return settings | {"CCM_URL": self.ccm_url} | senders

    def _settings_of_archiver(self) -> dict[str, str]:
        """Nobody here fails over, so a call settles at once; and it waits only for those that run."""
        groups = [GROUPS[one.module] for one in self._options.services if one.module in GROUPS]
        s3 = {name: value for name, value in self._environment.items() if name.startswith(("ARCHIVE_S3_", "AWS_"))}
        return s3 | {
            "ARCHIVE_URL": self.archive_url or "",
            "ARCHIVER_GROUPS": ",".join(groups),
            "ARCHIVER_SETTLE_S": "0.2",
            "ARCHIVER_LINK_PAUSE_S": "0.1",
        }
