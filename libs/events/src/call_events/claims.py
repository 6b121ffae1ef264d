"""One group's claims on calls: the typed face of claim, commit, park, renew, release, ring and wake.

A *token* is a pending doorbell. Whoever presents one may claim its call if nobody else holds it. The claim's worker and
*epoch* are the fence: commit, park, renew and release of anybody else change nothing and say so. See
``call_events.protocol``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from itertools import islice
from typing import Any

import orjson

from call_events import keys
from call_events.entries import Entry, script_entries
from call_events.held import Held
from call_events.ids import CallId
from call_events.ports import Receipt
from call_events.runner import Arg, ScriptRunner

#: A receipt of this outcome is also a dead letter.
REFUSED = "refused"
#: More would hold up the server, in one script, for longer than a tenth of a millisecond.
_LATER_AT_ONCE = 100


class Refusal(IntEnum):
    """Why a claim was not granted. The script has dealt with the token."""

    NOTHING_NEW = 0
    BUSY = -1
    PARKED = -2
    TOKEN_GONE = -3


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to drain a call from its cursor."""

    epoch: int
    cursor: int
    entries: list[Entry]
    attempts: int
    #: Another worker had it last and neither committed nor let go: its lease ran out.
    taken_over: bool = False
    #: Run-id of the server that granted it.
    server: str | None = None


class FencedError(Exception):
    """The call has gone to another worker: drop everything about it."""


class GroupClaims:
    """The scripts of one group, called by one worker."""

    def __init__(self, runner: ScriptRunner, *, group: str, worker: str, lease_ms: int, max_events: int) -> None:
        self._runner = runner
        self._group = group
        self._worker = worker
        self._lease_ms = lease_ms
        self.max_events = max_events

    def server_of(self, call: CallId) -> str | None:
        """Run-id of the server that was last asked about the call's shard; absent until then."""
        return self._runner.server_of(keys.group_keys(self._group, call).bell)

    async def claim(self, call: CallId, token: str, later: dict[str, None] | None = None) -> Claim | Refusal:
        """Take the call, if it has something to do and nobody holds it.

        ``later`` are further doorbells of it: where there is nothing to do they need no claim each, and go as well.
        """
        at = keys.group_keys(self._group, call)
        server = self.server_of(call)
        shown = list(islice(later or (), _LATER_AT_ONCE))
        answer = await self._runner.run(
            "claim",
            (at.stream, at.state, at.bell),
            (self._worker, self._lease_ms, self.max_events, self._group, token, call, *shown),
            server=server,
        )
        if answer[0] <= 0:
            if later and len(answer) > 1:
                for one in shown:
                    later.pop(one, None)
            return Refusal(answer[0])
        epoch, cursor, entries, attempts, taken_over = answer
        return Claim(
            epoch,
            cursor,
            script_entries(entries),
            attempts,
            taken_over=bool(taken_over),
            server=server or self.server_of(call),
        )

    async def catch_up(
        self, call: CallId, *, first: int, last: int, receipts_from: bytes | None
    ) -> tuple[list[Entry], list[Entry]]:
        """What a holder lacks of its call: the events ``first`` … ``last``, and the receipts from one on (absent: all).

        Of each at most ``max_events`` and one: whoever gets so many asks again.
        """
        at = keys.group_keys(self._group, call)
        most = ("COUNT", self.max_events + 1)
        events, receipts = await self._runner.ask(
            ("XRANGE", at.stream, f"0-{first}", f"0-{last}", *most),
            ("XRANGE", at.receipts, receipts_from or "-", "+", *most),
        )
        return script_entries(events), script_entries(receipts)

    async def commit(
        self,
        held: Held,
        *,
        to: int,
        seen: int,
        wake_at: datetime | None = None,
        receipts: Sequence[Receipt] = (),
        attempts: int = 0,
    ) -> list[Entry] | None:
        """Move the cursor.

        The lease is kept, and the events after ``seen`` are returned, if there are any or if ``to`` falls short of
        ``seen`` without a wake; else ``None`` and the call is released.

        Raises:
            FencedError: nothing was changed; the call has gone to another worker, or the answer to an earlier try of
                the same was lost.
            ServerChanged: nothing was changed; the server that granted the claim has gone.
        """
        at = keys.group_keys(self._group, held.call)
        tokens = list(held.later)
        answer = await self._runner.run(
            "commit",
            (at.stream, at.state, at.bell, at.wake, at.receipts, at.dead_letters),
            (
                *(self._worker, held.epoch, held.step, held.cursor, to, seen),
                "" if wake_at is None else int(wake_at.timestamp() * 1000),
                *(self._lease_ms, self.max_events, self._group, held.call, attempts or ""),
                *receipt_args(receipts),
                *(held.token, *tokens),
            ),
            server=held.server,
        )
        if answer[0] < 0:
            raise FencedError
        held.cursor, held.attempts = to, attempts
        held.step += 1
        held.last_receipt = answer[-1] or held.last_receipt
        if answer[0] == 1:
            return script_entries(answer[1])
        for token in tokens:
            del held.later[token]
        return None

    async def park(self, held: Held, *, to: int, reason: str, receipts: Sequence[Receipt] = ()) -> None:
        """Put the call aside until somebody unparks it.

        Raises:
            FencedError: nothing was changed.
        """
        at = keys.group_keys(self._group, held.call)
        tokens = list(held.later)
        answer = await self._runner.run(
            "park",
            (at.state, at.bell, at.wake, at.receipts, at.dead_letters),
            (
                *(self._worker, held.epoch, held.step, held.cursor, to, reason, self._group, held.call),
                *receipt_args(receipts),
                *(held.token, *tokens),
            ),
            server=held.server,
        )
        if answer[0] < 0:
            raise FencedError
        for token in tokens:
            del held.later[token]

    async def renew(self, held: Held) -> bool:
        """Prolong the lease; false = the call has gone to another worker."""
        at = keys.group_keys(self._group, held.call)
        args = (held.epoch, self._lease_ms, self._group, self._worker, held.token)
        return bool(await self._runner.run("renew", (at.state, at.bell), args, server=held.server))

    async def release(self, held: Held) -> bool:
        """Hand the call back unfinished, for the next worker at once; false = it had gone already.

        Also to another server than the one that granted it: there it changes nothing unless that one knows the claim.
        """
        at = keys.group_keys(self._group, held.call)
        args = (held.epoch, self._group, self._worker, held.token)
        return bool(await self._runner.run("release", (at.state, at.bell), args))

    async def pass_on(self, call: CallId, token: str) -> bool:
        """Give a doorbell to the others as a new one; false = another worker has it, or a lease stands by it."""
        at = keys.group_keys(self._group, call)
        args = (self._group, self._worker, token, call)
        return bool(await self._runner.run("pass_on", (at.state, at.bell), args))

    async def leave(self, tag: str) -> bool:
        """Take this worker off a shard's list; false = something is pending under its name, and it stays."""
        return bool(await self._runner.run("forget", (keys.bell(tag),), (self._group, self._worker)))

    async def idle(self, calls: Sequence[CallId], *, now: datetime) -> list[CallId]:
        """Those of ``calls`` that have something to do, are not parked, wait for no time and are in nobody's hands."""
        asked: list[tuple[Arg, ...]] = []
        for call in calls:
            at = keys.group_keys(self._group, call)
            asked += [("XLEN", at.stream), ("HMGET", at.state, "cur", "ow", "dl", "parked", "due", "wk")]
        answers = await self._runner.ask(*asked)
        now_ms = now.timestamp() * 1000
        states = zip(calls, answers[::2], answers[1::2], strict=True)
        return [call for call, tail, state in states if _is_idle(tail, state, now_ms)]

    async def ring(self, call: CallId) -> bool:
        """Ring for a call that has something to do and no doorbell that would tell (the sweeper)."""
        at = keys.group_keys(self._group, call)
        return bool(await self._runner.run("ring", (at.dedupe, at.state, at.bell), (call,)))

    async def remind(self, calls: Sequence[CallId]) -> None:
        """Ring for calls whatever their state: whoever answers finds out whether there is anything to do."""
        if calls:
            await self._runner.ask(
                *(("XADD", keys.group_keys(self._group, c).bell, "*", "c", c, "n", 0) for c in calls)
            )

    async def wake(self, call: CallId) -> bool:
        """Ring for a call whose time has come by the server's clock."""
        at = keys.group_keys(self._group, call)
        return bool(await self._runner.run("wake", (at.wake, at.state, at.bell), (call,)))


def _is_idle(tail: int, state: Sequence[bytes | None], now_ms: float) -> bool:
    """What ring.lua asks, but by this machine's clock: the script has the last word."""
    cursor, owner, deadline, parked, due, wake = state
    if parked is not None or (owner is not None and int(deadline or 0) > now_ms):
        return False
    return due is not None or (int(cursor or 0) < tail and wake is None)


def receipt_args(receipts: Sequence[Receipt]) -> list[Arg]:
    """The receipts as commit.lua and park.lua read them.

    How many, then place, dead-letter reason or '', JSON for each.
    """
    args: list[Arg] = [len(receipts)]
    for receipt in receipts:
        why = str(receipt.detail.get("reason", REFUSED)) if receipt.outcome == REFUSED else ""
        args += (receipt.seq, why, write_receipt(receipt))
    return args


def write_receipt(receipt: Receipt) -> bytes:
    """The receipt as it is stored."""
    return orjson.dumps({"seq": receipt.seq, "outcome": receipt.outcome, "detail": receipt.detail})


def read_receipt(raw: bytes) -> Receipt:
    """What :func:`write_receipt` has written."""
    wire: dict[str, Any] = orjson.loads(raw)
    return Receipt(seq=wire["seq"], outcome=wire["outcome"], detail=wire["detail"])
