"""The demo's call where no livekit-server can be had: in text, on the agents SDK's simulated job.

Real: the log, the voice worker with its agents, tools and handoffs, the bridge, the order and the hold. Not real: there
is no room, no sound and no telephone; nobody is dialled. The lines a person would speak are typed into the worker, and
the orchestrator's part of the transfer (dialling, ringing, connected) is played here.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from call_events import catalogue as c
from call_events.children import bound_to_us
from call_events.envelope import Event, EventData
from call_events.ids import CallId
from call_events.redis_log import RedisEventLog
from standins.demo.scenario import CUSTOMER_ID, Played
from standins.media import MediaError
from standins.phrases import load_book
from standins.stack.services import VOICE_WORKER, passed_on

D = TypeVar("D", bound=EventData)
T = TypeVar("T")

TURN_DEADLINE_S = 60.0
STOP_DEADLINE_S = 20.0


class TextPlay:
    """One performance in text."""

    #: What the AI says → what the customer answers.
    WITH_THE_AI = (
        ("generic.greeting", "customer.ask_invoice"),
        ("billing.introduction", "customer.invoice_number"),
        ("billing.invoice_found", "customer.ask_person"),
    )
    WITH_MARIA = (
        ("human", "human.greeting"),
        ("customer", "customer.to_human_1"),
        ("human", "human.ask_which"),
        ("customer", "customer.to_human_2"),
        ("human", "human.resolved"),
        ("customer", "customer.to_human_3"),
        ("human", "human.goodbye"),
    )

    def __init__(self, log: RedisEventLog, call: CallId, worker: asyncio.StreamWriter) -> None:
        self._log = log
        self._call = call
        self._worker = worker
        self._book = load_book()
        self._seen = 0
        self.played = Played(call)

    async def run(self) -> Played:
        """Play it to the end.

        Raises:
            TimeoutError: the AI did not say what it should; the text tells what was waited for.
        """
        for hears, says in self.WITH_THE_AI:
            await self._said(self._book[hears].text)
            await self._speak("customer", says)
        await self._bring_in_maria(await self._next(c.TransferRequested))
        await self._next(c.TransferCompleted)
        for role, phrase in self.WITH_MARIA:
            await self._speak(role, phrase)
            await self._said(self._book[phrase].text)
        await self._line("customer leaves")
        return self.played

    async def _speak(self, role: str, phrase: str) -> None:
        text = self._book[phrase].text
        (self.played.said_by_customer if role == "customer" else self.played.said_by_human).append(text)
        await self._line(f"{role} {text}")

    async def _line(self, line: str) -> None:
        self._worker.write(f"{line}\n".encode())
        await self._worker.drain()

    async def _said(self, text: str) -> None:
        try:
            while (await self._next(c.UtteranceCompleted)).text != text:
                pass
        except TimeoutError:
            raise TimeoutError(f"nobody said “{text}” within {TURN_DEADLINE_S:g} s") from None

    async def _next(self, schema: type[D]) -> D:
        """The next event of this type after the last one waited for."""
        async with asyncio.timeout(TURN_DEADLINE_S):
            async for event in self._log.follow(self._call, after=self._seen):
                if isinstance(event.data, schema):
                    self._seen = event.seq
                    return event.data
        raise TimeoutError(f"the call ended without {schema.TYPE}")

    async def _bring_in_maria(self, requested: c.TransferRequested) -> None:
        """What the orchestrator would write if there were a telephone."""
        transfer, dial = requested.transfer_id, "simulated"
        human = c.Human(identity=f"human-{dial}", name="Maria Weber")
        dialling = c.TransferDialing(
            transfer_id=transfer, attempt=1, dial_id=dial, target="nobody's phone", identity=human.identity
        )
        await self._append(dialling, transfer)
        await self._append(c.TransferRinging(transfer_id=transfer, attempt=1, dial_id=dial), transfer)
        await self._said(self._book["billing.connecting_person"].text)
        connected = c.TransferConnected(
            transfer_id=transfer, attempt=1, dial_id=dial, destination=requested.destination, human=human
        )
        await self._append(connected, transfer)

    async def _append(self, data: EventData, transfer: str) -> None:
        await self._log.append(Event[EventData](data=data, call=self._call, producer="demo", correlation_id=transfer))


class SimulatedWorker:
    """A running worker with one simulated job."""

    def __init__(self, process: asyncio.subprocess.Process, log_file: Path) -> None:
        assert process.stdin is not None
        #: What is written here is what the parties say and do.
        self.lines: asyncio.StreamWriter = process.stdin
        self._process = process
        self._log_file = log_file

    async def while_alive(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something as long as the worker lives.

        Raises:
            MediaError: it has ended; the text carries its last words.
        """
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(self._process.wait())
            working = group.create_task(work)
            await asyncio.wait({ended, working}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                last = self._log_file.read_text(errors="replace").strip().splitlines()[-1:]
                raise MediaError(f"the voice worker ended ({ended.result()}): {' '.join(last)} (log: {self._log_file})")
            ended.cancel()
        return working.result()


@asynccontextmanager
async def simulated_worker(call: CallId, settings: Mapping[str, str], log_file: Path) -> AsyncIterator[SimulatedWorker]:
    """The real voice worker with one simulated job."""
    with log_file.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *bound_to_us([sys.executable, "-m", VOICE_WORKER.module, "--simulate", call, "--customer-id", CUSTOMER_ID]),
            start_new_session=True,  # Ctrl-C is for the demo, which then stops it in order
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=passed_on() | dict(settings),
        )
    worker = SimulatedWorker(process, log_file)
    try:
        yield worker
    finally:
        worker.lines.close()
        try:
            async with asyncio.timeout(STOP_DEADLINE_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
