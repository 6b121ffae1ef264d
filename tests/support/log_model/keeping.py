"""What keeps the log going and small: timers, the sweeper, trimming, unparking, retirement."""

from typing import Any, Literal

from call_events import keys
from call_events.admin import CannotDiscard
from call_events.errors import CallClosed
from call_events.ids import CallId
from call_events.testing import ended, speaking, started
from support.log_model.consuming import Consuming
from support.log_model.stage import LEASE_MS, PRODUCERS

GRACE_S = 3600


class Keeping(Consuming):
    """Upkeep, operators and the archiver."""

    async def pass_time(self) -> None:
        self.now_ms += self.dice.choice((1, 100, LEASE_MS + 1, 6000))
        await self.set_clock()

    async def wake(self, group: str | None = None, call: CallId | None = None) -> None:
        worker, call = self.any_worker(group), call or self.any_call()
        self.calls[call].groups[worker.group].owed |= await worker.claims.wake(call)

    async def sweep(self) -> None:
        await self.any_worker().claims.ring(self.any_call())

    async def unpark(self, group: str | None = None, call: CallId | None = None) -> None:
        group, call = group or self.dice.choice(self.groups), call or self.any_call()
        work = self.calls[call].groups[group]
        assert await self.admin.unpark(group, call) == work.parked, "unpark knows what was parked"
        work.owed |= work.parked  # whoever gave it back wants an answer, also if nothing is new
        work.parked = False

    async def discard(self) -> None:
        """A person passes over the event at which a call is parked, or over all the rest of it."""
        group, call = self.dice.choice(self.groups), self.any_call()
        model = self.calls[call]
        what: Literal["one", "rest"] = self.dice.choice(("one", "one", "rest"))
        work = model.groups[group]
        at = int((await self.state(group, call)).get(b"cur", 0)) + 1
        may = work.parked and (what == "rest" or at <= model.tail)
        try:
            await self.admin.discard(group, call, at_event=at, what=what, who="a person", why="broken")
        except CannotDiscard:
            assert not may, "I9: what is parked could not be passed over"
            return
        assert may, "I9: what is not parked was passed over"
        work.parked = False
        if what == "rest":
            work.over = at
        else:
            work.owed = True
            work.handled = max(work.handled, at)
            self.ever_given[group, call].add(model.accepted[at - 1].id)

    async def trim(self) -> None:
        """As ``Upkeep.trim`` does, and to the very entry."""
        keep_from = min([await self.needed(group) for group in await self.redis.xinfo_groups(self.bell)], key=id_of)
        await self.redis.xtrim(self.bell, minid=keep_from, approximate=False)

    async def needed(self, group: Any) -> bytes:
        """The oldest doorbell that a group has not finished with, or the last it was given."""
        if not group["pending"]:
            return bytes(group["last-delivered-id"])
        return bytes((await self.redis.xpending(self.bell, group["name"]))["min"])

    async def retire(self, call: CallId | None = None) -> bool:
        call = call or self.any_call()
        model = self.calls[call]
        states = [await self.state(group, call) for group in self.groups]
        may = model.retired or (
            model.closed
            and all(
                int(state.get(b"cur", 0)) == model.tail and not state.keys() & {b"ow", b"parked", b"due", b"wk"}
                for state in states
            )
        )
        answer = await self.admin.retire(call, groups=self.groups, grace_s=GRACE_S)
        assert (answer == "OK") == may, f"I10: retire said {answer}"
        model.retired = may
        return may

    async def expire(self, call: CallId | None = None) -> None:
        """The grace of a retired call has passed. Redis keeps real time, so what it would delete is deleted here."""
        call = call or self.any_call()
        model = self.calls[call]
        if not model.retired or model.expired:
            return
        for key in self.keys_of(call):
            if await self.redis.ttl(key) > 0:
                await self.redis.delete(key)
        model.expired = True

    async def late(self, call: CallId) -> None:
        """I10: nothing that comes late for a retired call is taken, least of all what would open it."""
        for event in (started(call), speaking(call, "late"), ended(call)):
            one = event.model_copy(update={"producer": PRODUCERS[0], "id": f"{event.id}-late"})
            try:
                await self.log.append(one)
            except CallClosed:
                continue
            raise AssertionError(f"I10: {event.type} was taken by a retired call")

    def keys_of(self, call: CallId) -> list[str]:
        at = keys.call_keys(call)
        theirs = [keys.group_keys(group, call) for group in self.groups]
        return [at.stream, at.dedupe, at.worker, *(g.state for g in theirs), *(g.receipts for g in theirs)]


def id_of(raw: bytes) -> tuple[int, int]:
    milliseconds, _, count = raw.partition(b"-")
    return int(milliseconds), int(count)
