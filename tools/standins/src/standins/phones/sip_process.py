"""The process behind real SIP phones: one pjsua2 endpoint on 127.0.0.1 that obeys lines of JSON on standard input.

It is a process of its own because pjsua2 has one endpoint per process, wants all calls from one thread and cannot be
torn down cleanly. It ends when its standard input does. Every call has an `id` that whoever placed or received it gave.
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

    def __init__(self, account: SipAccount, call_id: str, pj_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, pj_id)
        self.id = call_id
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
        tell("refer", id=self.id, target=str(prm.dstUri))
        refusal = self.account.transfer_refusal
        if refusal:
            prm.statusCode = refusal
            return
        prm.newCall = self.account.new_call(f"{self.id}-referred")


class SipAccount(pj.Account):  # type: ignore[misc]  # pjsua2 has no types
    """One phone's number."""

    def __init__(self, number: str) -> None:
        super().__init__()
        self.number = number
        self.transfer_refusal = 0
        self._count = 0

    def new_call(self, call_id: str, pj_id: int = pj.PJSUA_INVALID_ID) -> SipCall:
        """A call object, kept for ever: pjsua2 crashes when Python collects one that it still uses."""
        call = SipCall(self, call_id, pj_id)
        calls[call_id] = call
        return call

    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802 - pjsua2's name
        """Tell an INVITE, or refuse one that is for nobody here."""
        message = str(prm.rdata.wholeMsg)
        wanted = re.match(r"INVITE sips?:([^@;>]+)@", message)
        self._count += 1
        call = self.new_call(f"in-{self.number}-{self._count}", prm.callId)
        if wanted is None or wanted.group(1) != self.number:
            answer(call, 404)
            return
        headers = dict(re.findall(r"^(X-[^:\r\n]+):[ \t]*(.*?)\r?$", message, flags=re.MULTILINE))
        sender = re.search(r"^From:.*?sips?:([^@>;]+)", message, flags=re.MULTILINE)
        tell("invite", id=call.id, to=self.number, sender=sender.group(1) if sender else "", headers=headers)


accounts: dict[str, SipAccount] = {}
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


def obey(order: dict[str, Any], port: int) -> None:
    """Carry out one command."""
    call = calls.get(str(order.get("id")))
    match order["do"]:
        case "plug":
            config = pj.AccountConfig()
            config.idUri = f"sip:{order['number']}@127.0.0.1:{port}"
            secret = pj.AuthCredInfo("digest", "*", order["username"], 0, order["password"])
            config.sipConfig.authCreds.append(secret)
            config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
            config.mediaConfig.transportConfig.publicAddress = "127.0.0.1"
            config.mediaConfig.transportConfig.port = order["rtp_port"]
            account = SipAccount(order["number"])
            account.create(config)
            accounts[order["number"]] = account
            tell("plugged", number=order["number"])
        case "transfers":
            accounts[order["number"]].transfer_refusal = order["refusal"]
        case "call":
            made = accounts[order["number"]].new_call(order["id"])
            op = pj.CallOpParam(True)
            for name, value in order["headers"].items():
                header = pj.SipHeader()
                header.hName, header.hValue = name, value
                op.txOption.headers.append(header)
            made.makeCall(order["target"], op)
        case "answer" if call is not None and call.isActive():
            answer(call, order["status"])
        case "hang up" if call is not None and call.isActive():
            op = pj.CallOpParam()
            op.statusCode = 0
            call.hangup(op)
        case "say" if call is not None:
            call.sound.frames.append(base64.b64decode(order["pcm"]))
            while len(call.sound.frames) > MAX_QUEUED_FRAMES:
                call.sound.frames.popleft()
        case "hold" if call is not None and call.isActive():
            # A held phone sends nothing at all; pjsua2's own hold would go on sending silence.
            redirect(call, pj.PJMEDIA_DIR_NONE)
        case "resume" if call is not None and call.isActive():
            redirect(call, pj.PJMEDIA_DIR_ENCODING_DECODING)
        case "digits" if call is not None and call.isActive():
            call.dialDtmf(order["digits"])
        case _:
            pass  # for a call that ended meanwhile


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
                    obey(order, port)
                except pj.Error as error:
                    tell("failed", id=str(order.get("id", "")), doing=order["do"], reason=error.reason)
        out = [json.dumps(_events.popleft()) for _ in range(len(_events))]
        if out:
            events.write("\n".join(out) + "\n")
            events.flush()


if __name__ == "__main__":
    main()
