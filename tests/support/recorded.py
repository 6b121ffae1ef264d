"""Calls that a release has recorded: their entries as the log stored them, and what they mean.

    tests/fixtures/streams/<release>/<name>.jsonl      one entry a line, 1, 2, 3 …: the bytes of field ``e``
    tests/fixtures/streams/<release>/<name>.told.json  what follows from them: state, timeline, messages to CCM

How they come about, and that they are never changed, is told in ``tests/fixtures/streams/README.md``.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from call_events.entries import decode_entry
from call_events.fold import fold
from call_events.ids import CallId
from call_events.ports import AnyEvent
from call_events.registry import unversioned
from call_events.testing import ManualClock
from call_events.timeline import timeline
from unit.ccm_bridge.world import World

STREAMS = Path(__file__).parents[1] / "fixtures" / "streams"
TOLD = ".told.json"


@dataclass(frozen=True)
class Recording:
    """One call, as it was stored."""

    call: CallId
    #: Entry 1, 2, 3 …
    raw: tuple[bytes, ...]

    @property
    def events(self) -> list[AnyEvent]:
        """As this release reads them."""
        return [decode_entry(self.call, seq, raw) for seq, raw in enumerate(self.raw, 1)]

    def write(self, path: Path) -> None:
        """Keep it. What is not UTF-8 stands in base64."""
        lines = [json.dumps({"call": self.call})]
        for raw in self.raw:
            try:
                lines.append(json.dumps({"e": raw.decode()}, ensure_ascii=False))
            except UnicodeDecodeError:
                lines.append(json.dumps({"base64": base64.b64encode(raw).decode()}))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read(path: Path) -> Recording:
    """What :meth:`Recording.write` has kept."""
    first, *rest = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    raw = tuple(one["e"].encode() if "e" in one else base64.b64decode(one["base64"]) for one in rest)
    return Recording(CallId(first["call"]), raw)


def told(recording: Recording) -> dict[str, Any]:
    """What this release makes of it: plain JSON."""
    events = recording.events
    lines = [f"{line.seq:>4} {line.at_s:>8.3f} {line.who}: {line.text}" for line in timeline(events)]
    state = fold(events).model_dump(mode="json")
    # A later release may count these under a later version.
    state["counts"] = {unversioned(name): count for name, count in state["counts"].items()}
    return {"state": state, "timeline": lines, "ccm": [json.loads(body) for body in messages(events)]}


def messages(events: Sequence[AnyEvent]) -> list[bytes]:
    """What the bridge sends of it, in order, had every event come at its time."""
    world = World(clock=ManualClock(events[0].time))
    world.append(*events)
    world.settle()
    return [one.body for one in world.ccm.taken]


def lacks(was: Any, now: Any, where: str = "") -> list[str]:
    """Where ``now`` does not say what ``was`` said. It may say more: a later release may know more fields."""
    if isinstance(was, dict) and isinstance(now, dict):
        return [one for key in was for one in lacks(was[key], now.get(key, "nothing"), f"{where}.{key}")]
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        return [one for n, pair in enumerate(zip(was, now, strict=True)) for one in lacks(*pair, f"{where}[{n}]")]
    return [] if was == now else [f"{where}: was {was!r}, is {now!r}"]
