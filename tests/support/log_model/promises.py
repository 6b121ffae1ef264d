"""What must hold after every step, and at the end. The numbers are those of ``call_events.protocol``."""

from typing import Any

from call_events import keys
from call_events.claims import read_receipt
from support.log_model.failing import Failing
from support.log_model.keeping import id_of
from support.log_model.stage import TAG, CallModel, GroupModel


class Promises(Failing):
    """The judge."""

    async def check(self) -> None:
        """Every invariant that must hold after every step."""
        async with self.redis.pipeline(transaction=False) as pipe:
            for call in self.calls:
                at = keys.call_keys(call)
                pipe.xrange(at.stream)
                pipe.hgetall(at.dedupe)
            for call, group, _ in self.works():
                theirs = keys.group_keys(group, call)
                pipe.hgetall(theirs.state)
                pipe.xrange(theirs.receipts)
            for group in self.groups:
                pipe.zrange(keys.wake(TAG, group), 0, -1)
                pipe.xpending_range(self.bell, group, "-", "+", 10_000)
            pipe.zrange(keys.live(TAG), 0, -1)
            pipe.zrange(keys.gone(TAG), 0, -1)
            pipe.xrange(self.bell)
            pipe.xinfo_groups(self.bell)
            rows: Any = iter(await pipe.execute())
        for model in self.calls.values():
            check_stream(model, next(rows), next(rows))
        works = [(call, group, work, next(rows), next(rows)) for call, group, work in self.works()]
        hints = {group: (next(rows), next(rows)) for group in self.groups}
        live, gone, doorbells, groups = rows
        for call, model in self.calls.items():
            assert (call.encode() in live) == (model.tail > 0 and not model.retired), "I10: live until it is retired"
            assert (call.encode() in gone) == model.retired, "I10: the name of a retired call stays"
        last = {group["name"].decode(): id_of(group["last-delivered-id"]) for group in groups}
        for call, group, work, state, receipts in works:
            waking, pending = hints[group]
            waits_for = {entry["message_id"] for entry in pending}
            rings = any(
                fields[b"c"] == call.encode() and (token in waits_for or id_of(token) > last[group])
                for token, fields in doorbells
            )
            check_work(self.calls[call], work, state, receipts, rings=rings, waits=call.encode() in waking)

    async def come_to_rest(self) -> None:
        """I7: one living worker a group, nothing new, every timer due: all cursors reach the end, and all is there.

        I12: with every journal replayed no acknowledged event is missing, and each producer's are in its order.
        I10: a call that has ended can be retired, and then never begins anew.
        """
        await self.put_back_all()
        await self.check()
        self.check_journals()
        self.workers = [self.worker(f"last-{group}", group) for group in self.groups]
        for call, group, work in self.works():
            if work.parked:
                await self.unpark(group, call)
        for _ in range(200):
            self.now_ms += 10_000
            await self.set_clock()
            for worker in self.workers:
                for call in self.calls:
                    await self.wake(worker.group, call)
                await self.read(worker)
                pending: Any = await self.redis.xpending_range(self.bell, worker.group, "-", "+", 1)
                if pending:
                    await self.take(worker, pending[0]["message_id"])
                while worker.tokens:
                    await self.claim(worker)
                    while worker.held:
                        await self.commit(worker, finish=True)
            await self.check()
            if not await self.unfinished():
                break
        else:
            raise AssertionError(f"I7: never finished: {await self.unfinished()}")
        await self.trim()
        await self.retire_all()

    async def unfinished(self) -> list[str]:
        left: Any = await self.redis.xinfo_groups(self.bell)
        behind = [f"doorbells of {one['name'].decode()}" for one in left if one["pending"] or one["lag"]]
        for call, group, _ in self.works():
            state = await self.state(group, call)
            model = self.calls[call]
            if not model.expired and (int(state.get(b"cur", 0)) < model.tail or state.keys() & {b"due", b"wk"}):
                behind.append(f"{call} of {group}")
        return behind

    async def retire_all(self) -> None:
        for call, model in self.calls.items():
            if model.closed:
                assert await self.retire(call), "I10: a finished call cannot be retired"
                await self.expire(call)
                await self.late(call)
                await self.check()

    def check_journals(self) -> None:
        for producer in self.producers.values():
            for call, journal in producer.journal.items():
                model = self.calls[call]
                missing = [one.event.type for one in journal if one.event.id not in model.places]
                assert not missing, f"I12: acknowledged and not there: {missing}"
                mine = [one.id for one in model.accepted if one.producer == producer.name]
                order = [one for one in producer.sent[call] if one in mine]
                assert mine == order, f"I12: what {producer.name} sent in order is there in another"


def check_stream(model: CallModel, stream: Any, dedupe: Any) -> None:
    if model.expired:
        assert not stream, "I10: nothing comes into a retired call"
        assert not dedupe, "I10: nothing comes into a retired call"
        return
    assert [entry[0] for entry in stream] == [b"0-%d" % n for n in range(1, model.tail + 1)], "I1: 0-1 … 0-N"
    assert [fields[b"e"] for _, fields in stream] == model.raw, "I2: what was accepted, unchanged"
    closed = {b"#closed": b"%d" % model.tail} if model.closed else {}
    places = {one.encode(): b"%d" % place for one, place in model.places.items()}
    assert dedupe == places | closed, "I2: every id and its place, and whether it is closed"


def check_work(call: CallModel, work: GroupModel, state: Any, receipts: Any, *, rings: bool, waits: bool) -> None:
    if call.expired:
        assert not state, "I10: nothing is left of a retired call"
        assert not receipts, "I10: nothing is left of a retired call"
        return
    cursor = int(state.get(b"cur", 0))
    assert cursor <= call.tail, "I4: the cursor is not beyond the end"
    assert cursor <= work.handled or work.over, "I4: what is finished was given to a handler"
    told = [read_receipt(f[b"r"]).seq for _, f in receipts]
    assert told == list(range(1, (work.over or cursor) + 1)), "I4: commits are 1 … cur"
    assert not work.over or cursor >= work.over - 1, "I4: the cursor is not behind what a person has let go"
    parked = b"parked" in state
    assert parked == work.parked, "I9: parked by a park and by nothing else"
    assert cursor >= call.tail or parked or rings or (b"wk" in state and waits), (
        f"I6: forgotten at {cursor} of {call.tail}"
    )
    assert b"due" not in state or parked or rings, "I13: a due call has a doorbell"
    assert (b"wk" in state) == waits, "I14: a stored wake is in the wake set"
    assert int(state.get(b"ep", 0)) == work.epoch, "I8: the epoch is that of the last claim"
