"""Records real calls of this release, to be replayed by every later one.

    ./dev run env PYTHONPATH=tests python -m support.record_streams RELEASE [NAME ...] [--words]

Needs the real livekit-server for the spoken calls. A release that is tagged is never recorded again; with ``--words``
nothing is recorded, and only the timelines of what is there are written anew.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from call_events import catalogue as c
from call_events import keys
from call_events.connection import connect
from call_events.envelope import Event, EventData
from call_events.ids import CallId
from call_events.registry import UnknownData
from call_events.testing import CUSTOMER, ended, said, speaking, started
from standins.demo.people import Person
from standins.demo.scenario import CUSTOMER_NUMBER, DIALLED_NUMBER, HUMAN_NUMBER, Play
from standins.demo.text_call import TextPlay, simulated_worker
from standins.stack.services import CCM_BRIDGE, VOICE_WORKER
from standins.stack.stack import Options, Stack
from support.calls import Reading
from support.recorded import STREAMS, TOLD, Recording, read, told
from support.waiting import wait_until

Scenario = Callable[[Stack, CallId, Path], Awaitable[None]]


async def demo_in_text(stack: Stack, call: CallId, directory: Path) -> None:
    """The demo's call: two AI agents, a handoff, a transfer that succeeds, three people's words."""
    settings = stack.settings_of(VOICE_WORKER.module)
    async with simulated_worker(call, settings, directory / "worker.log") as alive:
        await alive.while_alive(TextPlay(stack.log, call, alive.lines).run())
        await Reading(stack, call).whole()


async def demo_by_telephone(stack: Stack, call: CallId, _directory: Path) -> None:
    """The same, spoken."""
    customer = await stack.phones.phone(CUSTOMER_NUMBER, "customer")
    human = await stack.phones.phone(HUMAN_NUMBER, "human")
    await Play(customer, human, call).run()


async def transfer_fails(stack: Stack, call: CallId, _directory: Path) -> None:
    """The desk is busy; the AI says so and goes on."""
    customer, desk = await _people(stack)
    desk.phone.busy()
    await _asks_for_a_person(customer, call)
    await customer.hears("generic.transfer_busy")
    await customer.says("customer.ask_invoice")
    await customer.hears("billing.introduction")
    await customer.phone.hang_up()


async def transfer_is_cancelled(stack: Stack, call: CallId, _directory: Path) -> None:
    """The caller leaves while the phone rings."""
    customer, desk = await _people(stack)
    desk.phone.ring_out()
    await _asks_for_a_person(customer, call)
    await Reading(stack, call).wait_for(c.TransferRinging)
    await customer.phone.hang_up()


async def human_leaves_first(stack: Stack, call: CallId, _directory: Path) -> None:
    """The person hangs up, the AI comes back and says goodbye."""
    customer, desk = await _people(stack)
    desk.phone.answer(after_s=0.8)
    await _asks_for_a_person(customer, call)
    await desk.picks_up()
    await desk.says("human.goodbye")
    await customer.hears("human.goodbye")
    await desk.phone.hang_up()
    await customer.hears("generic.human_left")
    await customer.says("customer.no")
    await customer.phone.wait_hung_up()


async def speech_is_interrupted(stack: Stack, call: CallId, _directory: Path) -> None:
    """The caller cuts the AI short."""
    customer, _ = await _people(stack)
    await customer.calls(call, X_Ani=CUSTOMER_NUMBER)
    await customer.hears("generic.greeting")
    await customer.says("customer.long_story")
    await Reading(stack, call).nth_ai_utterance(2)
    began = time.monotonic()
    await wait_until(lambda: (customer.phone.recording.last_sound(began) or 0) > began + 2.5, within_s=20)
    await customer.says("customer.wait")
    await customer.hears("generic.go_on")
    await customer.phone.hang_up()


async def a_newer_release(stack: Stack, call: CallId, _directory: Path) -> None:
    """A type that this release does not know, a newer version of one it does, and a transcript that never comes."""
    unknown = UnknownData(wire_type="caller.mood.v1", raw={"mood": "friendly", "since": [1, 2.5, None]})
    newer = UnknownData(wire_type="utterance.completed.v9", raw={"utterance_id": "u1", "words": ["Hello"]})
    frame = {"call": call, "producer": "voice-worker/newer"}
    for one in (
        started(call),
        speaking(call, "u1"),
        Event[EventData](data=unknown, time=started(call).time, **frame),
        Event[EventData](data=newer, time=started(call).time, **frame),
        said(call, "u2", "Is anybody there?", at_s=3.0),
        ended(call),
    ):
        await stack.log.append(one)


async def a_damaged_entry(stack: Stack, call: CallId, _directory: Path) -> None:
    """Bytes in the log that are no event, as a disk or a person may leave them."""
    await stack.log.append(started(call))
    async with connect(stack.redis_url) as redis:
        stream = keys.call_keys(call).stream
        for raw in (b'{"specversion":"1.0","id":"cut', b"\xff\xfe\x00", b'{"type":"call.ended.v1","data":{}}'):
            await redis.xadd(stream, {"e": raw}, id="0-*")
    wrong = c.UtteranceStarted(utterance_id="u1", speaker=CUSTOMER, started_at=started(call).time)
    await stack.log.append(Event[EventData](data=wrong, call=call, producer="voice-worker/1", time=started(call).time))
    await stack.log.append(ended(call))


async def _people(stack: Stack) -> tuple[Person, Person]:
    return Person(await stack.phones.phone(CUSTOMER_NUMBER)), Person(await stack.phones.phone(HUMAN_NUMBER))


async def _asks_for_a_person(customer: Person, call: CallId) -> None:
    await customer.calls(call, X_Ani=CUSTOMER_NUMBER, X_Dnis=DIALLED_NUMBER)
    await customer.hears("generic.greeting")
    await customer.says("customer.ask_person")


IN_TEXT: dict[str, Scenario] = {
    "demo-in-text": demo_in_text,
    "a-newer-release": a_newer_release,
    "a-damaged-entry": a_damaged_entry,
}
SPOKEN: dict[str, Scenario] = {
    "demo-by-telephone": demo_by_telephone,
    "transfer-fails": transfer_fails,
    "transfer-is-cancelled": transfer_is_cancelled,
    "human-leaves-first": human_leaves_first,
    "speech-is-interrupted": speech_is_interrupted,
}


async def record(release: str, names: list[str]) -> None:
    """Play the calls and keep what the log has of them."""
    directory = STREAMS / release
    directory.mkdir(parents=True, exist_ok=True)
    for scenarios, media in ((IN_TEXT, False), (SPOKEN, True)):
        wanted = {name: play for name, play in scenarios.items() if not names or name in names}
        for name, play in wanted.items():
            with tempfile.TemporaryDirectory() as run:
                options = Options(media=media) if media else Options(media=False, services=(CCM_BRIDGE,))
                async with Stack(Path(run), options) as stack:
                    call = CallId(f"recorded-{name}")
                    await play(stack, call, Path(run))
                    recording = await _whole(stack, call)
            recording.write(directory / f"{name}.jsonl")
            _tell(directory / f"{name}{TOLD}", told(recording))
            print(f"{name}: {len(recording.raw)} entries")


def word_anew(release: str) -> None:
    """Write the timelines of a release anew; everything else stays as it was."""
    for path in (STREAMS / release).glob("*.jsonl"):
        kept = path.with_name(path.stem + TOLD)
        _tell(kept, json.loads(kept.read_text(encoding="utf-8")) | {"timeline": told(read(path))["timeline"]})


def _tell(path: Path, what: dict[str, Any]) -> None:
    path.write_text(json.dumps(what, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


async def _whole(stack: Stack, call: CallId) -> Recording:
    """Every entry, once the log is closed; the name of this machine is nobody's business."""
    await Reading(stack, call).whole()
    async with connect(stack.redis_url) as redis:
        entries: Any = await redis.xrange(keys.call_keys(call).stream)
    here = socket.gethostname().encode()
    return Recording(call, tuple(fields[b"e"].replace(b"/" + here + b"-", b"/host-") for _, fields in entries))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m support.record_streams")
    parser.add_argument("release", help="e.g. 0.1.0")
    parser.add_argument("names", nargs="*", choices=[*IN_TEXT, *SPOKEN, []], help="only these calls")
    parser.add_argument("--words", action="store_true", help="only the timelines of what is there, anew")
    options = parser.parse_args()
    if options.words:
        word_anew(options.release)
        return 0
    tags = subprocess.run(["git", "tag", "--list", f"v{options.release}"], capture_output=True, text=True, check=True)
    if tags.stdout.strip():
        print(f"{options.release} is tagged: what it has recorded is never changed", file=sys.stderr)
        return 2
    os.environ.pop("REDIS_URL", None)  # noqa: TID251 - a log of its own
    asyncio.run(record(options.release, options.names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
