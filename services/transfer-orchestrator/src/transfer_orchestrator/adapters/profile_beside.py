"""Whether what the agents of a profile ask for is there: ``profile.yaml`` names destinations, and so does our file.

A name that only the profile has shows when a caller asks for a person, and then it is too late. The worker cannot look:
our file has numbers in it, which are none of its business. We can, where the profile lies beside our file, as it does
in a profile's directory. Whatever else is wrong with a profile, its worker tells.
"""

from pathlib import Path
from typing import Any

import yaml

from call_events.plain_yaml import read_yaml
from transfer_orchestrator.domain.destination import Destinations
from transfer_orchestrator.errors import BadDestinations

FILE = "profile.yaml"


def check_profile_beside(path: Path, destinations: Destinations) -> None:
    """Compare; nothing to do where no profile lies beside ``path``.

    Raises:
        BadDestinations: one line that names the profile, its line, the destination and the mend.
    """
    profile = path.parent / FILE
    if not profile.is_file():
        return
    try:
        root, _ = read_yaml(profile.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.MarkedYAMLError):
        return  # the worker does not start on it
    for field, node in _named(root):
        if node.value not in destinations:
            raise BadDestinations(
                f"{profile}, line {node.start_mark.line + 1}, {field}: agents may ask for {node.value!r}, and {path} "
                f"has no such destination; add it there or name one of: {', '.join(sorted(destinations))}"
            )


def _named(root: yaml.Node | None) -> list[tuple[str, yaml.ScalarNode]]:
    """Where the profile names a destination."""
    fallback = _child(root, "fallback_destination")
    written = _child(root, "destinations")
    keys: list[Any] = [key for key, _ in written.value] if isinstance(written, yaml.MappingNode) else []
    named = [("destinations", key) for key in keys] + [("fallback_destination", fallback)]
    return [(field, node) for field, node in named if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":str")]


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)
