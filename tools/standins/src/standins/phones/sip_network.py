"""The SIP phones' network: orders to the process that is all of them (`sip_process`), and what it tells."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from socket import SOCK_DGRAM
from typing import Any

import numpy as np
import structlog

from standins.exchange.crew import Crew
from standins.exchange.handset import Ending, Final, Handset, Invitation, Referral
from standins.exchange.inbound import CallRefused
from standins.exchange.leg import LEAD_S
from standins.media.assembly import Assembly
from standins.media.ports import free_port
from standins.phones.errors import PhoneError
from standins.phones.mouth import FRAME_S

log = structlog.get_logger()

START_DEADLINE_S = 10.0
RINGING_DEADLINE_S = 10.0
STOP_DEADLINE_S = 3.0
#: A line of JSON with 20 ms of sound is below 1 kB; a burst of them still fits.
LINE_LIMIT = 1 << 20


class _SipLine:
    """A call in the process behind the phones; what a `Telephone` holds."""

    def __init__(self, network: SipNetwork, handset: Handset, call_id: str) -> None:
        self.handset = handset
        self.id = call_id
        self.under_way: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.confirmed = False
        self.phone: asyncio.Task[None] | None = None
        self.mouth: asyncio.Task[None] | None = None
        self.we_hung_up = False
        self.we_refused: int | None = None
        self._network = network

    async def hang_up(self) -> None:
        """See `Line.hang_up`."""
        self.we_hung_up = True
        self._network.order("hang up", id=self.id)

    def hold(self) -> None:
        """See `Line.hold`."""
        self._network.order("hold", id=self.id)

    def resume(self) -> None:
        """See `Line.resume`."""
        self._network.order("resume", id=self.id)

    async def press(self, digits: str) -> None:
        """See `Line.press`."""
        self._network.order("digits", id=self.id, digits=digits)


class SipNetwork(Assembly):
    """The process behind the phones, seen from here."""

    def __init__(self, sip_address: str, log_file: Path, *, username: str, password: str) -> None:
        super().__init__()
        #: host:port at which the phones take INVITEs: the outbound trunk's address.
        self.address = ""
        self._sip_address = sip_address
        self._log_file = log_file
        #: What the process itself has to say, for example that an assertion in it failed.
        self._complaints = log_file.with_name("sip-phones.log")
        self._username = username
        self._password = password
        self._crew = Crew()
        self._ids = itertools.count(1)
        self._handsets: dict[str, Handset] = {}
        self._plugged: dict[str, asyncio.Future[None]] = {}
        self._lines: dict[str, _SipLine] = {}
        self._process: asyncio.subprocess.Process | None = None
        #: Why no order can be carried out any more.
        self._gone: str | None = None

    async def _start(self) -> None:
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        await self._stack.enter_async_context(self._crew)
        with self._complaints.open("ab") as complaints:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "standins.phones.sip_process", str(self._log_file)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=complaints,
                limit=LINE_LIMIT,
                # Ctrl-C at a terminal goes to the whole group; it is for us. The phones end with their input.
                start_new_session=True,
            )
        self._stack.push_async_callback(self._stop)
        async with asyncio.timeout(START_DEADLINE_S):
            ready = await self._event()
        if ready is None:
            raise PhoneError(await self._ended())
        self.address = f"127.0.0.1:{ready['port']}"
        self._crew.start(self._follow(), name="sip phones")
        self.order("open", username=self._username, password=self._password, rtp_port=free_port(SOCK_DGRAM))

    async def _stop(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()  # the process ends with its input
        try:
            async with asyncio.timeout(STOP_DEADLINE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def order(self, do: str, **details: Any) -> None:
        """Send one command.

        Raises:
            PhoneError: the process is gone; the text tells its last words.
        """
        if self._gone is not None:
            raise PhoneError(self._gone)
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **details}).encode() + b"\n")

    async def plug(self, handset: Handset) -> None:
        """Make a phone reachable under its number."""
        self._handsets[handset.number] = handset
        plugged = self._plugged[handset.number] = asyncio.get_running_loop().create_future()
        self.order("plug", number=handset.number)
        async with asyncio.timeout(START_DEADLINE_S):
            await plugged

    def refuse_transfers(self, number: str, status: int) -> None:
        """Answer a REFER to this phone with `status` instead of following it; 0 follows it."""
        self.order("transfers", number=number, refusal=status)

    async def place(
        self,
        handset: Handset,
        to: str,
        *,
        headers: Mapping[str, str] | None = None,
        username: str = "",  # noqa: ARG002 - pjsua2 has known the credentials since it started
        password: str = "",  # noqa: ARG002
    ) -> _SipLine | None:
        """See `Network.place`."""
        line = _SipLine(self, handset, f"out-{next(self._ids)}")
        self._lines[line.id] = line
        target = f"sip:{to}@{self._sip_address}"
        self.order("call", id=line.id, number=handset.number, target=target, headers=dict(headers or {}))
        async with asyncio.timeout(RINGING_DEADLINE_S):
            status = await line.under_way
        if status >= 300:
            raise CallRefused(status, "")
        return line

    async def _event(self) -> dict[str, Any] | None:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return json.loads(line) if line else None

    async def _follow(self) -> None:
        while (event := await self._event()) is not None:
            match event["event"]:
                case "invite":
                    self._on_invite(event)
                case "plugged":
                    self._plugged.pop(event["number"]).set_result(None)
                case "failed":
                    self._on_failed(event)
                case _:
                    line = self._lines.get(event["id"])
                    if line is not None:
                        self._on_call_event(line, event)
        self._on_gone(await self._ended())

    async def _ended(self) -> str:
        assert self._process is not None
        status = await self._process.wait()
        lines = self._complaints.read_text(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "no output"
        return f"the process of the SIP phones ended with {status}: {last} (log: {self._log_file})"

    def _on_gone(self, reason: str) -> None:
        """Nobody may go on waiting for phones that are not there any more: to each it is as if its line were cut."""
        self._gone = reason
        for plugged in self._plugged.values():
            if not plugged.done():
                plugged.set_exception(PhoneError(reason))
        for line in tuple(self._lines.values()):
            self._on_cut(line, reason)

    def _on_cut(self, line: _SipLine, reason: str) -> None:
        if line.phone is None and not line.under_way.done():
            line.under_way.set_exception(PhoneError(reason))
        self._on_disconnected(line, 503)

    def _on_failed(self, event: dict[str, Any]) -> None:
        log.warning("phones.sip_command_failed", doing=event["doing"], reason=event["reason"])
        line = self._lines.get(event["id"])
        if line is not None and event["doing"] == "call":
            self._on_cut(line, f"the call could not be made: {event['reason']}")

    def _on_call_event(self, line: _SipLine, event: dict[str, Any]) -> None:
        match event["event"]:
            case "heard":
                pcm = np.frombuffer(base64.b64decode(event["pcm"]), dtype=np.int16)
                line.handset.hear("line", pcm, event["at"])
            case "digit":
                line.handset.hear_digit(event["digit"])
            case "refer":
                self._crew.start(_tell_referral(line.handset, event["target"]), name="refer")
            case "state":
                self._on_state(line, event["state"], event["status"])

    def _on_state(self, line: _SipLine, state: str, status: int) -> None:
        if not line.under_way.done():
            line.under_way.set_result(status)
        if state == "confirmed" and not line.confirmed:
            line.confirmed = True
            line.handset.on_answered(line)
            line.mouth = self._crew.start(self._speak(line), name=f"mouth {line.id}")
        if state == "disconnected":
            self._on_disconnected(line, status)

    def _on_disconnected(self, line: _SipLine, status: int) -> None:
        self._lines.pop(line.id, None)
        for task in (line.mouth, line.phone):
            if task is not None:
                task.cancel()
        if line.we_hung_up:
            line.handset.on_ended(Ending.WE_HUNG_UP, None)
        elif line.confirmed:
            line.handset.on_ended(Ending.THEY_HUNG_UP, None)
        elif line.we_refused is not None:
            line.handset.on_ended(Ending.REFUSED, line.we_refused)
        elif line.phone is not None:
            line.handset.on_ended(Ending.CANCELLED, None)
        else:
            line.handset.on_ended(Ending.REFUSED, status)

    def _on_invite(self, event: dict[str, Any]) -> None:
        handset = self._handsets[event["to"]]
        line = _SipLine(self, handset, event["id"])
        self._lines[line.id] = line
        line.phone = self._crew.start(self._ring(line, event), name=f"phone {handset.number}")

    async def _ring(self, line: _SipLine, event: dict[str, Any]) -> None:
        async def ring() -> None:
            self.order("answer", id=line.id, status=180)

        invitation = Invitation(
            call_id=event["headers"].get("X-Call-Id", ""),
            from_number=event["sender"],
            to=event["to"],
            headers=event["headers"],
            ring=ring,
        )
        final = await line.handset.invited(invitation)
        if final.status >= 300:
            line.we_refused = final.status
        self.order("answer", id=line.id, status=final.status)

    async def _speak(self, line: _SipLine) -> None:
        due = time.monotonic() - LEAD_S
        while True:
            frame = line.handset.next_frame()
            if frame is not None:
                self.order("say", id=line.id, pcm=base64.b64encode(frame.tobytes()).decode())
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))


async def _tell_referral(handset: Handset, target: str) -> Final:
    return await handset.referred(Referral(target, {}))
