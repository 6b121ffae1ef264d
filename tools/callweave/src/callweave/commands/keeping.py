"""What leaves the system: a call as a file, and a call whose content is removed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from call_archive.chain import Chain
from call_archive.errors import NotThere
from call_archive.head import RedisHead
from call_events.clock import SystemClock
from call_events.errors import BadSetting
from call_events.ids import CallId, call_id
from callweave.commands.options import ArchiveAt, Call, From, Why, ask, say
from callweave.files import write_new
from callweave.sources.exported import export_archived, export_live
from callweave.sources.opening import Calls
from callweave.sources.record import Where


def export(
    call: Call,
    to: Annotated[Path | None, typer.Option(help="A new file instead of standard output.")] = None,
    source: From = None,
    archive: ArchiveAt = None,
    why: Why = None,
) -> None:
    """Write a call as JSON lines: a header, the events exactly as stored, the receipts, a manifest.

    `verify --file` proves such a file anywhere. The reading is recorded. Exit code: 0 written, 2 could not.
    """
    known = call_id(call)
    content = ask(lambda calls: _content(calls, known, why), archive=archive, only=source)
    if to is None:
        sys.stdout.buffer.write(content)
        return
    write_new(to, content)
    say(f"{to}: {known}, {len(content)} bytes; prove it with callweave verify --file")


async def _content(calls: Calls, call: CallId, why: str | None) -> bytes:
    record = await calls.load(call)
    if record.where is Where.ARCHIVE:
        assert calls.archive is not None
        content = await export_archived(calls.archive.archive, call)
    else:
        record = await calls.readable(call)
        content = export_live(record, by="callweave export")
    await calls.note("export", [call], why)
    return content
