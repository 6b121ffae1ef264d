"""What leaves the system: a call as a file, and a call whose content is removed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from call_archive.chain import Chain
from call_archive.erasure import RedisLiveLog
from call_archive.erasure import erase as remove
from call_archive.head import RedisHead
from call_archive.signing import load_signer
from call_events.clock import SystemClock
from call_events.errors import BadSetting
from call_events.ids import CallId, call_id
from callweave.commands.options import ArchiveAt, Call, From, Why, ask, say
from callweave.files import write_new
from callweave.sources.exported import export_archived, export_live
from callweave.sources.opening import Calls
from callweave.sources.record import Where
from callweave.who import person


def export(
    call: Call,
    to: Annotated[Path | None, typer.Option(help="A new file instead of standard output.")] = None,
    source: From = None,
    archive: ArchiveAt = None,
    why: Why = None,
) -> None:
    """Write a call as JSON lines: a header, the events exactly as stored, the receipts, a manifest.

    `verify --file` proves such a file anywhere. The reading is recorded.

    Exit code: 0 written, 2 could not.
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


def erase(
    call: Call,
    *,
    why: Annotated[
        str, typer.Option(help="Why: a ticket or the like. It stays in the chain, so never anything about the person.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
    archive: ArchiveAt = None,
) -> None:
    """Remove what was said in a call, from the log and the archive, for good; the proof that it was there stays.

    Only for a call that has ended, is sealed, and that every group has finished with. Safe to repeat.

    Exit code: 0 it is removed, 2 it is not.
    """
    known = call_id(call)
    if not yes:
        typer.confirm(f"Remove the content of {known} for good?", abort=True, err=True)
    say(ask(lambda calls: _erase(calls, known, why), archive=archive))


async def _erase(calls: Calls, call: CallId, why: str) -> str:
    if calls.archive is None or calls.redis is None:
        raise BadSetting("erase needs both the log (REDIS_URL) and the archive (--archive or CALLWEAVE_ARCHIVE)")
    by, key = person(calls.settings.user), calls.settings.archive_signing_key
    signer = load_signer(key) if key is not None else None
    chain = Chain(calls.archive.store, RedisHead(calls.redis), SystemClock(), by=by, signer=signer)
    await chain.open()
    link = await remove(calls.archive.store, chain, RedisLiveLog(calls.redis), call, by=by, note=why)
    if link is None:
        return f"{call}: its content had been removed before"
    return f"{call}: its content is removed; link {link.link.number} of the chain proves that it was there"
