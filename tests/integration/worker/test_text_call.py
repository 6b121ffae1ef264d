"""The demo's whole dialogue where no livekit-server can be had: typed, with the real worker and the stand-in model."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from call_events.catalogue import (
    AgentHandedOff,
    CallEnded,
    EndedBy,
    Human,
    LegLeft,
    Role,
    ToolCalled,
    TransferCompleted,
    TransferConnected,
    TransferDialing,
    TransferRequested,
    TransferRinging,
    UtteranceCompleted,
    UtteranceDiscarded,
    UtteranceStarted,
)
from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.envelope import Event, EventData
from call_events.ids import CallId, transfer_outcome_id
from call_events.ports import AnyEvent
from call_events.redis_log import RedisEventLog
from integration.worker.world import ROOT
from standins.phrases import load_book
from standins.realtime import RealtimeStandIn
from support.waiting import wait_until

CALL = CallId("call-in-text")
BOOK = load_book()


@pytest.fixture(autouse=True)
def provider_behaves() -> None:
    """These calls need no world: neither livekit-server nor the provider of tones."""


class TextCall:
    """A typed call and its log."""

    def __init__(self, log: RedisEventLog, worker: asyncio.subprocess.Process) -> None:
        self.log = log
        self.worker = worker

    async def types(self, who: str, phrase: str) -> None:
        assert self.worker.stdin is not None
        self.worker.stdin.write(f"{who} {BOOK[phrase].text}\n".encode())
        await self.worker.stdin.drain()

    async def does(self, line: str) -> None:
        assert self.worker.stdin is not None
        self.worker.stdin.write(f"{line}\n".encode())
        await self.worker.stdin.drain()

    async def events(self) -> list[AnyEvent]:
        return list(await self.log.read(CALL))

    async def until(self, kind: type[EventData], within_s: float = 20.0) -> AnyEvent:
        found: list[AnyEvent] = []

        async def there() -> bool:
            found[:] = [event for event in await self.events() if isinstance(event.data, kind)]
            return bool(found)

        await wait_until(there, within_s=within_s, what=kind.TYPE, every_s=0.02)
        return found[0]

    async def says(self, phrase: str, within_s: float = 20.0) -> None:
        """Wait until the log holds that as said."""

        async def said() -> bool:
            texts = [one.data.text for one in await self.events() if isinstance(one.data, UtteranceCompleted)]
            return BOOK[phrase].text in texts

        await wait_until(said, within_s=within_s, what=phrase, every_s=0.02)

    async def bring_in_maria(self) -> None:
        """The orchestrator's part."""
        requested = (await self.until(TransferRequested)).data
        assert isinstance(requested, TransferRequested)
        assert requested.destination == "billing-desk"
        transfer, human = requested.transfer_id, Human(identity="human-text", name="Maria Weber")
        dial = {"transfer_id": transfer, "attempt": 1, "dial_id": "text"}
        await self.append(TransferDialing(**dial, target="desk", identity=human.identity))
        await self.append(TransferRinging(**dial))
        await self.says("billing.connecting_person")
        connected = TransferConnected(**dial, destination=requested.destination, human=human)
        await self.log.append(Event(data=connected, call=CALL, producer="test", id=transfer_outcome_id(CALL, transfer)))
        await self.until(TransferCompleted)

    async def append(self, data: EventData) -> None:
        await self.log.append(Event(data=data, call=CALL, producer="test"))


@asynccontextmanager
async def a_text_call(stdin: int | BinaryIO = asyncio.subprocess.PIPE, *before: str) -> AsyncIterator[TextCall]:
    """``before`` stands in front of the worker's command line."""
    async with EmbeddedRedis() as redis, RealtimeStandIn() as model, connect(redis.url) as client:
        worker = await asyncio.create_subprocess_exec(
            *(*before, sys.executable, "-m", "voice_worker", "--simulate", CALL, "--customer-id", "C-2048"),
            env={
                "PATH": os.environ["PATH"],  # noqa: TID251 - handed on
                "REDIS_URL": redis.url,
                "LIVEKIT_URL": "ws://127.0.0.1:1",
                "LIVEKIT_API_KEY": "none",
                "LIVEKIT_API_SECRET": "none" * 8,
                "OPENAI_BASE_URL": model.base_url,
                "OPENAI_API_KEY": "test",
                "VOICE_WORKER_PROFILES_DIR": str(ROOT / "profiles"),
                "VOICE_WORKER_SPOOL_DIR": "none",
            },
            stdin=stdin,
        )
        try:
            yield TextCall(RedisEventLog(client), worker)
            async with asyncio.timeout(30):
                assert await worker.wait() == 0
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()


async def test_the_whole_dialogue_of_the_demo_works_in_text() -> None:
    said = [
        ("Generic AI", "generic.greeting"),
        ("Customer", "customer.ask_invoice"),
        ("Billing AI", "billing.introduction"),
        ("Customer", "customer.invoice_number"),
        ("Billing AI", "billing.invoice_found"),
        ("Customer", "customer.ask_person"),
        ("Billing AI", "billing.connecting_person"),
        ("Maria Weber", "human.greeting"),
        ("Customer", "customer.to_human_1"),
        ("Maria Weber", "human.ask_which"),
    ]
    async with a_text_call() as call:
        await call.says("generic.greeting", within_s=60)
        for phrase, answer in (
            ("customer.ask_invoice", "billing.introduction"),
            ("customer.invoice_number", "billing.invoice_found"),
            ("customer.ask_person", "billing.connecting_person"),
        ):
            await call.types("customer", phrase)
            if phrase == "customer.ask_person":
                await call.bring_in_maria()
            await call.says(answer)
        for who, phrase in (
            ("human", "human.greeting"),
            ("customer", "customer.to_human_1"),
            ("human", "human.ask_which"),
        ):
            await call.types(who, phrase)
            await call.says(phrase)
        await call.does("customer leaves")
        over = (await call.until(CallEnded)).data
        assert isinstance(over, CallEnded)
        assert over.ended_by is EndedBy.CUSTOMER
        events = await call.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[-1].data, CallEnded)
    places = [event.data.utterance_id for event in events if isinstance(event.data, UtteranceStarted)]
    texts = {
        event.data.utterance_id: (event.data.speaker.name, event.data.text)
        for event in events
        if isinstance(event.data, UtteranceCompleted)
    }
    assert [texts[place] for place in places] == [(name, BOOK[phrase].text) for name, phrase in said]
    assert not [event for event in events if isinstance(event.data, UtteranceDiscarded)]
    handed = [event.data.to_agent for event in events if isinstance(event.data, AgentHandedOff)]
    assert handed == ["billing"]
    tools = [(event.data.name, event.data.outcome) for event in events if isinstance(event.data, ToolCalled)]
    assert tools == [("hand_over_to_billing", "ok"), ("find_invoice", "ok"), ("transfer_to_human", "ok")]
    left = [event.data.role for event in events if isinstance(event.data, LegLeft)]
    assert left == [Role.AI, Role.CUSTOMER, Role.HUMAN]


async def test_a_typed_call_whose_caller_leaves_while_the_phone_rings_has_one_outcome() -> None:
    async with a_text_call() as call:
        await call.says("generic.greeting", within_s=60)
        await call.types("customer", "customer.ask_person")
        await call.until(TransferRequested)
        await call.does("customer leaves")
        await call.until(CallEnded)
        types = [event.type for event in await call.events()]
    assert types[-2:] == ["transfer.cancelled.v1", "call.ended.v1"]


async def types_of_the_call(call: TextCall) -> list[str]:
    await call.until(CallEnded, within_s=60)
    return [event.type for event in await call.events()]


async def test_lines_that_come_before_anybody_hears_them_are_not_lost() -> None:
    async with a_text_call() as call:
        assert call.worker.stdin is not None
        await call.types("customer", "customer.ask_invoice")
        call.worker.stdin.write(b"customer And a last word without an end")
        call.worker.stdin.close()
        await call.until(CallEnded, within_s=60)
        said = [one.data for one in await call.events() if isinstance(one.data, UtteranceCompleted)]
        left = [one.data.reason for one in await call.events() if isinstance(one.data, LegLeft)]
    assert [one.text for one in said if one.speaker.role is Role.CUSTOMER] == [
        BOOK["customer.ask_invoice"].text,
        "And a last word without an end",
    ]
    assert left[0] == "CLIENT_INITIATED"


async def test_lines_may_come_from_a_file(tmp_path: Path) -> None:
    """An event loop cannot watch a file: uvloop ended the process with SIGABRT."""
    script = tmp_path / "lines"
    script.write_text(f"customer {BOOK['customer.ask_person'].text}\n\ncustomer leaves\n")
    with script.open("rb") as lines:
        async with a_text_call(lines) as call:
            types = await types_of_the_call(call)
    assert "utterance.completed.v1" in types
    assert types[-1] == "call.ended.v1"


@pytest.mark.parametrize("closed", [False, True])
async def test_without_any_lines_the_customer_leaves_at_once(closed: bool) -> None:
    before = ("bash", "-c", 'exec "$@" <&-', "bash") if closed else ()
    async with a_text_call(asyncio.subprocess.DEVNULL, *before) as call:
        types = await types_of_the_call(call)
    assert types[-1] == "call.ended.v1"


@pytest.mark.parametrize("call", ["bad id/!", ""])
async def test_a_bad_call_id_is_one_line_and_no_call(call: str) -> None:
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "voice_worker", "--simulate", call),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        answer, complaint = await worker.communicate()
    (line,) = complaint.decode().splitlines()
    assert (worker.returncode, answer) == (2, b"")
    assert line.startswith("voice-worker: --simulate: A call id must be")
