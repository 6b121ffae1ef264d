"""The process behind real SIP phones: one pjsua2 endpoint on 127.0.0.1 that obeys lines of JSON on standard input.

It is a process of its own because pjsua2 has one endpoint per process, wants all calls from one thread and cannot be
torn down cleanly. It ends when its standard input does. Every call has an `id` that whoever placed or received it gave.

All phones hang off one SIP account, as behind a switch: pjsua2 is built for eight accounts at most, and aborts at the
ninth.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import sys
import time
from collections import deque
from typing import Any

import pjsua2 as pj

RATE = 8000
FRAME_BYTES = 320
POLL_MS = 5
#: More than this in hand means that the two clocks have drifted apart; the oldest is dropped.
MAX_QUEUED_FRAMES = 15
#: From a REFER to its answer, as over a network. livekit-sip v1.11.0 sets a transaction's timers after it has sent the
#: request; an answer that comes before that ends the transaction at once, and every other such transfer fails with
#: "transaction failed to complete (0 intermediate responses)". No phone at the far end of a wire answers that fast.
ROUND_TRIP_S = 0.02
_SILENCE = bytes(FRAME_BYTES)

_events: deque[dict[str, Any]] = deque()


def tell(event: str, **details: Any) -> None:
    """Queue an event; the main loop writes it (the sound thread must never wait for a pipe)."""
    _events.append({"event": event, **details})


class Sound(pj.AudioMediaPort):  # type: ignore[misc]  # pjsua2 has no types
    """Takes what the call hears and gives what it says, 20 ms at a time, in pjsua2's sound thread."""

    def __init__(self, call_id: str) -> None:
        super().__init__()
        self.frames: deque[bytes] = deque()
        self._call_id = call_id
        form = pj.MediaFormatAudio()
        form.type = pj.PJMEDIA_TYPE_AUDIO
        form.clockRate, form.channelCount, form.bitsPerSample, form.frameTimeUsec = RATE, 1, 16, 20_000
        self.createPort(f"sound-{call_id}", form)

    def onFrameRequested(self, frame: Any) -> None:  # noqa: N802 - pjsua2's name
        """The next 20 ms to say; silence if there is nothing."""
        frame.type = pj.PJMEDIA_TYPE_AUDIO
        frame.buf = pj.ByteVector(self.frames.popleft() if self.frames else _SILENCE)
        frame.size = FRAME_BYTES

    def onFrameReceived(self, frame: Any) -> None:  # noqa: N802 - pjsua2's name
        """20 ms that were heard."""
        if frame.size == FRAME_BYTES:
            pcm = base64.b64encode(bytes(frame.buf)).decode()
            tell("heard", id=self._call_id, at=time.monotonic(), pcm=pcm)


class SipCall(pj.Call):  # type: ignore[misc]  # pjsua2 has no types
    """One call."""

    def __init__(self, account: SipAccount, call_id: str, number: str, pj_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, pj_id)
        self.id = call_id
        #: Of our phone in it.
        self.number = number
        self.account = account
        self.sound = Sound(call_id)
        self.media: Any = None

    def onCallState(self, _prm: Any) -> None:  # noqa: N802 - pjsua2's name
        """Tell early, confirmed and disconnected."""
        info = self.getInfo()
        names = {
            pj.PJSIP_INV_STATE_EARLY: "early",
            pj.PJSIP_INV_STATE_CONFIRMED: "confirmed",
            pj.PJSIP_INV_STATE_DISCONNECTED: "disconnected",
        }
        if info.state in names:
            tell("state", id=self.id, state=names[info.state], status=int(info.lastStatusCode))

    def onCallMediaState(self, _prm: Any) -> None:  # noqa: N802 - pjsua2's name
        """Connect our sound with the call's."""
        info = self.getInfo()  # must stay referenced while its media are looked at
        for index in range(len(info.media)):
            if (
                info.media[index].type == pj.PJMEDIA_TYPE_AUDIO
                and info.media[index].status == pj.PJSUA_CALL_MEDIA_ACTIVE
            ):
                self.media = self.getAudioMedia(index)
                self.sound.startTransmit(self.media)
                self.media.startTransmit(self.sound)

    def onDtmfDigit(self, prm: Any) -> None:  # noqa: N802 - pjsua2's name
        """A digit arrived."""
        tell("digit", id=self.id, digit=str(prm.digit))

    def onCallTransferRequest(self, prm: Any) -> None:  # noqa: N802 - pjsua2's name
        """A REFER arrived: follow it with a new call, or refuse it."""
        time.sleep(ROUND_TRIP_S)
        tell("refer", id=self.id, target=str(prm.dstUri))
        refusal = self.account.transfer_refusals.get(self.number, 0)
        if refusal:
            prm.statusCode = refusal
            return
        prm.newCall = self.account.new_call(f"{self.id}-referred", self.number)


class SipAccount(pj.Account):  # type: ignore[misc]  # pjsua2 has no types
    """What all phones hang off."""

    def __init__(self) -> None:
        super().__init__()
        #: The phones that are plugged in, by number, and how many calls came for each.
        self.invited: dict[str, int] = {}
        #: What each phone that follows no REFER answers to one.
        self.transfer_refusals: dict[str, int] = {}

    def new_call(self, call_id: str, number: str, pj_id: int = pj.PJSUA_INVALID_ID) -> SipCall:
        """A call object, kept for ever: pjsua2 crashes when Python collects one that it still uses."""
        call = SipCall(self, call_id, number, pj_id)
        calls[call_id] = call
        return call

    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802 - pjsua2's name
        """Tell an INVITE, or refuse one that is for nobody here."""
        message = str(prm.rdata.wholeMsg)
        wanted = re.match(r"INVITE sips?:([^@;>]+)@", message)
        number = wanted.group(1) if wanted else ""
        count = self.invited.get(number, 0) + 1
        call = self.new_call(f"in-{number}-{count}", number, prm.callId)
        if number not in self.invited:
            answer(call, 404)
            return
        self.invited[number] = count
        headers = dict(re.findall(r"^(X-[^:\r\n]+):[ \t]*(.*?)\r?$", message, flags=re.MULTILINE))
        sender = re.search(r"^From:.*?sips?:([^@>;]+)", message, flags=re.MULTILINE)
        tell("invite", id=call.id, to=number, sender=sender.group(1) if sender else "", headers=headers)


calls: dict[str, SipCall] = {}


def answer(call: SipCall, status: int) -> None:
    """Send a provisional or final response."""
    op = pj.CallOpParam()
    op.statusCode = status
    call.answer(op)


def redirect(call: SipCall, direction: int) -> None:
    """Send a re-INVITE that changes which ways sound goes."""
    op = pj.CallOpParam(True)
    op.opt.flag = pj.PJSUA_CALL_SET_MEDIA_DIR
    op.opt.mediaDir.append(direction)
    call.reinvite(op)


def open_account(account: SipAccount, order: dict[str, Any], port: int) -> None:
    """Make the account that all phones hang off."""
    config = pj.AccountConfig()
    config.idUri = f"sip:switch@127.0.0.1:{port}"
    config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", order["username"], 0, order["password"]))
    transport = config.mediaConfig.transportConfig
    transport.boundAddress = transport.publicAddress = "127.0.0.1"
    transport.port = order["rtp_port"]  # of the first call; the next ones take what is free above it
    account.create(config)


def obey(order: dict[str, Any], account: SipAccount, port: int) -> None:
    """Carry out one command."""
    match order["do"]:
        case "open":
            open_account(account, order, port)
        case "plug":
            account.invited.setdefault(order["number"], 0)
            tell("plugged", number=order["number"])
        case "transfers":
            account.transfer_refusals[order["number"]] = order["refusal"]
        case "call":
            made = account.new_call(order["id"], order["number"])
            op = pj.CallOpParam(True)
            for name, value in order["headers"].items():
                header = pj.SipHeader()
                header.hName, header.hValue = name, value
                op.txOption.headers.append(header)
            op.txOption.localUri = f"sip:{order['number']}@127.0.0.1:{port}"
            made.makeCall(order["target"], op)
        case _:
            call = calls.get(str(order.get("id")))
            if call is not None:
                obey_in_call(call, order)


def obey_in_call(call: SipCall, order: dict[str, Any]) -> None:
    """Carry out one command about a call; nothing if it ended meanwhile."""
    match order["do"]:
        case "say":
            call.sound.frames.append(base64.b64decode(order["pcm"]))
            while len(call.sound.frames) > MAX_QUEUED_FRAMES:
                call.sound.frames.popleft()
        case _ if not call.isActive():
            pass
        case "answer":
            answer(call, order["status"])
        case "hang up":
            op = pj.CallOpParam()
            op.statusCode = 0
            call.hangup(op)
        case "hold":
            # A held phone sends nothing at all; pjsua2's own hold would go on sending silence.
            redirect(call, pj.PJMEDIA_DIR_NONE)
        case "resume":
            redirect(call, pj.PJMEDIA_DIR_ENCODING_DECODING)
        case "digits":
            call.dialDtmf(order["digits"])


def start() -> tuple[pj.Endpoint, int]:
    """The endpoint, on a free UDP port of 127.0.0.1."""
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.maxCalls = 32
    config.logConfig.level = 3
    config.logConfig.consoleLevel = 0
    config.logConfig.filename = sys.argv[1]
    config.medConfig.noVad = True  # silence is sent too, or media timeouts would end calls
    config.medConfig.clockRate = config.medConfig.sndClockRate = RATE
    config.medConfig.audioFramePtime = 20
    config.medConfig.ecTailLen = 0
    endpoint.libInit(config)
    transport = pj.TransportConfig()
    transport.boundAddress = transport.publicAddress = "127.0.0.1"
    transport_id = endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith("PCMU") else 0)
    return endpoint, int(endpoint.transportGetInfo(transport_id).localName.rpartition(":")[2])


def main() -> None:
    """Obey until standard input ends."""
    events = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # pjlib greets on standard output before it can be told not to
    endpoint, port = start()
    account = SipAccount()
    tell("ready", port=port)
    os.set_blocking(0, False)
    pending = b""
    while True:
        endpoint.libHandleEvents(POLL_MS)
        if select.select([0], [], [], 0)[0]:
            chunk = os.read(0, 1 << 16)
            if not chunk:
                os._exit(0)  # libDestroy asserts while Python still holds calls
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                order = json.loads(line)
                try:
                    obey(order, account, port)
                except pj.Error as error:
                    tell("failed", id=str(order.get("id", "")), doing=order["do"], reason=error.reason)
        out = [json.dumps(_events.popleft()) for _ in range(len(_events))]
        if out:
            try:
                events.write("\n".join(out) + "\n")
                events.flush()
            except BrokenPipeError:
                os._exit(0)  # whoever started us was killed


if __name__ == "__main__":
    main()
