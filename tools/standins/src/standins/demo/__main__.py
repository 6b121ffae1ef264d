"""``./dev demo``: one whole call on real parts, live on the terminal, then proved.

Exit code 0 only if everything that was promised about the call held.
"""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
import structlog
from rich.console import Console

from call_events.errors import CallEventsError
from call_events.ids import CallId, call_id
from call_events.ports import AnyEvent
from standins.demo.deliveries import delivery
from standins.demo.report import judge, print_report, times
from standins.demo.scenario import CUSTOMER_NUMBER, HUMAN_NUMBER, Play, Played
from standins.demo.screen import Screen
from standins.demo.verdict import Delivery, Finding, heard_in_order
from standins.media import MediaError
from standins.phones import Phone, PhoneError
from standins.stack.stack import Options, Stack

RUN = Path(".run")
#: After call.ended CCM has its last messages in no time, unless a transcript is late: then the bridge waits up to 5 s.
DELIVERY_DEADLINE_S = 15.0
_EXPECTED = (MediaError, PhoneError, CallEventsError, TimeoutError)
ENDED_DEADLINE_S = 30.0


async def demo(console: Console) -> int:
    """Start everything, play the call, judge it."""
    screen = Screen(console)
    started = datetime.now(UTC)
    directory = RUN / f"demo-{started:%Y%m%d-%H%M%S}"
    call = call_id(f"call-{started:%Y%m%d-%H%M%S}")
    screen.heading("Callweave: one call, from the phone to CCM")
    screen.note("starting the log, the media server, the stand-ins and the three services (about 15 s) …")
    async with Stack(directory, Options(log_directory=RUN / "log"), say=screen.note) as stack:
        for part, what in stack.parts:
            screen.note(f"{part}: {what}")
        screen.heading(f"Call {call}")
        customer = await stack.phones.phone(CUSTOMER_NUMBER, "customer")
        human = await stack.phones.phone(HUMAN_NUMBER, "human")
        play = Play(customer, human, call, scripted=stack.model_is_standin)
        played, events = await _watch(stack, play, screen, call)
        deliveries = await _deliveries(stack, events)
        findings = judge(
            events,
            deliveries,
            played,
            scripted=stack.model_is_standin,
        )
        findings += await _ears(play, customer, human, scripted=stack.model_is_standin)
        connected_until = played.human_picked_up_at + 0.8
        measured = times(
            events,
            played,
            wall_minus_monotonic=time.time() - time.monotonic(),
            silent_at=_last_sound_before(customer, connected_until),
        )
        messages = _save_messages(directory, stack, call)
    print_report(
        console,
        events=events,
        deliveries=deliveries,
        findings=findings,
        measured=measured,
        recordings=[directory / "customer.wav", directory / "human.wav"],
        messages=messages,
    )
    return _conclude(screen, findings, call)


async def _watch(stack: Stack, play: Play, screen: Screen, call: CallId) -> tuple[Played, list[AnyEvent]]:
    """Play the call and show it while it runs; returns when the log is closed."""
    events: list[AnyEvent] = []

    async def follow() -> None:
        async for event in stack.log.follow(call):
            events.append(event)
            screen.event(event)

    async def show_deliveries() -> None:
        shown = 0
        while True:
            taken = [] if stack.ccm is None else stack.ccm.record.taken(call)
            for arrival in taken[shown:]:
                screen.delivery(delivery(arrival))
            shown = len(taken)
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        log = group.create_task(follow(), name="follow the log")
        ccm = group.create_task(show_deliveries(), name="watch CCM")
        played = await play.run()
        async with asyncio.timeout(ENDED_DEADLINE_S):
            await asyncio.shield(log)
        await _delivered(stack, events)
        await asyncio.sleep(0.1)  # let the last line be shown
        ccm.cancel()
    return played, events


async def _delivered(stack: Stack, events: Sequence[AnyEvent]) -> None:
    """Wait until CCM has the call's last message (or its time is up: the verdict will say so)."""
    if stack.ccm is None:
        return
    give_up = time.monotonic() + DELIVERY_DEADLINE_S
    while time.monotonic() < give_up:
        if any(d.seq == events[-1].seq for d in await _deliveries(stack, events) or ()):
            return
        await asyncio.sleep(0.05)


async def _deliveries(stack: Stack, events: Sequence[AnyEvent]) -> list[Delivery] | None:
    return None if stack.ccm is None else [delivery(a) for a in stack.ccm.record.taken(events[0].call)]


async def _heard(phone: Phone) -> list[str | None]:
    return [said.heard.phrase_id for said in await phone.heard_phrases()]


async def _ears(play: Play, customer: Phone, human: Phone, *, scripted: bool) -> list[Finding]:
    expected = play.CUSTOMER_HEARS if scripted else tuple(p for p in play.CUSTOMER_HEARS if p.startswith("human."))
    return [
        heard_in_order("customer", await _heard(customer), expected),
        heard_in_order("human", await _heard(human), play.HUMAN_HEARS),
    ]


def _last_sound_before(phone: Phone, moment: float) -> float | None:
    ends = [end for _, end in phone.recording.sounds() if end <= moment]
    return ends[-1] if ends else None


def _save_messages(directory: Path, stack: Stack, call: CallId) -> Path | None:
    """What CCM got, message by message, for whoever wants to read the JSON."""
    if stack.ccm is None:
        return None
    path = directory / "ccm-messages.json"
    messages = [arrival.message for arrival in stack.ccm.record.taken(call)]
    path.write_bytes(orjson.dumps(messages, option=orjson.OPT_INDENT_2))
    return path


def _conclude(screen: Screen, findings: Sequence[Finding], call: CallId) -> int:
    broken = [f for f in findings if not f.holds]
    if broken:
        screen.heading(f"{len(broken)} of {len(findings)} promises did not hold.")
        return 1
    screen.heading(f"All {len(findings)} promises held.")
    screen.note(f"read it again: ./dev callweave timeline {call}   ./dev callweave replay {call} --json")
    return 0


async def _until_interrupted(console: Console) -> int:
    """Ctrl-C and SIGTERM cancel the demo, so that every context closes and no process is left behind."""
    task = asyncio.current_task()
    assert task is not None
    for wish in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(wish, task.cancel)
    try:
        return await demo(console)
    except asyncio.CancelledError:
        console.print("interrupted; everything that was started has been stopped", style="yellow")
        return 130


def main() -> int:
    """Run; what can be expected to go wrong is one line on stderr."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    logging.getLogger("livekit").setLevel(logging.ERROR)  # a peer connection closed at hang-up is no news
    try:
        return asyncio.run(_until_interrupted(Console(highlight=False, soft_wrap=True)))
    except _EXPECTED as error:
        return _told([error])
    except ExceptionGroup as group:
        expected, rest = group.split(_EXPECTED)
        if rest is not None or expected is None:
            raise
        return _told(expected.exceptions)


def _told(errors: Sequence[BaseException]) -> int:
    for error in errors:
        print(f"demo: {str(error) or 'somebody waited in vain'}; the logs are under {RUN}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
