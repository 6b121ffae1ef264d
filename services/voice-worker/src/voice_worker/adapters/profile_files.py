"""Reading a profile directory, strictly: what is wrong is told with file, line, field and mend."""

import hashlib
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from call_events.plain_yaml import read_yaml
from voice_worker.adapters.agents.cast import agent_class
from voice_worker.domain.profile import AgentSpec, Destination, Profile
from voice_worker.errors import BadProfile

FILE = "profile.yaml"
_SHORTEST_PROMPT = 20
#: Part of a tool's name, which model providers take in plain letters only.
_KEY = re.compile(r"[a-z][a-z0-9_]{0,40}")


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class _WrittenAgent(_Written):
    agent_class: str = Field(alias="class", min_length=1)
    name: str = Field(min_length=1, max_length=60)
    prompt: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")
    hands_over_to: tuple[str, ...] = ()


class _WrittenProfile(_Written):
    name: str = Field(min_length=1)
    language: str = Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    voice: str = Field(min_length=1)
    first_agent: str
    greeting: str = Field(min_length=1)
    introduction: str = Field(min_length=1)
    human_left: str = Field(min_length=1)
    agents: dict[str, _WrittenAgent] = Field(min_length=1)
    destinations: dict[str, str] = Field(default_factory=dict)
    fallback_destination: str | None = None


def load_profile(directory: Path, name: str) -> Profile:
    """Read ``directory/name``.

    Raises:
        BadProfile: one line with file, line, field and mend.
    """
    folder = directory / name
    if not folder.is_dir():
        known = sorted(path.parent.name for path in directory.glob(f"*/{FILE}")) if directory.is_dir() else []
        there = (
            f"there are: {', '.join(known)}"
            if known
            else f"{directory} holds no profiles; see VOICE_WORKER_PROFILES_DIR"
        )
        raise BadProfile(f"VOICE_WORKER_PROFILE: there is no profile {name!r}; {there}")
    source = folder / FILE
    text = _read(source)
    written, lines = _parse(source, text)
    digest = hashlib.sha256(text.encode())
    agents = tuple(_agent(folder, lines, key, agent) for key, agent in written.agents.items())
    for agent in written.agents.values():
        digest.update(f"\0{agent.prompt}\0".encode() + (folder / agent.prompt).read_bytes())
    try:
        destinations = tuple(Destination(name=key, description=said) for key, said in written.destinations.items())
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        raise BadProfile(
            f"{source}:{lines.get(('destinations',), 1)}: destinations: {fault['msg']}; "
            "use lower-case letters, digits and hyphens, and a description"
        ) from None
    _check_names(source, written, lines)
    return Profile(
        name=written.name,
        language=written.language,
        voice=written.voice,
        first_agent=written.first_agent,
        greeting=written.greeting.strip(),
        introduction=written.introduction.strip(),
        human_left=written.human_left.strip(),
        agents=agents,
        destinations=destinations,
        fallback_destination=written.fallback_destination,
        hash=digest.hexdigest(),
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadProfile(f"{path}: there is no such file; write it") from None
    except UnicodeDecodeError as error:
        raise BadProfile(f"{path}: byte {error.start} is no UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise BadProfile(f"{path}: cannot be read ({error.strerror})") from None


Lines = dict[tuple[str, ...], int]


def _parse(source: Path, text: str) -> tuple[_WrittenProfile, Lines]:
    try:
        node, raw = read_yaml(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise BadProfile(f"{source}:{line}: {error.problem}; mend the YAML there or just above") from None
    lines: Lines = {}
    _index(node, (), lines, source)
    if not isinstance(raw, dict):
        raise BadProfile(f"{source}:1: a profile is a mapping of fields; begin with 'name: ...'")
    try:
        return _WrittenProfile.model_validate(raw), lines
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        place = tuple(str(part) for part in fault["loc"])
        mends = {"missing": "add it", "extra_forbidden": "remove it or correct its name"}
        what = "is missing" if fault["type"] == "missing" else fault["msg"]
        mend = mends.get(fault["type"], "correct it")
        raise BadProfile(f"{source}:{_line(lines, place)}: {'.'.join(place)}: {what}; {mend}") from None


def _index(node: Any, place: tuple[str, ...], lines: Lines, source: Path) -> None:
    """Where each field stands; a key that is written twice would silently win."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        here = (*place, str(key.value))
        if here in lines:
            raise BadProfile(
                f"{source}:{key.start_mark.line + 1}: {'.'.join(here)}: is written twice "
                f"(first in line {lines[here]}); remove one"
            )
        lines[here] = key.start_mark.line + 1
        _index(value, here, lines, source)


def _line(lines: Lines, place: tuple[str, ...]) -> int:
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _agent(folder: Path, lines: Lines, key: str, agent: _WrittenAgent) -> AgentSpec:
    source = folder / FILE
    line = lines.get(("agents", key), 1)
    if not _KEY.fullmatch(key):
        raise BadProfile(f"{source}:{line}: agents.{key}: an agent's key is lower-case letters, digits and underscores")
    path = folder / agent.prompt
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BadProfile(
            f"{source}:{_line(lines, ('agents', key, 'prompt'))}: agents.{key}.prompt: {agent.prompt} is outside the "
            "profile; move it into the profile's directory"
        )
    if not path.is_file():
        raise BadProfile(
            f"{source}:{_line(lines, ('agents', key, 'prompt'))}: agents.{key}.prompt: there is no file "
            f"{agent.prompt}; write it or correct the name"
        )
    prompt = _read(path)
    if len(prompt.strip()) < _SHORTEST_PROMPT:
        raise BadProfile(
            f"{path}:1: prompt of {key}: it is empty or nearly so; write what the agent does and how it speaks"
        )
    if "\x00" in prompt:
        raise BadProfile(f"{path}:{prompt[: prompt.index(chr(0))].count(chr(10)) + 1}: holds a NUL byte; remove it")
    try:
        agent_class(agent.agent_class)
    except BadProfile as error:
        raise BadProfile(f"{source}:{_line(lines, ('agents', key, 'class'))}: agents.{key}.class: {error}") from None
    return AgentSpec(
        key=key,
        agent_class=agent.agent_class,
        name=agent.name,
        prompt=prompt.strip(),
        hands_over_to=agent.hands_over_to,
    )


def _check_names(source: Path, written: _WrittenProfile, lines: Lines) -> None:
    keys = ", ".join(written.agents)
    if written.first_agent not in written.agents:
        raise BadProfile(
            f"{source}:{_line(lines, ('first_agent',))}: first_agent: there is no agent {written.first_agent!r}; "
            f"name one of: {keys}"
        )
    for key, agent in written.agents.items():
        for other in agent.hands_over_to:
            if other not in written.agents or other == key:
                raise BadProfile(
                    f"{source}:{_line(lines, ('agents', key, 'hands_over_to'))}: agents.{key}.hands_over_to: "
                    f"there is no other agent {other!r}; name some of: {keys}"
                )
    fallback = written.fallback_destination
    if fallback is not None and fallback not in written.destinations:
        raise BadProfile(
            f"{source}:{_line(lines, ('fallback_destination',))}: fallback_destination: there is no destination "
            f"{fallback!r}; name one of: {', '.join(written.destinations) or '(none is defined)'}"
        )
