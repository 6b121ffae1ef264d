"""Writes ``docs/configuration.md`` and ``.env.example`` from the services' Settings, so that neither can be incomplete.

    python tests/support/settings_docs.py [--check]

The text beside a variable is its ``#:`` comment, else its description; the default is the class's own.
"""

import inspect
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

import archiver.settings
import callweave.settings
import ccm_bridge.settings
import transfer_orchestrator.settings
import voice_worker.settings

ROOT = Path(__file__).resolve().parents[2]

SERVICES: tuple[tuple[str, type[BaseSettings]], ...] = (
    ("voice-worker", voice_worker.settings.Settings),
    ("ccm-bridge", ccm_bridge.settings.Settings),
    ("transfer-orchestrator", transfer_orchestrator.settings.Settings),
    ("archiver", archiver.settings.Settings),
    ("callweave (command line)", callweave.settings.Settings),
)

SHARED = {
    "REDIS_URL": "The event log: `redis://host:port/db`, `unix:///path`, "
    "`redis+sentinel://host:port,host:port/master-name` or `redis+cluster://host:port,host:port`; `rediss` for TLS. "
    "Valkey ≥ 7.2 or Redis ≥ 7.0, `noeviction`.",
    "LIVEKIT_URL": "LiveKit server, e.g. `ws://127.0.0.1:7880`.",
    "LIVEKIT_API_KEY": "A key of that server. Give each service its own.",
    "LIVEKIT_API_SECRET": "The secret that belongs to it, at least 32 characters.",
    "OPENAI_API_KEY": "Key of the realtime model and of speech-to-text.",
    "OPENAI_BASE_URL": "Where they are; any server that speaks OpenAI's protocols.",
    "CCM_URL": "The whole URL of CCM's inbound endpoint, ending in `/ccm/message/receive`.",
    "ARCHIVE_URL": "The archive: a directory that exists (`/var/lib/callweave/archive`), or a bucket (`s3://bucket/prefix`).",
    "ARCHIVE_S3_ENDPOINT": "Address of an S3-compatible store; it must honour `If-None-Match`. Absent: AWS.",
    "ARCHIVE_S3_REGION": "Its region.",
    "ARCHIVE_S3_ACCESS_KEY_ID": "A key for the bucket. Absent: as the process's surroundings tell, AWS's own way.",
    "ARCHIVE_S3_SECRET_ACCESS_KEY": "The secret that belongs to it.",
    "CALLWEAVE_LOG_FORMAT": "`json`, or `console` for people.",
    "CALLWEAVE_LOG_LEVEL": "`debug`, `info`, `warning` or `error`.",
}


@dataclass(frozen=True)
class Variable:
    """One environment variable."""

    name: str
    default: str | None
    text: str


def variables(settings: type[BaseSettings]) -> list[Variable]:
    """Every variable a Settings class reads, in its order."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    comments = _comments(settings)
    return [
        Variable(
            _name(name, info, prefix),
            _default(info),
            " ".join(filter(None, (comments.get(name) or info.description, _choices(info)))),
        )
        for name, info in settings.model_fields.items()
    ]


def _name(name: str, info: FieldInfo, prefix: str) -> str:
    alias = info.validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return alias if isinstance(alias, str) else f"{prefix}{name}".upper()


def _choices(info: FieldInfo) -> str:
    if get_origin(info.annotation) is not Literal:
        return ""
    return "One of " + ", ".join(f"`{choice}`" for choice in get_args(info.annotation)) + "."


def _default(info: FieldInfo) -> str | None:
    if info.default_factory is not None:
        return "{}"
    if info.default is PydanticUndefined:
        return None
    if isinstance(info.default, bool):
        return str(info.default).lower()
    return "" if info.default is None else str(info.default)


def _comments(settings: type[BaseSettings]) -> dict[str, str]:
    found: dict[str, str] = {}
    pending: list[str] = []
    for line in inspect.getsource(settings).splitlines():
        text = line.strip()
        if text.startswith("#:"):
            pending.append(text[2:].strip())
        elif field := re.match(r"    (\w+)\s*:", line):
            found[field[1]] = " ".join(pending)
            pending = []
        elif text:
            pending = []
    return found


def configuration() -> str:
    """The page."""
    lines = [
        "# Configuration",
        "",
        "<!-- written by `./dev docs` from the Settings classes; do not edit -->",
        "",
        "Settings are read from the environment once, as a process starts. A bad one stops it with one line that names",
        "the variable and the mend, exit code 2; something that cannot be reached at start, exit code 3.",
        "",
        "## Shared by several services",
        "",
        "| variable | what |",
        "|---|---|",
        *(f"| `{name}` | {text} |" for name, text in SHARED.items()),
    ]
    for service, settings in SERVICES:
        lines += ["", f"## {service}", "", "| variable | default | what |", "|---|---|---|"]
        for variable in variables(settings):
            default = f"`{variable.default}`" if variable.default else ""
            if variable.default is None:
                default = "**required**"
            text = SHARED.get(variable.name) or variable.text
            lines.append(f"| `{variable.name}` | {default} | {text} |")
    lines += [
        "",
        "## Demo and tests only",
        "",
        "| variable | what |",
        "|---|---|",
        "| `LIVEKIT_SERVER_BIN` | a livekit-server binary to use instead of finding or building one |",
        (
            "| `LIVEKIT_SIP_BIN` | a livekit-sip v1.11.0 binary; the phones are then real SIP phones. "
            "`none`: the exchange's, even if one is on PATH or Docker has it |"
        ),
        "",
    ]
    return "\n".join(lines)


def env_example() -> str:
    """Every variable once, with its default, commented out unless required."""
    lines = ["# Every variable Callweave reads, with its default. What has no `#` in front must be set.", ""]
    seen: set[str] = set()
    for service, settings in SERVICES:
        lines.append(f"# --- {service}")
        for variable in variables(settings):
            if variable.name in seen:
                continue
            seen.add(variable.name)
            lines.append(f"{variable.name}=" if variable.default is None else f"#{variable.name}={variable.default}")
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    """Write both, or with ``--check`` say which is stale."""
    wanted = {ROOT / "docs" / "configuration.md": configuration(), ROOT / ".env.example": env_example()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"stale: {path.relative_to(ROOT)}; write it again with ./dev docs", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path])
        print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
