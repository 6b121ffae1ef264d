"""Removes the content of calls and leaves the proof that it was there.

**Order.** First Redis forgets the call, then a link says that its content goes, when, by whom and why, then the file is
removed. A crash in between leaves a link that promises more than was done, which verification tells and doing it again
mends; never a file that is missing without a reason.

What stays: the call's id, the digest of the file and of its chain, its first and last times. The digests are salted,
and the salt was in the file.
"""

import re
from collections.abc import Sequence
from typing import Literal, Protocol

from redis.asyncio import Redis

from call_archive.archive import Archive
from call_archive.chain import Chain
from call_archive.errors import BadObject, ErasureRefused, NotThere
from call_archive.model import LinkedCall, Removal, StoredLink
from call_archive.paths import call_path
from call_archive.ports import Store
from call_archive.seal import linked
from call_events.admin import Admin
from call_events.ids import CallId

#: The archive's own consumer group.
GROUP = "archive"

#: A ticket, a court's file number. Longer runs of digits would be telephone or customer numbers.
_NOTE = re.compile(r"(?!.*\d{7})[A-Za-z0-9 ._/#:-]{0,80}")
_BY = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@/-]{0,79}")


class LiveLog(Protocol):
    """The call in Redis, if it is still there."""

    async def forget(self, call: CallId) -> bool:
        """Remove it at once; false = there was nothing.

        Raises:
            ErasureRefused: it has not ended, or a group has not finished with it. Nothing was changed.
            LogUnavailable: not known to be removed; do it again.
        """
        ...


class RedisLiveLog:
    """``LiveLog`` by the log's own rules: what is not finished cannot be forgotten."""

    def __init__(self, redis: Redis) -> None:
        self._admin = Admin(redis)

    async def forget(self, call: CallId) -> bool:
        """See :class:`LiveLog`."""
        if not await self._admin.tail(call):
            return False
        groups = await self._admin.groups()
        match await self._admin.retire(call, groups=groups, grace_s=0):
            case "OK":
                return True
            case "OPEN":
                raise ErasureRefused(f"call {call} has not ended; erase it afterwards")
            case _:
                behind = [group for group in groups if not await self._has_finished(group, call)]
                who = f"group {', '.join(behind)}" if behind else "a group"
                raise ErasureRefused(f"call {call}: {who} has not finished with it in Redis; see callweave parked")

    async def _has_finished(self, group: str, call: CallId) -> bool:
        state = await self._admin.state(group, call)
        return state.cursor == await self._admin.tail(call) and state.parked is None and state.wake_at is None


async def erase(
    store: Store,
    chain: Chain,
    log: LiveLog,
    call: CallId,
    *,
    by: str,
    why: Literal["retention", "request"] = "request",
    note: str = "",
) -> StoredLink | None:
    """Remove one call from Redis and from the archive; the link that proves it, ``None`` if it was removed before.

    Safe to repeat: what an earlier attempt has left undone is done.

    Args:
        store: the archive's.
        chain: opened.
        log: where the call may still be.
        call: which.
        by: who asked for it; a login or a team.
        why: the kind of reason.
        note: a ticket or the like, at most 80 letters, digits and any of space . _ / # : - with no long numbers in it.

    Raises:
        ErasureRefused: the note could hold personal data; or the call is not sealed and linked yet, or not finished.
        NotThere: the archive has never had such a call.
        StoreUnavailable, LogUnavailable: not known to be done; do it again.
    """
    if not _NOTE.fullmatch(note) or not _BY.fullmatch(by):
        raise ErasureRefused(
            "note and name stay in the chain for ever: write a ticket and a login, at most 80 letters, digits and "
            "any of space . _ / # : - (a name: @ too), and no number of more than six digits"
        )
    archive = Archive(store)
    try:
        named = await _named(archive, call)
    except NotThere:
        if any(one.call == call for link in await archive.history(call) for one in link.link.removed):
            await log.forget(call)
            return None
        raise
    await log.forget(call)
    return await remove(store, chain, [Removal(call=call, object=named.object, why=why, by=by, note=note)])


async def _named(archive: Archive, call: CallId) -> LinkedCall:
    """The call as its link names it, also if its file was damaged since."""
    try:
        sealed = await archive.load(call)
        found = await archive.find_link(linked(sealed), since=sealed.manifest.sealed_at)
        named = linked(sealed) if found is not None else None
    except BadObject:
        named = None
    if named is None:  # a damaged file: only the whole chain tells
        history = [one for link in await archive.history(call) for one in link.link.calls if one.call == call]
        named = history[0] if history else None
    if named is None:
        raise ErasureRefused(f"call {call} is sealed, but no link names it yet; try again in a minute")
    return named


async def remove(store: Store, chain: Chain, removals: Sequence[Removal]) -> StoredLink:
    """Say in one link that contents go, then remove them.

    Raises:
        StoreUnavailable, LogUnavailable, ChainBroken: not known to be done; do it again.
    """
    link = await chain.add(removed=removals)
    for removal in removals:
        await store.remove(call_path(removal.call))
    return link
