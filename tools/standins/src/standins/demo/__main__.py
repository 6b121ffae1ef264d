"""``./dev demo [--text]``: one whole call on real parts, live on the terminal, then proved.

Exit code 0 only if everything that was promised about the call held. ``--text`` plays it without media, as is done by
itself where no livekit-server can be had.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog
from rich.console import Console

from call_events.errors import CallEventsError
from call_events.ids import CallId, call_id
from call_events.ports import AnyEvent
from standins.demo.proving import proof
from standins.demo.report import judge, last_ai_sound, print_report, times
from standins.demo.scenario import CUSTOMER_NUMBER, HUMAN_NUMBER, Play
from standins.demo.screen import Screen
from standins.demo.text_call import TextPlay, simulated_worker
from standins.demo.verdict import Finding, ai_fell_silent, heard_in_order, told_as_heard
from standins.demo.watching import deliveries, save_messages, watch
from standins.media import MediaError, find_livekit_server
from standins.phones import PhoneError
from standins.phrases import load_book
from standins.stack.services import ARCHIVER, CCM_BRIDGE, VOICE_WORKER
from standins.stack.stack import Options, Stack

RUN = Path(".run")
#: What the demo insists on; the goal is 250 ms, which `./dev bench calls` measures on a quiet machine.
SILENT_WITHIN_S = 0.6
_EXPECTED = (MediaError, PhoneError, CallEventsError, TimeoutError)


async def demo(console: Console, *, in_text: bool) -> int:
    """Start everything, play the call, judge it."""
    screen = Screen(console)
    started = datetime.now(UTC)
    directory = RUN / f"demo-{started:%Y%m%d-%H%M%S}"
    call = call_id(f"call-{started:%Y%m%d-%H%M%S}")
    screen.heading("Callweave: one call, from the phone to CCM")
    if not in_text and not os.environ.get("LIVEKIT_URL"):
        try:
            await find_livekit_server(say=screen.note)
        except MediaError as error:
            # Somebody who names a server wants that one, and not less than they asked for.
            if os.environ.get("CI") or os.environ.get("LIVEKIT_SERVER_BIN"):
                raise
            screen.note(f"{error}")
            in_text = True
    findings = await (in_words if in_text else by_telephone)(console, screen, directory, call)
    return _conclude(screen, findings, call)


async def by_telephone(console: Console, screen: Screen, directory: Path, call: CallId) -> list[Finding]:
    """The call as it is meant: phones, sound, media server."""
    screen.note("starting the log, the media server, the stand-ins and the four services (about 15 s) …")
    async with Stack(directory, Options(log_directory=RUN / "log"), say=screen.note) as stack:
        _introduce(screen, stack, call)
        customer = await stack.phones.phone(CUSTOMER_NUMBER, "customer")
        human = await stack.phones.phone(HUMAN_NUMBER, "human")
        scripted = stack.model_is_standin
        play = Play(customer, human, call, scripted=scripted)
        played, events = await watch(stack, play.run(), screen, call)
        got = deliveries(stack, call)
        findings = judge(events, got, played, scripted=scripted) + await _ears(play, events, scripted=scripted)
        measured = times(
            events,
            played,
            wall_minus_monotonic=time.time() - time.monotonic(),
            silent_at=last_ai_sound(customer, played),
        )
        findings.append(ai_fell_silent(measured.connected_to_silent, within_s=SILENT_WITHIN_S))
        findings += await proof(stack, call, events)
        messages = save_messages(directory, stack, call)
    print_report(
        console,
        events=events,
        deliveries=got,
        findings=findings,
        measured=measured,
        recordings=[directory / "customer.wav", directory / "human.wav"],
        messages=messages,
    )
    return findings


async def in_words(console: Console, screen: Screen, directory: Path, call: CallId) -> list[Finding]:
    """The same call in text, and plainly so."""
    screen.note("starting the log, the stand-ins and three services …")
    options = Options(log_directory=RUN / "log", media=False, services=(CCM_BRIDGE, ARCHIVER))
    async with Stack(directory, options, say=screen.note) as stack:
        _introduce(screen, stack, call)
        screen.note(
            "NOT REAL in this run: no livekit-server, no room, no sound, no telephone. What people say is typed"
        )
        screen.note("into the worker, and the transfer's dialling and answer are played: nobody was dialled.")
        worker = simulated_worker(call, stack.settings_of(VOICE_WORKER.module), directory / "voice_worker.log")
        async with worker as alive:
            play = TextPlay(stack.log, call, alive.lines)
            played, events = await watch(stack, alive.while_alive(play.run()), screen, call)
        got = deliveries(stack, call)
        findings = judge(events, got, played, scripted=True) + await proof(stack, call, events)
        messages = save_messages(directory, stack, call)
    print_report(
        console, events=events, deliveries=got, findings=findings, measured=None, recordings=[], messages=messages
    )
    screen.heading(
        "Without sound: this was the call in text. With Go >= 1.26 or a livekit-server it is a telephone call."
    )
    return findings


def _introduce(screen: Screen, stack: Stack, call: CallId) -> None:
    for part, what in stack.parts:
        screen.note(f"{part}: {what}")
    screen.heading(f"Call {call}")


async def _ears(play: Play, events: Sequence[AnyEvent], *, scripted: bool) -> list[Finding]:
    lengths = {phrase.text: phrase.duration_s for phrase in load_book().values()}
    expected = play.CUSTOMER_HEARS if scripted else tuple(p for p in play.CUSTOMER_HEARS if p.startswith("human."))
    return [
        heard_in_order("customer", await play.customer.heard(), expected),
        heard_in_order("human", await play.human.heard(), play.HUMAN_HEARS),
        *([told_as_heard(events, lengths)] if scripted else []),
    ]


def _conclude(screen: Screen, findings: Sequence[Finding], call: CallId) -> int:
    broken = [f for f in findings if not f.holds]
    if broken:
        screen.heading(f"{len(broken)} of {len(findings)} promises did not hold.")
        return 1
    screen.heading(f"All {len(findings)} promises held.")
    screen.note(f"read it again: ./dev callweave timeline {call}   ./dev callweave replay {call} --json")
    return 0


async def _until_interrupted(console: Console, *, in_text: bool) -> int:
    """Ctrl-C and SIGTERM cancel the demo, so that every context closes and no process is left behind."""
    task = asyncio.current_task()
    assert task is not None
    for wish in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(wish, task.cancel)
    try:
        return await demo(console, in_text=in_text)
    except asyncio.CancelledError:
        console.print("interrupted; everything that was started has been stopped", style="yellow")
        return 130


def main() -> int:
    """Run; what can be expected to go wrong is one line on stderr."""
    arguments = sys.argv[1:]
    if set(arguments) - {"--text"}:
        print(f"demo: unknown argument {arguments[0]!r}; there is only --text", file=sys.stderr)
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    logging.getLogger("livekit").setLevel(logging.ERROR)  # a peer connection closed at hang-up is no news
    console = Console(highlight=False, soft_wrap=True)
    try:
        return asyncio.run(_until_interrupted(console, in_text="--text" in arguments))
    except _EXPECTED as error:
        return _told([error])
    except ExceptionGroup as group:
        expected, rest = group.split(_EXPECTED)
        if rest is not None or expected is None:
            raise
        return _told(list(_leaves(expected)))


def _told(errors: Sequence[BaseException]) -> int:
    lines = [f"demo: {str(error) or 'somebody waited in vain'}; the logs are under {RUN}" for error in errors]
    for line in dict.fromkeys(lines):
        print(line, file=sys.stderr)
    return 1


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """What really happened: every task group on the way has wrapped it once more."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


if __name__ == "__main__":
    sys.exit(main())
