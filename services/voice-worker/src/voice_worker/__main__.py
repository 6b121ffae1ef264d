"""``python -m voice_worker``: take calls. ``python -m voice_worker --simulate CALL``: one call in text, without any
room."""

import argparse
import asyncio

from call_events.errors import BadCallId
from call_events.ids import CallId, call_id
from call_events.service import complain, configure_logging, load_settings, run_service
from call_events.startup import EXIT_BAD_SETTING
from voice_worker.settings import Settings, prepare_environment

NAME = "voice-worker"


def main() -> None:
    """Start as the arguments say; ends the process with the codes of ``call_events.startup``."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description="Runs the AI agents of calls.")
    parser.add_argument(
        "--simulate",
        metavar="CALL",
        help="run one call of that id in text on a simulated job: lines of standard input are what the parties do",
    )
    parser.add_argument(
        "--customer-id", metavar="ID", help="with --simulate: who calls, as the switch would tell; absent: nobody knows"
    )
    arguments = parser.parse_args()
    simulated = None if arguments.simulate is None else _checked(arguments.simulate)
    prepare_environment()
    settings = load_settings(Settings, name=NAME)
    configure_logging(NAME, format=settings.log_format, level=settings.log_level)

    # The agents SDK reads its environment while it is imported, so this comes after prepare_environment().
    from voice_worker import job  # noqa: PLC0415

    async def work(stop: asyncio.Event) -> None:
        job.check(settings)
        if simulated is not None:
            await job.simulate(settings, simulated, stop, customer_id=arguments.customer_id)
        else:
            await job.serve(settings, stop)

    run_service(NAME, work)


def _checked(text: str) -> CallId:
    try:
        return call_id(text)
    except BadCallId as error:
        complain(f"--simulate: {error}", name=NAME)
        raise SystemExit(EXIT_BAD_SETTING) from None


if __name__ == "__main__":
    main()
