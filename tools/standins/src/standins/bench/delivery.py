"""How long after an event was appended its message reaches CCM, at 1,000 events a second.

Real Valkey, real ccm-bridge processes, the strict CCM stand-in in a process of its own. Fifty calls talk at once; every
utterance is three events (started, ended, completed) and one message. The time counts from the moment the completing
event was handed to the log until CCM has the request's body. The first two seconds are warm-up and not counted: fifty
calls begin at once there, on a process that has just started. At the end of a run a call has 800 events, which is a
call of half an hour; "p99 at the end" is of the last quarter, so that it shows what a growing history costs.

Two bridges share the group: most calls come to each of them after the other has had them in between.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Set
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx

from call_events.catalogue import (
    CallStarted,
    Customer,
    Role,
    Speaker,
    UtteranceCompleted,
    UtteranceEnded,
    UtteranceStarted,
)
from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.envelope import Event, EventData, now
from call_events.ids import CallId
from call_events.redis_log import RedisEventLog
from standins.bench.table import percentile
from standins.media.ports import free_port
from standins.media.processes import ChildProcess
from standins.stack.services import CCM_BRIDGE, CCM_SENDERS, Service

CALLS = 50
EVENTS_PER_SECOND = 1000
WARM_UP_S = 2.0
SECONDS = 40.0
GOALS = {"p99 ms": "≤ 15", "p99 at the end ms": "≤ 15", "two bridges: p99 ms": "≤ 15"}
EVENTS_PER_UTTERANCE = 3
DRAIN_DEADLINE_S = 30.0
_AI = Speaker(role=Role.AI, name="Bench AI", identity="agent", agent="bench")


async def measure() -> Mapping[str, float]:
    """One run with one bridge and one with two; milliseconds."""
    late = await _delays(bridges=1)
    shared = await _delays(bridges=2)
    return {
        "messages": len(late),
        "p50 ms": percentile(late, 50),
        "p95 ms": percentile(late, 95),
        "p99 ms": percentile(late, 99),
        "p99 at the end ms": percentile(late[-len(late) // 4 :], 99),
        "max ms": max(late),
        "two bridges: p50 ms": percentile(shared, 50),
        "two bridges: p99 ms": percentile(shared, 99),
        "two bridges: max ms": max(shared),
    }


async def _delays(*, bridges: int) -> list[float]:
    """Milliseconds of every message, in the order in which they were completed."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        server = await stack.enter_async_context(EmbeddedRedis(directory / "redis"))
        ccm = ChildProcess(
            "CCM", [sys.executable, "-m", "standins.ccm", "--port", str(port)], log=directory / "ccm.log"
        )
        await stack.enter_async_context(ccm)
        http = await stack.enter_async_context(httpx.AsyncClient())
        await ccm.healthy(f"http://127.0.0.1:{port}/control/summary", 20)
        settings = {"REDIS_URL": server.url, "CCM_URL": f"http://127.0.0.1:{port}/ccm/message/receive", **CCM_SENDERS}
        for number in range(bridges):
            bridge = Service(CCM_BRIDGE, settings, log=directory / f"bridge-{number}.log")
            await bridge.start()
            stack.push_async_callback(bridge.stop)
            await bridge.ready()
        redis = await stack.enter_async_context(connect(server.url))
        completed = await _talk(RedisEventLog(redis))
        arrivals = await _collect(http, port, wanted=completed.keys())
    return [(arrivals[key] - at) * 1000 for key, at in completed.items()]


async def _talk(log: RedisEventLog) -> dict[str, float]:
    """Append at a steady rate; returns ``<call>:<place>`` → time of the completing append, after the warm-up."""
    calls = [CallId(f"bench-{n}") for n in range(CALLS)]
    for call in calls:
        await log.append(_event(call, _started(call)))
    completed: dict[str, float] = {}
    start = time.monotonic()
    warm_up, counted = (int(s * EVENTS_PER_SECOND / EVENTS_PER_UTTERANCE) for s in (WARM_UP_S, SECONDS))

    async def utter(count: int) -> None:
        call, name = calls[count % CALLS], f"u{count}"
        moment = now()
        place = await log.append(_event(call, UtteranceStarted(utterance_id=name, speaker=_AI, started_at=moment)))
        await log.append(_event(call, UtteranceEnded(utterance_id=name, ended_at=moment)))
        if count >= warm_up:
            completed[f"{call}:{place.seq}"] = time.time()
        await log.append(
            _event(
                call,
                UtteranceCompleted(
                    utterance_id=name, speaker=_AI, text="Thank you for waiting.", started_at=moment, ended_at=moment
                ),
            )
        )

    async with asyncio.TaskGroup() as group:
        for count in range(warm_up + counted):
            due = start + count * EVENTS_PER_UTTERANCE / EVENTS_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(utter(count))
    return completed


async def _collect(http: httpx.AsyncClient, port: int, *, wanted: Set[str]) -> dict[str, float]:
    """``<call>:<place>`` → arrival, once all that are wanted have arrived.

    Raises:
        TimeoutError: some have not.
    """
    give_up = time.monotonic() + DRAIN_DEADLINE_S
    while True:
        answer = await http.get(f"http://127.0.0.1:{port}/control/messages", timeout=30)
        arrivals = {
            item["message"]["header"]["providerMessageId"]: item["at"]
            for item in answer.json()
            if item["outcome"] == "accepted"
        }
        if wanted <= arrivals.keys():
            return arrivals
        if time.monotonic() > give_up:
            raise TimeoutError(f"{len(wanted - arrivals.keys())} of {len(wanted)} messages have not reached CCM")
        await asyncio.sleep(0.5)


def _started(call: CallId) -> CallStarted:
    return CallStarted(
        room=call,
        direction="inbound",
        customer=Customer(identity="sip_bench", number="+15550001111"),
        dialled_number="8001",
        profile="bench",
        profile_hash="-",
        language="en",
        worker="bench",
    )


def _event(call: CallId, data: EventData) -> Event[EventData]:
    return Event[EventData](data=data, call=call, producer="bench", time=datetime.now(UTC))
