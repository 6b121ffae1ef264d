"""The destinations file: YAML → :class:`Destination`. It is the allowlist; what is not in it is never dialled.

    destinations:
      billing-desk:              # the key that an agent names when it asks for a transfer
        name: Billing desk       # for people
        human_name: Maria Weber  # who answers, shown in the conversation
        targets:                 # tried in this order
          - name: billing-phone  # in logs and events, never the number
            number: "7001"       # number or SIP user at the outbound trunk
            ring_seconds: 20     # 1 to 60; all phones of a destination together at most 100

A fault is reported as file, line, field, what is wrong, and the mend: the person who reads it wants to start a service.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from call_events.plain_yaml import read_yaml
from transfer_orchestrator.domain.destination import LONGEST_LADDER_S, Destination, Destinations, Target
from transfer_orchestrator.errors import BadDestinations

_Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
_Shown = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]
#: livekit-sip dials no address, only a number or user at the trunk. One made of punctuation alone is nobody's.
_Number = Annotated[str, StringConstraints(pattern=r"^\+?[._*#-]*[A-Za-z0-9][A-Za-z0-9._*#-]*$", max_length=65)]

_MENDS: Mapping[str, str] = {
    "destinations": "write 'destinations:' and below it one key per destination, e.g. 'billing-desk:'",
    "name": "write a name, e.g. 'name: Billing desk'",
    "human_name": "write who answers, e.g. 'human_name: Maria Weber'",
    "targets": "list at least one phone: '- name: ...', 'number: ...', 'ring_seconds: ...'",
    "number": "write a number or SIP user in quotes and without host, e.g. 'number: \"7001\"'",
    "ring_seconds": "write whole seconds from 1 to 60, e.g. 'ring_seconds: 20' (LiveKit gives up a dial after 80 s)",
}
_KEY_MEND = "a destination's key is lower-case letters, digits and '-', e.g. 'billing-desk'"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _TargetEntry(_Model):
    name: _Key
    number: _Number
    ring_seconds: int = Field(default=20, ge=1, le=60)
    human_name: _Shown | None = None


class _DestinationEntry(_Model):
    name: _Shown
    human_name: _Shown
    targets: list[_TargetEntry] = Field(min_length=1, max_length=20)


class _File(_Model):
    destinations: dict[_Key, _DestinationEntry] = Field(min_length=1)


def load_destinations(path: Path) -> Destinations:
    """Read and check the file.

    Raises:
        BadDestinations: one line that names file, line, field and mend.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadDestinations(
            f"{path} cannot be read ({reason}); name the destinations file of your profile"
        ) from error
    try:
        root, raw = read_yaml(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise BadDestinations(
            f"{path}, line {line}: no valid YAML ({error.problem}); mind indentation and quotes"
        ) from error
    _no_doubles(path, root)
    try:
        entries = _File.model_validate(raw).destinations
    except ValidationError as error:
        raise BadDestinations(_explain(path, root, error)) from None
    return MappingProxyType({key: _destination(path, root, key, entry) for key, entry in entries.items()})


def _destination(path: Path, root: yaml.Node | None, key: str, entry: _DestinationEntry) -> Destination:
    names = [target.name for target in entry.targets]
    for place, name in enumerate(names):
        if name in names[:place]:
            loc = ("destinations", key, "targets", place, "name")
            raise BadDestinations(f"{_where(path, root, loc)}: another target has this name; give each its own")
    rings_s = 0
    for place, target in enumerate(entry.targets):
        rings_s += target.ring_seconds
        if rings_s > LONGEST_LADDER_S:
            loc = ("destinations", key, "targets", place, "ring_seconds")
            raise BadDestinations(
                f"{_where(path, root, loc)}: up to here the phones of {key} ring {rings_s} s one after the other, and "
                f"at most {LONGEST_LADDER_S} s are allowed; shorten ring_seconds or remove a target"
            )
    targets = tuple(
        Target(
            name=target.name,
            number=target.number,
            ring_seconds=target.ring_seconds,
            human_name=target.human_name or entry.human_name,
        )
        for target in entry.targets
    )
    return Destination(key=key, name=entry.name, targets=targets)


def _explain(path: Path, root: yaml.Node | None, error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)
    first = found[0]
    loc = first["loc"]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    if loc and loc[-1] == "[key]":
        return f"{_where(path, root, loc[:-1])}: {_KEY_MEND}{more}"
    field = next((str(part) for part in reversed(loc) if str(part) in _MENDS), "destinations")
    if first["type"] == "extra_forbidden":
        return f"{_where(path, root, loc)}: this field is not known; remove it or correct its spelling{more}"
    what = "is missing" if first["type"] == "missing" else first["msg"][:1].lower() + first["msg"][1:]
    return f"{_where(path, root, loc)}: {what}; {_MENDS[field]}{more}"


def _where(path: Path, root: yaml.Node | None, loc: tuple[int | str, ...]) -> str:
    """File, line and field; of something missing, the line of what it is missing in."""
    node, line = root, root.start_mark.line + 1 if root is not None else 1
    for part in loc:
        key, child = _child(node, part)
        if child is None:
            break
        node, line = child, (key or child).start_mark.line + 1
    return f"{path}, line {line}, {'.'.join(str(part) for part in loc) or 'whole file'}"


def _child(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.MappingNode):
        return next(((k, v) for k, v in node.value if k.value == str(part)), (None, None))
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None, None


def _no_doubles(path: Path, node: Any) -> None:
    """YAML takes the last of two equal keys in silence; here that would silently change who may be dialled."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                line = key.start_mark.line + 1
                raise BadDestinations(
                    f"{path}, line {line}, {key.value}: this key stands here twice; remove or rename one"
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
            _no_doubles(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _no_doubles(path, value)
