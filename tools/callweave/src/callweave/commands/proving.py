"""Whether calls are whole, and whether CCM and the archive have what the log has. Nothing of what was said is shown."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from call_events.errors import BadSetting
from call_events.ids import CallId, call_id
from call_events.terminal import plain, plain_json
from callweave.commands.options import ArchiveAt, AsJson, From, ask, say
from callweave.proof.reconcile import reconcile as differences
from callweave.proof.sweep import Verdict, archive_verdicts, by_day, live_verdicts, named, reconciled
from callweave.proof.verify import proved
from callweave.proof.verify import verify as check
from callweave.sources.exported import read_file
from callweave.sources.opening import Calls

Ids = Annotated[list[str] | None, typer.Argument(metavar="[CALL…]", help="Ids of calls.")]
All = Annotated[bool, typer.Option("--all", help="Every call in the log and in the archive, and the chain.")]


def verify(
    calls: Ids = None,
    *,
    everything: All = False,
    day: Annotated[
        str | None, typer.Option(help="Calls of one day (UTC), e.g. 2026-11-25: begun or sealed then.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A file that export wrote, instead of a call.")] = None,
    as_json: AsJson = False,
    source: From = None,
    archive: ArchiveAt = None,
) -> None:
    """Prove that calls are whole: no gap, no double, in order, all their own; receipts and the archive's chain as well.

    One line for each finding says what and where; docs/auditing.md tells what each code means and what to do. A call
    without a fault has a line that says what was proven. Nothing of what was said is shown, so it is not recorded.

    Exit code: 0 proven, 1 a fault was found, 2 could not look.
    """
    if file is not None:
        record = read_file(file)
        _tell_all([Verdict(record.call, [*check(record), *differences(record)[0]], proved(record))], as_json)
        return
    wanted, on = _wanted(calls, everything), _day(day)
    if not (wanted or everything or on):
        raise BadSetting("say which calls: their ids, --day, --all, or --file")

    async def run(opened: Calls) -> bool:
        if wanted:
            return await _stream(named(opened, wanted), as_json)
        if on is not None:
            return await _stream(by_day(opened, on), as_json)
        sound = await _stream(live_verdicts(opened), as_json)
        return await _stream(archive_verdicts(opened), as_json) and sound

    if not ask(run, archive=archive, only=source):
        raise typer.Exit(1)


def reconcile(
    calls: Ids = None,
    *,
    everything: All = False,
    as_json: AsJson = False,
    source: From = None,
    archive: ArchiveAt = None,
) -> None:
    """Compare the log with what CCM has taken by its receipts, and with the archive; name each difference.

    Exit code: 0 no difference, 1 something differs, 2 could not look.
    """
    wanted = _wanted(calls, everything)
    if not (wanted or everything):
        raise BadSetting("say which calls: their ids, or --all")

    async def run(opened: Calls) -> bool:
        return await _stream(reconciled(opened, wanted), as_json)

    if not ask(run, archive=archive, only=source):
        raise typer.Exit(1)


async def _stream(verdicts: AsyncIterator[Verdict], as_json: bool) -> bool:
    """Tell of each as it comes; whether none of them has a fault."""
    sound = True
    async for verdict in verdicts:
        _tell(verdict, as_json)
        sound = sound and verdict.is_sound
    return sound


def _tell_all(verdicts: Sequence[Verdict], as_json: bool) -> None:
    for verdict in verdicts:
        _tell(verdict, as_json)
    if not all(verdict.is_sound for verdict in verdicts):
        raise typer.Exit(1)


def _tell(verdict: Verdict, as_json: bool) -> None:
    if as_json:
        findings = [asdict(one) for one in verdict.findings]
        answer = {"call": verdict.call, "sound": verdict.is_sound, "proved": verdict.proved, "findings": findings}
        print(plain_json(answer))
        return
    for finding in verdict.findings:
        say(finding.line, "red" if finding.is_fault else "yellow")
    if verdict.is_sound and verdict.proved:
        say(plain(verdict.proved), "green")


def _wanted(calls: list[str] | None, everything: bool) -> list[CallId]:
    if calls and everything:
        raise BadSetting("either ids of calls or --all, not both")
    return [call_id(call) for call in calls or ()]


def _day(day: str | None) -> date | None:
    if day is None:
        return None
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise BadSetting("--day: write the day as 2026-11-25") from None
