"""What operators do to the log: look at groups, resume parked calls or pass them over, let finished calls go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from redis.asyncio import Redis
from redis.exceptions import RedisError

from call_events import keys
from call_events.asking import asked
from call_events.claims import read_receipt, write_receipt
from call_events.dead_letters import DeadLetter, DeadLetters
from call_events.errors import OurMistake
from call_events.ids import CallId
from call_events.ports import Receipt
from call_events.runner import ScriptRunner, translated

#: A retired call's id stays taken for thirty days: longer than any machine stays away with events of it in its spool
#: (repairs and holidays included), and a set entry of some 100 bytes each, which is 3 MB for 1,000 calls a day.
_NAME_KEPT_S = 30 * 24 * 3600
#: The outcome of a receipt for what a person has let a group pass over: the event at its place, or with ``what: rest``
#: that event and all that follow, those still to come included.
DISCARDED = "discarded"
#: Who decided, where no name is given.
NOBODY = "somebody"


class CannotDiscard(OurMistake):
    """There is nothing to pass over."""


@dataclass(frozen=True, slots=True)
class GroupState:
    """How far a group is with a call."""

    group: str
    cursor: int
    #: The reason while the call is parked.
    parked: str | None
    wake_at: datetime | None
    worker: str | None
    #: It was woken or unparked, and nobody has looked at it since.
    due: bool
    #: A person has let the rest of the call go: the group is given none of its events any more.
    discarded: bool


class Admin:
    """Operations on a log by hand. Every method raises ``LogUnavailable`` while Redis cannot be asked."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._runner = ScriptRunner(redis)

    async def groups(self) -> Sequence[str]:
        """The groups that read this log."""
        try:
            found: Any = await self._redis.xinfo_groups(keys.bell(keys.TAGS[0]))
        except RedisError as error:
            if "no such key" in str(error):
                return []
            raise translated(error) from error
        except OSError as error:
            raise translated(error) from error
        return sorted(group["name"].decode() for group in found)

    async def state(self, group: str, call: CallId) -> GroupState:
        """A group's cursor on a call and what stands in its way."""
        fields = ["cur", "parked", "wk", "ow", "due", "over"]
        values = await asked(self._redis.hmget(keys.group_keys(group, call).state, fields))
        cursor, parked, wake, owner, due, over = values
        return GroupState(
            group=group,
            cursor=int(cursor or 0),
            parked=None if parked is None else parked.decode(),
            wake_at=None if wake is None else datetime.fromtimestamp(int(wake) / 1000, UTC),
            worker=None if owner is None else owner.decode(),
            due=due is not None,
            discarded=over is not None,
        )

    async def set_aside(self, group: str, *, limit: int = 100) -> Sequence[DeadLetter]:
        """What still counts of a group's dead letters, see ``DeadLetters.open``."""
        return await DeadLetters(self._redis).open(group, limit=limit)

    async def tail(self, call: CallId) -> int:
        """How many events a call has."""
        return int(await asked(self._redis.xlen(keys.call_keys(call).stream)))

    async def receipts(self, group: str, call: CallId) -> Sequence[Receipt]:
        """What a group did about a call, oldest first."""
        entries = await asked(self._redis.xrange(keys.group_keys(group, call).receipts))
        return [read_receipt(fields[b"r"]) for _, fields in entries]

    async def unpark(self, group: str, call: CallId, *, who: str = NOBODY, why: str = "") -> bool:
        """Resume a parked call at its cursor, and note who wanted it and why; false if it was not parked."""
        at = keys.group_keys(group, call)
        return bool(await self._runner.run("unpark", (at.state, at.bell, at.dead_letters), (call, who, why)))

    async def discard(
        self, group: str, call: CallId, *, at_event: int, what: Literal["one", "rest"], who: str, why: str
    ) -> int:
        """Let a group go on without what it cannot get past. The log keeps all of it; who and why stand in a receipt.

        Args:
            group: whose.
            call: a call that it has parked.
            at_event: where it is parked, as whoever decides has seen it.
            what: pass over this ``one`` event and go on behind it, or over the ``rest`` of the call, come what may.
            who: the person that decides.
            why: for the next one who asks. No personal data of the call.

        Returns:
            The group's cursor after it.

        Raises:
            CannotDiscard: nothing was changed; the text says why.
        """
        at = keys.group_keys(group, call)
        detail = {"who": who, "reason": why, "what": what}
        receipt = write_receipt(Receipt(seq=at_event, outcome=DISCARDED, detail=detail))
        answer, *more = await self._runner.run(
            "discard",
            (at.stream, at.state, at.bell, at.receipts, at.dead_letters),
            (call, at_event, what, receipt, who, why),
        )
        match answer:
            case 1:
                return int(more[0])
            case 0:
                raise CannotDiscard(f"group {group} has not parked {call}; only what is parked can be discarded")
            case -1:
                raise CannotDiscard(
                    f"group {group} has {call} parked at event {more[0]} now, not {at_event}; look again"
                )
            case _:
                raise CannotDiscard(
                    f"group {group} has {call} parked behind the last of its {more[0]} events, so no event stands "
                    "in the way; requeue it, or discard the rest"
                )

    async def retire(self, call: CallId, *, groups: Sequence[str], grace_s: int) -> Literal["OK", "OPEN", "BEHIND"]:
        """Let Redis forget a call ``grace_s`` seconds from now, if it has ended and every group has finished with it.

        Only for calls that are kept elsewhere: after this nothing of them is left here but that the id is taken. For
        thirty days whatever comes late for such a call is refused (``CallClosed``); it can never begin anew at 1.
        May be repeated: the second time changes nothing.
        """
        at = keys.call_keys(call)
        theirs = [keys.group_keys(group, call) for group in groups]
        answer: bytes = await self._runner.run(
            "retire",
            (
                at.stream,
                at.dedupe,
                at.live,
                at.gone,
                at.worker,
                *(g.state for g in theirs),
                *(g.receipts for g in theirs),
            ),
            (call, grace_s, len(groups), _NAME_KEPT_S),
        )
        match answer:
            case b"OK":
                return "OK"
            case b"OPEN":
                return "OPEN"
            case _:
                return "BEHIND"
