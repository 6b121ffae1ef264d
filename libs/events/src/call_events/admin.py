"""What operators do to the log: look at dead letters, resume parked calls, let finished calls go."""

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from redis.asyncio import Redis
from redis.exceptions import RedisError

from call_events import keys
from call_events.claims import read_receipt
from call_events.ids import CallId
from call_events.ports import Receipt
from call_events.runner import ScriptRunner, translated

_PAGE = 500
#: A retired call's id stays taken for thirty days: longer than any machine stays away with events of it in its spool
#: (repairs and holidays included), and a set entry of some 100 bytes each, which is 3 MB for 1,000 calls a day.
_NAME_KEPT_S = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Something a group put aside."""

    group: str
    call: CallId
    #: The event it is about.
    seq: int
    kind: Literal["parked", "refused"]
    why: str
    at: datetime


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
        fields = ["cur", "parked", "wk", "ow", "due"]
        values = await _asked(self._redis.hmget(keys.group_keys(group, call).state, fields))
        cursor, parked, wake, owner, due = values
        return GroupState(
            group=group,
            cursor=int(cursor or 0),
            parked=None if parked is None else parked.decode(),
            wake_at=None if wake is None else datetime.fromtimestamp(int(wake) / 1000, UTC),
            worker=None if owner is None else owner.decode(),
            due=due is not None,
        )

    async def set_aside(self, group: str, *, limit: int = 100) -> Sequence[DeadLetter]:
        """What still counts of a group's dead letters, newest first: ``limit`` parked calls and ``limit`` refusals.

        A parked call is told once, with its newest letter, however many others have come since; a refusal counts for
        ever, for nobody can take it back.
        """
        parked: dict[CallId, DeadLetter] = {}
        refused: list[DeadLetter] = []
        for tag in keys.TAGS:
            before, seen = "+", set[CallId]()
            letters_of_shard = keys.dead_letters(tag, group)
            while page := await _asked(self._redis.xrevrange(letters_of_shard, before, "-", count=_PAGE)):
                letters = [_dead_letter(group, entry) for entry in page]
                refused += [letter for letter in letters if letter.kind == "refused"]
                newest = {letter.call: letter for letter in reversed(letters) if letter.kind == "parked"}
                unseen = [call for call in newest if call not in seen]
                seen.update(unseen)
                parked |= {call: newest[call] for call in await self._still_parked(group, unseen)}
                before = f"({page[-1][0].decode()}"
        return _newest([*_newest(parked.values())[:limit], *_newest(refused)[:limit]])

    async def _still_parked(self, group: str, calls: Sequence[CallId]) -> list[CallId]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.hexists(keys.group_keys(group, call).state, "parked")
            answers = await _asked(pipe.execute())
        return [call for call, is_parked in zip(calls, answers, strict=True) if is_parked]

    async def tail(self, call: CallId) -> int:
        """How many events a call has."""
        return int(await _asked(self._redis.xlen(keys.call_keys(call).stream)))

    async def receipts(self, group: str, call: CallId) -> Sequence[Receipt]:
        """What a group did about a call, oldest first."""
        entries = await _asked(self._redis.xrange(keys.group_keys(group, call).receipts))
        return [read_receipt(fields[b"r"]) for _, fields in entries]

    async def unpark(self, group: str, call: CallId) -> bool:
        """Resume a parked call at its cursor; false if it was not parked."""
        at = keys.group_keys(group, call)
        return bool(await self._runner.run("unpark", (at.state, at.bell), (call,)))

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


async def _asked(answer: Awaitable[Any]) -> Any:
    """The answer of Redis; its errors as ours."""
    try:
        return await answer
    except (RedisError, OSError) as error:
        raise translated(error) from error


def _newest(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    return sorted(letters, key=lambda letter: letter.at, reverse=True)


def _dead_letter(group: str, entry: Any) -> DeadLetter:
    entry_id, fields = entry
    return DeadLetter(
        group=group,
        call=CallId(fields[b"c"].decode()),
        seq=int(fields[b"n"]),
        kind="refused" if fields[b"kind"] == b"refused" else "parked",
        why=fields[b"why"].decode(),
        at=datetime.fromtimestamp(int(entry_id.partition(b"-")[0]) / 1000, UTC),
    )
