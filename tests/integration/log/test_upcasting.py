"""How a new version of an event is published: old entries stay as they are and are lifted by whoever reads them.

The example is ``utterance.completed``. In this test its present schema is version 3; version 1 told the speaker by role
and name in one text and its times in seconds, version 2 had the times and not yet the speaker. Nothing but the registry
is changed, as a release would change it.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from call_events import catalogue as c
from call_events import keys, registry
from call_events.codec import decode
from call_events.consumer import ConsumerOptions
from call_events.docs import main, stale, write
from call_events.entries import UNDECODABLE
from call_events.envelope import Event, EventData
from call_events.errors import BadEvent
from call_events.fold import fold
from call_events.ids import CallId
from call_events.ports import AnyEvent, CallView, Progress
from call_events.redis_log import RedisEventLog
from call_events.registry import UnknownData, Upcasters, unversioned
from call_events.testing import CUSTOMER, START, ended, said, speaking, started
from call_events.timeline import timeline
from integration.log.test_faults import consuming
from support.waiting import wait_until
from unit.ccm_bridge.world import CALL, World

V1, V2, V3, V9 = (f"utterance.completed.v{n}" for n in (1, 2, 3, 9))


def lift_1_to_2(old: dict[str, Any]) -> dict[str, Any]:
    """Seconds since 1970 become times; ``said`` becomes ``text``."""
    new = {name: value for name, value in old.items() if name not in {"from", "until", "said"}}
    times = {
        "started_at": datetime.fromtimestamp(old["from"], START.tzinfo).isoformat(),
        "ended_at": datetime.fromtimestamp(old["until"], START.tzinfo).isoformat(),
    }
    return new | times | {"text": old["said"]}


def lift_2_to_3(old: dict[str, Any]) -> dict[str, Any]:
    """``who`` (``customer/Customer/sip_100``) becomes the speaker."""
    role, name, identity = old.pop("who").split("/")
    return old | {"speaker": {"role": role, "name": name, "identity": identity}}


EXAMPLE: Upcasters = {V1: (V2, lift_1_to_2), V2: (V3, lift_2_to_3)}


@pytest.fixture
def third_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the release that publishes version 3 changes."""
    monkeypatch.setattr(c.UtteranceCompleted, "TYPE", V3)
    schemas = cast("dict[str, type[EventData]]", registry.SCHEMAS)
    monkeypatch.delitem(schemas, V1)
    monkeypatch.setitem(schemas, V3, c.UtteranceCompleted)
    for older, lift in EXAMPLE.items():
        monkeypatch.setitem(cast("dict[str, Any]", registry.UPCASTERS), older, lift)


def _stored_as(wire_type: str, data: dict[str, Any], at_s: float) -> AnyEvent:
    """An event as an older (or newer) release has appended it."""
    raw = UnknownData(wire_type=wire_type, raw=data)
    return Event[EventData](data=raw, call=CALL, producer="voice-worker/old", time=START + timedelta(seconds=at_s))


def _first(text: str) -> dict[str, Any]:
    begun = START.timestamp()
    who = f"{CUSTOMER.role}/{CUSTOMER.name}/{CUSTOMER.identity}"
    return {"utterance_id": "u1", "who": who, "said": text, "from": begun + 1, "until": begun + 2}


def _call() -> list[AnyEvent]:
    second = _first("Second.") | {"utterance_id": "u2", "started_at": "2026-01-05T09:00:03Z"}
    second |= {"ended_at": "2026-01-05T09:00:04Z", "text": second.pop("said")}
    del second["from"], second["until"]
    broken = _first("never to be seen") | {"from": "soon"}
    return [
        started(CALL),
        speaking(CALL, "u1", at_s=1),
        _stored_as(V1, _first("First."), 2),
        speaking(CALL, "u2", at_s=3),
        _stored_as(V2, second, 4),
        said(CALL, "u3", "Third.", at_s=5),
        _stored_as(V1, broken, 7),
        _stored_as(V9, {"words": ["Ninth."]}, 8),
        ended(CALL),
    ]


TEXTS = ["First.", "Second.", "Third."]


def texts(events: Any) -> list[str]:
    return [event.data.text for event in events if isinstance(event.data, c.UtteranceCompleted)]


@pytest.fixture
def usual(third_version: None) -> list[AnyEvent]:
    return _call()


async def test_readers_get_the_newest_version_and_the_log_keeps_the_oldest(redis: Redis, usual: list[AnyEvent]) -> None:
    log = RedisEventLog(redis)
    for one in usual:
        await log.append(one)
    before = await redis.xrange(keys.call_keys(CALL).stream)

    with capture_logs() as logged:
        events = await log.read(CALL)

    assert texts(events) == TEXTS
    lifted = events[2].data
    assert isinstance(lifted, c.UtteranceCompleted)
    assert (lifted.speaker.role, lifted.speaker.identity) == (c.Role.CUSTOMER, "sip_100")
    assert (lifted.started_at, lifted.ended_at) == (START + timedelta(seconds=1), START + timedelta(seconds=2))
    assert await redis.xrange(keys.call_keys(CALL).stream) == before
    assert [one["type"] for one in await log.stored(CALL)][2:6] == [V1, "utterance.started.v1", V2, V3]
    assert [(one["event"], one["seq"], one["error"]) for one in logged if one["event"] == "event.undecodable"] == [
        ("event.undecodable", 7, f"event 7: {V1} cannot be lifted to {V2} (TypeError)")
    ]
    assert "never to be seen" not in json.dumps(logged, default=str)


async def test_consumers_are_given_the_newest_version(redis: Redis, usual: list[AnyEvent]) -> None:
    log, seen = RedisEventLog(redis), list[AnyEvent]()
    for one in usual:
        await log.append(one)

    async def handler(view: CallView) -> Progress:
        seen.extend(view.new)
        return Progress(len(view.events))

    async with consuming(redis, handler, options=ConsumerOptions()):
        await wait_until(lambda: len(seen) == len(usual))
    assert texts(seen) == TEXTS
    unknown = [event.data.wire_type for event in seen if isinstance(event.data, UnknownData)]
    assert unknown == [UNDECODABLE, V9]


async def test_timeline_state_and_ccm_tell_the_same_of_old_and_new_events(redis: Redis, usual: list[AnyEvent]) -> None:
    log = RedisEventLog(redis)
    for one in usual:
        await log.append(one)
    events = await log.read(CALL)

    told = [line.text for line in timeline(events)]
    assert [text for text in told if text.startswith("“")] == ["“First.”", "“Second.”"]
    assert f"{V9} (not known to this release)" in told
    assert [one.text for one in fold(events).utterances] == TEXTS

    world = World()
    with capture_logs() as logged:
        world.append(*events)
    assert world.ccm.texts == ["Call started", *TEXTS, "Call ended"]
    assert [one["type"] for one in logged if one["event"] == "event.unknown"] == [UNDECODABLE, V9]


def test_a_message_to_ccm_bears_the_name_of_its_event_whatever_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the same place would be another message after an upgrade in the middle of a call."""
    monkeypatch.setattr(c.TransferCancelled, "TYPE", "transfer.cancelled.v2")
    world = World()
    cancelled = c.TransferCancelled(transfer_id="t1", cause="withdrawn")
    world.append(started(CALL), Event[EventData](data=cancelled, call=CALL, producer="p", time=START))
    assert [one.event for one in world.ccm.shown] == ["call.started", "transfer.cancelled"]


@pytest.mark.parametrize("data", [{}, {"said": None}, [], "text", None, 7])
def test_old_data_of_another_shape_is_a_bad_event_and_never_stops_a_reader(third_version: None, data: Any) -> None:
    wire = {"id": "1", "type": V1, "subject": CALL, "time": START.isoformat(), "producer": "p", "data": data}
    with pytest.raises(BadEvent) as told:
        decode(json.dumps(wire), seq=3)
    assert "event 3" in str(told.value)


def problems(schemas: Mapping[str, Any], upcasters: Upcasters) -> list[str]:
    """What is wrong with a registry: every chain goes up by one and ends at a schema."""
    wrong = [f"{name} is a schema and lifted away" for name in upcasters if name in schemas]
    for older, (newer, _) in upcasters.items():
        if unversioned(older) != unversioned(newer) or _version(newer) != _version(older) + 1:
            wrong.append(f"{older} is lifted to {newer}")
        elif newer not in upcasters and newer not in schemas:
            wrong.append(f"{newer} is nothing")
    return wrong


def _version(wire_type: str) -> int:
    return int(wire_type.rpartition(".v")[2])


def test_every_chain_of_this_release_leads_to_a_schema() -> None:
    assert problems(registry.SCHEMAS, registry.UPCASTERS) == []


def test_chains_that_lead_astray_are_found(third_version: None) -> None:
    assert problems(registry.SCHEMAS, registry.UPCASTERS) == []
    assert problems({}, EXAMPLE) == [f"{V3} is nothing"]
    assert problems({V3: 1}, {V1: (V3, lift_1_to_2)}) == [f"{V1} is lifted to {V3}"]
    assert problems({V1: 1, V2: 1}, {V1: (V2, lift_1_to_2)}) == [f"{V1} is a schema and lifted away"]
    assert problems({V2: 1}, {V2: (V1, lift_1_to_2)}) != []


def test_the_schema_of_a_version_that_was_published_stays(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    write(tmp_path)
    published = (tmp_path / "schemas" / f"{V1}.json").read_bytes()
    request.getfixturevalue("third_version")
    assert stale(tmp_path) == sorted(["events.md", f"schemas/{V2}.json", f"schemas/{V3}.json"])
    write(tmp_path)
    assert (tmp_path / "schemas" / f"{V1}.json").read_bytes() == published
    assert stale(tmp_path) == [f"schemas/{V2}.json"], "version 2 was published too: its schema must be brought back"
    assert main(["--check", str(tmp_path)]) == 1


@pytest.mark.parametrize(
    ("name", "told"), [(V1, "utterance.completed"), ("call.ended.v12", "call.ended"), ("undecodable", "undecodable")]
)
def test_the_name_without_its_version(name: str, told: str) -> None:
    assert unversioned(name) == told
    assert CallId(told)
