"""``python -m voice_worker``: take calls. ``python -m voice_worker --simulate CALL``: one call in text, without any
room."""

import argparse
import asyncio

from call_events.service import configure_logging, load_settings, run_service
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
    prepare_environment()
    settings = load_settings(Settings, name=NAME)
    configure_logging(NAME, format=settings.log_format, level=settings.log_level)

    # The agents SDK reads its environment while it is imported, so this comes after prepare_environment().
    from voice_worker import job  # noqa: PLC0415

    async def work(stop: asyncio.Event) -> None:
        job.check(settings)
        if arguments.simulate:
            await job.simulate(settings, arguments.simulate, stop, customer_id=arguments.customer_id)
        else:
            await job.serve(settings, stop)

    run_service(NAME, work)


if __name__ == "__main__":
    main()
