"""``callweave``: the command line of operators and auditors.

Most commands only read. ``unpark`` gives a call back to a service, ``erase`` removes one from the archive, and whatever
shows what was said first records that it was read.
"""

import sys
from collections.abc import Callable

import typer

from call_events.errors import CallEventsError
from call_events.logs import configure_logging
from callweave.commands import finding, keeping, operating, proving, reading
from callweave.commands.options import AUDITING, OPERATING
from callweave.operators.dlq_commands import dlq
from callweave.operators.log_commands import log_app

HELP = """Read the calls in the event log and in the archive, prove them, and give back to the services what is stuck.

The log is the Redis at REDIS_URL, or else the one that ./dev demo left here; the archive is named by CALLWEAVE_ARCHIVE.
Whoever reads what was said is recorded: as CALLWEAVE_USER, with the reason that --why gives.

Exit code of every command: 0 done and nothing wrong, 1 done and something was found, 2 could not be done.
"""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=HELP)

_COMMANDS: tuple[tuple[str, Callable[..., None]], ...] = (
    *((AUDITING, command) for command in (reading.calls, reading.timeline, reading.replay)),
    *((AUDITING, command) for command in (proving.verify, proving.reconcile, finding.diff)),
    *((AUDITING, command) for command in (finding.search, finding.reads, keeping.export)),
    (AUDITING, keeping.erase),
    *((OPERATING, command) for command in (operating.parked, operating.unpark)),
)
for _panel, _command in _COMMANDS:
    app.command(rich_help_panel=_panel)(_command)
app.add_typer(log_app, name="log", rich_help_panel=OPERATING)
app.add_typer(dlq, name="dlq", rich_help_panel=OPERATING)


def main() -> None:
    """Run; what can be expected to go wrong is one line on stderr and exit code 2.

    Standard output is for the answer alone, which another program may read. What the library would log is either in
    the answer or the business of the services, so only errors are shown, on stderr.
    """
    configure_logging("callweave", format="console", level="error", stream=sys.stderr)
    try:
        app()
    except CallEventsError as error:
        print(f"callweave: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
