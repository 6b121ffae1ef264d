"""Every member declares exactly what it imports: it must run when it is installed alone, from its own pyproject.

In the workspace everything is installed for everybody, so nothing else would notice.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MEMBERS = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def owners() -> dict[str, set[str]]:
    """Import path → distributions that have a module there. Some packages, such as `livekit`, belong to several."""
    found: dict[str, set[str]] = {}
    for distribution in metadata.distributions():
        for file in distribution.files or ():
            module, name = file.parts[:-1], file.name.partition(".")[0]
            if file.suffix in {".py", ".so", ".pyi"} and not any("-" in part or ".." in part for part in module):
                path = ".".join(module if name == "__init__" else (*module, name))
                found.setdefault(path, set()).add(canonical(distribution.metadata["Name"]))
    for member in MEMBERS:
        for package in (member / "src").iterdir():
            found[package.name] = {package.name.replace("_", "-")}
    return found


def imports(member: Path) -> Iterator[tuple[str, Path]]:
    """Import paths of others' modules, as deep as they are written."""
    own = {package.name for package in (member / "src").iterdir()}
    for file in sorted((member / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    paths = [alias.name for alias in names]
                case ast.ImportFrom(module=str(module), names=names, level=0):
                    paths = [f"{module}.{alias.name}" for alias in names]
                case _:
                    continue
            for path in paths:
                if (top := path.partition(".")[0]) not in sys.stdlib_module_names and top not in own:
                    yield path, file


def owner(path: str) -> set[str]:
    """Who has the deepest module on this path; several only where they share it."""
    parts = path.split(".")
    known = (".".join(parts[:depth]) for depth in range(len(parts), 0, -1))
    return next((owners()[one] for one in known if one in owners()), set())


def declared(member: Path) -> set[str]:
    project = tomllib.loads((member / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.match(r"[\w.-]+", dependency) for dependency in project["dependencies"]]
    return {canonical(name[0]) for name in names if name is not None}


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_what_a_member_imports_is_declared_and_what_it_declares_is_imported(member: Path) -> None:
    wanted: dict[str, str] = {}
    for path, file in imports(member):
        whose = owner(path)
        assert whose, f"{file.relative_to(ROOT)} imports {path}, which nothing that is installed has"
        for name in whose & declared(member) or whose:
            wanted[name] = f"{file.relative_to(ROOT)} imports {path}"
    missing = {name: where for name, where in wanted.items() if name not in declared(member)}
    unused = declared(member) - set(wanted)
    assert missing == {}, f"add to {member.name}/pyproject.toml, then ./dev lock"
    assert unused == set(), f"remove from {member.name}/pyproject.toml, then ./dev lock"


def test_every_member_is_looked_at() -> None:
    assert {member.name for member in MEMBERS} == {
        "archive",
        "archiver",
        "callweave",
        "ccm-bridge",
        "events",
        "standins",
        "transfer-orchestrator",
        "voice-worker",
    }


@pytest.mark.parametrize(
    ("path", "distribution"),
    [
        ("livekit.rtc", "livekit"),
        ("livekit.api", "livekit-api"),
        ("livekit.protocol.sip.CreateSIPParticipantRequest", "livekit-protocol"),
        ("livekit.agents.llm.ChatContext", "livekit-agents"),
        ("livekit.plugins.openai", "livekit-plugins-openai"),
        ("google.protobuf.json_format", "protobuf"),
        ("yaml", "pyyaml"),
        ("jwt", "pyjwt"),
    ],
)
def test_a_module_is_known_by_who_brings_it(path: str, distribution: str) -> None:
    """Not by its first name, which many may share."""
    assert owner(path) == {distribution}
