"""Waits until the call is in the archive, and has the archive prove it: as an auditor would, from the outside in."""

import asyncio
import os
from collections.abc import Mapping, Sequence

from call_archive.archive import Archive
from call_archive.errors import ArchiveError, NotThere
from call_archive.head import RedisHead
from call_archive.model import SealedCall, StoredLink
from call_archive.seal import linked
from call_archive.stores import S3Options, open_store
from call_archive.verify import verify_archive
from call_events.connection import connect
from call_events.ids import CallId
from call_events.ports import AnyEvent
from standins.demo.verdict import Finding
from standins.stack.stack import Stack

#: The archiver looks again a second after a group was not done; a busy machine needs some more.
SEALED_DEADLINE_S = 20.0
PROMISE = "the call is sealed, and the archive proves it complete"


async def proof(
    stack: Stack, call: CallId, events: Sequence[AnyEvent], *, environment: Mapping[str, str] = os.environ
) -> list[Finding]:
    """One finding; none where this run has no archive."""
    if stack.archive_url is None:
        return []
    archive = Archive(open_store(stack.archive_url, s3=_s3(environment)))
    try:
        async with asyncio.timeout(SEALED_DEADLINE_S):
            sealed, link = await _sealed(archive, call)
    except TimeoutError:
        return [
            Finding(False, PROMISE, f"not sealed within {SEALED_DEADLINE_S:g} s; see {stack.directory}/archiver.log")
        ]
    except ArchiveError as error:
        return [Finding(False, PROMISE, str(error))]
    async with connect(stack.redis_url) as redis:
        head = await RedisHead(redis).newest()
        faults = [one async for one in verify_archive(archive, known_head=head) if one.is_fault]
    if not faults and sealed.decoded() == list(events):
        return [Finding(True, PROMISE, f"{len(events)} events in {sealed.size} bytes, link {link.link.number}")]
    return [Finding(False, PROMISE, str(faults[0]) if faults else "it holds other events than the log showed")]


async def _sealed(archive: Archive, call: CallId) -> tuple[SealedCall, StoredLink]:
    while True:
        try:
            sealed = await archive.load(call)
            if (link := await archive.find_link(linked(sealed), since=sealed.manifest.sealed_at)) is not None:
                return sealed, link
        except NotThere:
            pass
        await asyncio.sleep(0.05)


def _s3(environment: Mapping[str, str]) -> S3Options:
    return S3Options(
        endpoint=environment.get("ARCHIVE_S3_ENDPOINT"),
        region=environment.get("ARCHIVE_S3_REGION"),
        access_key_id=environment.get("ARCHIVE_S3_ACCESS_KEY_ID"),
        secret_access_key=environment.get("ARCHIVE_S3_SECRET_ACCESS_KEY"),
    )
