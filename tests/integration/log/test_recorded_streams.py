"""What a release has written, every later one reads, and makes the same of it (``tests/fixtures/streams``)."""

import json
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from call_events import catalogue as c
from call_events import keys
from call_events.consumer import ConsumerOptions
from call_events.entries import UNDECODABLE
from call_events.fold import fold
from call_events.ports import CallView, Progress
from call_events.reader import create_groups
from call_events.redis_log import RedisEventLog
from call_events.registry import UnknownData
from integration.log.test_faults import consuming
from standins.ccm import validate
from support.recorded import STREAMS, TOLD, lacks, messages, read, told
from support.waiting import wait_until

ALL = sorted(STREAMS.glob("*/*.jsonl"))
NAMES = {"demo-by-telephone", "demo-in-text", "transfer-fails", "transfer-is-cancelled", "human-leaves-first"} | {
    "speech-is-interrupted",
    "a-newer-release",
    "a-damaged-entry",
}
every_call = pytest.mark.parametrize("path", ALL, ids=[f"{path.parent.name}-{path.stem}" for path in ALL])


def _was(path: Path) -> Any:
    return json.loads(path.with_name(path.stem + TOLD).read_text(encoding="utf-8"))


def test_every_release_has_recorded_every_kind_of_call() -> None:
    assert {path.parent.name for path in ALL} >= {"0.1.0"}
    for release in {path.parent for path in ALL}:
        assert {path.stem for path in release.glob("*.jsonl")} >= NAMES


@every_call
def test_every_entry_is_understood(path: Path) -> None:
    events = read(path).events
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[0].data, c.CallStarted)
    assert isinstance(events[-1].data, c.CallEnded)
    unknown = [event.data.wire_type for event in events if isinstance(event.data, UnknownData)]
    expected = {
        "a-newer-release": ["caller.mood.v1", "utterance.completed.v9"],
        "a-damaged-entry": [UNDECODABLE] * 3,
    }
    if path.parent.name == "0.1.0":
        assert unknown == expected.get(path.stem, [])


@every_call
def test_the_call_is_what_it_was(path: Path) -> None:
    now = json.loads(json.dumps(told(read(path))))
    assert lacks(_was(path)["state"], now["state"]) == []


@every_call
def test_it_reads_as_it_did(path: Path) -> None:
    assert told(read(path))["timeline"] == _was(path)["timeline"]


@every_call
def test_ccm_gets_the_same_messages(path: Path) -> None:
    """The same to the last byte: a bridge that is upgraded in the middle of a call repeats them under the same ids."""
    bodies = [json.loads(body) for body in messages(read(path).events)]
    assert bodies == _was(path)["ccm"]
    for body in bodies:
        validate(body)


@every_call
async def test_a_real_log_gives_them_back_and_hands_them_to_consumers(path: Path, redis: Redis) -> None:
    """Put there as a restored server would have them: entries with their ids, doorbell, live set."""
    recording = read(path)
    at = keys.call_keys(recording.call)
    for seq, raw in enumerate(recording.raw, 1):
        await redis.xadd(at.stream, {"e": raw}, id=f"0-{seq}")
        await redis.hset(at.dedupe, f"id-{seq}", str(seq))
    await redis.hset(at.dedupe, "#closed", str(len(recording.raw)))
    await create_groups(redis, "g")
    await redis.xadd(at.bell, {"c": recording.call, "n": len(recording.raw)})

    assert list(await RedisEventLog(redis).read(recording.call)) == recording.events

    seen: list[int] = []

    async def handler(view: CallView) -> Progress:
        assert fold(view.events) == fold(recording.events[: len(view.events)])
        seen.extend(event.seq for event in view.new)
        return Progress(len(view.events))

    async with consuming(redis, handler, options=ConsumerOptions(max_events=10)):
        await wait_until(lambda: len(seen) == len(recording.raw))
    assert seen == list(range(1, len(recording.raw) + 1))


def test_what_is_missing_is_found_and_what_is_added_is_not() -> None:
    was = {"a": [1, {"b": "x"}], "c": None}
    assert lacks(was, {"a": [1, {"b": "x", "new": 1}], "c": None, "more": 2}) == []
    assert lacks(was, {"a": [1, {"b": "y"}]}) == [".a[1].b: was 'x', is 'y'", ".c: was None, is 'nothing'"]
    assert lacks(was, {"a": [1], "c": None}) != []
