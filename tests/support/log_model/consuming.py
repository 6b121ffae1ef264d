"""What consumers do: read doorbells, claim, handle, commit, park, renew, release, pause and die."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from call_events.claims import Claim, FencedError, Refusal
from call_events.entries import Entry, seq_of
from call_events.held import Held
from call_events.ids import CallId
from call_events.ports import AnyEvent, Receipt
from support.log_model.producing import Producing
from support.log_model.stage import LEASE_MS, Remembered, Worker


class Consuming(Producing):
    """The draining side."""

    async def read(self, worker: Worker | None = None) -> None:
        worker = worker or self.any_worker()
        answer: Any = await self.redis.xreadgroup(
            worker.group, worker.name, {self.bell: ">"}, count=self.dice.randint(1, 2)
        )
        for entries in answer.values():
            worker.tokens += [(token.decode(), CallId(f[b"c"].decode())) for token, f in entries[0]]

    async def reclaim(self) -> None:
        """Take any pending token, also one whose holder lives."""
        worker = self.any_worker()
        pending: Any = await self.redis.xpending_range(self.bell, worker.group, "-", "+", 20)
        if pending:
            await self.take(worker, self.dice.choice(pending)["message_id"])

    async def take(self, worker: Worker, token: bytes) -> None:
        entries: Any = await self.redis.xclaim(self.bell, worker.group, worker.name, 0, [token])
        for entry, fields in entries:
            worker.tokens.append((entry.decode(), CallId(fields[b"c"].decode())))

    async def claim(self, worker: Worker | None = None, *, newest: bool = False) -> None:
        worker = worker or self.any_worker()
        if not worker.tokens:
            return
        token, call = worker.tokens.pop(-1 if newest else self.dice.randrange(len(worker.tokens)))
        if call in worker.held:
            if token != worker.held[call].token:
                worker.held[call].later[token] = None
            return
        later = dict.fromkeys(other for other, its in worker.tokens if its == call and self.dice.random() < 0.7)
        shown = set(later)
        claim = await worker.claims.claim(call, token, later)
        worker.tokens = [one for one in worker.tokens if one[0] not in shown or one[0] in later]
        model = self.calls[call].groups[worker.group]
        if not isinstance(claim, Claim):
            assert claim is not Refusal.NOTHING_NEW or not model.owed, "I7: a wake rang and nobody is asked"
            return
        assert not model.parked, "I9: a parked call was given to somebody"
        assert claim.epoch > model.epoch, "I8: a claim has a higher epoch than every claim before"
        self.claims += 1
        model.epoch, model.claim, model.steps = claim.epoch, self.claims, 0
        if self.dice.random() < 0.05:
            return  # the answer was lost
        worker.held[call] = Held(call, token, epoch=claim.epoch, cursor=claim.cursor)
        worker.claim[call] = self.claims
        self.given(worker, call, claim.cursor, claim.entries)
        worker.known[call] = await worker.views.load(call, claim)
        await self.shown(worker, call)

    async def commit_unanswered(self) -> None:
        """The server does it and the worker never hears of it."""
        await self.commit(answer_lost=True)

    async def commit(self, worker: Worker | None = None, *, finish: bool = False, answer_lost: bool = False) -> None:
        picked = self.pick(worker)
        if picked is None:
            return
        worker, held = picked
        call, seen = held.call, worker.seen[held.call]
        to = seen if finish or self.dice.random() < self.finishes else self.dice.randint(held.cursor, seen)
        wake = not finish and (to < seen if to == held.cursor else self.dice.random() < 0.3)
        wake_at = datetime.fromtimestamp((self.now_ms + self.dice.choice((0, 500, 5000))) / 1000, UTC) if wake else None
        told = seen if wake or self.dice.random() < 0.5 else to  # what comes after it is given next
        receipts = [Receipt(n, self.dice.choice(("delivered", "refused")), {}) for n in range(held.cursor + 1, to + 1)]
        worker.known[call].memory["handler"].receipts += receipts
        sent = replace(held, later=dict(held.later)) if answer_lost else held
        attempts = self.dice.choice((0, 2))
        model = self.calls[call].groups[worker.group]
        mine = (worker.claim[call], held.step) == (model.claim, model.steps)
        try:
            more = await worker.claims.commit(
                sent, to=to, seen=told, wake_at=wake_at, receipts=receipts, attempts=attempts
            )
        except FencedError:
            assert self.lenient or not mine, "I8: fenced for no reason"
            self.drop(worker, call)
            return
        self.allowed(worker.claim[call], held.step - (0 if answer_lost else 1), model, "a commit")
        model.steps += 1
        model.owed = False
        assert more is not None or wake or to == seen, "I6: let go of a call with unfinished events and no wake"
        if answer_lost:
            self.drop(worker, call)
            return
        worker.known[call].committed(held, receipts)
        if more is None:
            self.drop(worker, call)
        else:
            self.given(worker, call, told, more)
            worker.known[call].extend(more)
            await self.shown(worker, call)

    async def park(self) -> None:
        picked = self.pick(None)
        if picked is None:
            return
        worker, held = picked
        model = self.calls[held.call].groups[worker.group]
        try:
            await worker.claims.park(held, to=held.cursor, reason="broken")
        except FencedError:
            pass
        else:
            self.allowed(worker.claim[held.call], held.step, model, "a park")
            model.parked, model.owed = True, False
        self.drop(worker, held.call)

    async def renew(self) -> None:
        picked = self.pick(None)
        if picked is None:
            return
        worker, held = picked
        model = self.calls[held.call].groups[worker.group]
        if not await worker.claims.renew(held):
            self.drop(worker, held.call)
        elif worker.claim[held.call] != model.claim:
            assert self.lenient, "I8: a lease that another has was renewed"
            self.repeats += 1

    async def pause(self) -> None:
        """A holder stands still for longer than its lease, another worker takes its call over, and then it goes on."""
        picked = self.pick(None)
        if picked is not None:
            holder, held = picked
            self.now_ms += LEASE_MS + 1
            await self.set_clock()
            other = self.any_worker(holder.group)
            await self.take(other, held.token.encode())
            await self.claim(other)

    async def rival(self) -> None:
        """Another worker is given the doorbells of a call that somebody believes to hold, and claims it."""
        picked = self.pick(None)
        if picked is not None:
            holder, held = picked
            other = self.any_worker(holder.group)
            await self.read(other)
            other.tokens.sort(key=lambda one: one[1] != held.call, reverse=True)
            await self.claim(other, newest=True)

    async def release(self) -> None:
        picked = self.pick(None)
        if picked is None:
            return
        worker, held = picked
        model = self.calls[held.call].groups[worker.group]
        if await worker.claims.release(held) and worker.claim[held.call] != model.claim:
            assert self.lenient, "I8: somebody else's lease was ended"
            self.repeats += 1
        self.drop(worker, held.call)

    async def stop(self) -> None:
        """A worker stops, as ``Upkeep.hand_back`` does; handlers that would not end still believe in their calls."""
        worker = self.any_worker()
        pending: Any = await self.redis.xpending_range(self.bell, worker.group, "-", "+", 20, worker.name)
        for token in (one["message_id"] for one in pending):
            entries: Any = await self.redis.xrange(self.bell, token, token)
            for _, fields in entries:
                await worker.claims.pass_on(CallId(fields[b"c"].decode()), token.decode())
        worker.tokens.clear()

    async def crash(self) -> None:
        worker = self.any_worker()
        for mine in (worker.tokens, worker.held, worker.claim, worker.seen, worker.known):
            mine.clear()
        worker.views = self.views(worker.claims)

    async def shown(self, worker: Worker, call: CallId) -> None:
        """I16: a view is what a fresh read of the whole call gives, and what was remembered follows from it."""
        view = worker.known[call].view(worker.held[call])
        written = list(await self.admin.receipts(worker.group, call))
        there = self.calls[call].accepted
        assert len(view.events) >= worker.seen[call], "I16: a view shows what was claimed"
        assert [one.id for one in view.events] == [one.id for one in there[: len(view.events)]], (
            "I16: a view shows the log"
        )
        assert list(view.receipts) == written, "I16: a view shows every receipt once"
        remembered = view.memory.setdefault("handler", Remembered())
        ids = [event.id for event in view.events]
        assert remembered.events == ids[: len(remembered.events)], "I16: events are remembered that are in no view"
        assert remembered.receipts == written[: len(remembered.receipts)], "I16: a receipt survived its failed commit"
        remembered.events, remembered.receipts = ids, written

    def given(self, worker: Worker, call: CallId, after: int, entries: list[Entry]) -> None:
        """Events were handed to a handler.

        I5: the first time of each follows the first time of the one before. After a fail-over that is so in the log as
        it is now, from the cursor with which it came back; and of each producer's events, over all that ever was, the
        first time of each follows the first time of the one before.
        """
        model = self.calls[call]
        work = model.groups[worker.group]
        places = [seq_of(entry_id) for entry_id, _ in entries]
        assert places == list(range(after + 1, after + 1 + len(places))), "I5: events come in order, without gaps"
        for place in places:
            assert place <= work.handled + 1, f"I5: {place} is handled before {work.handled + 1}"
            work.handled = max(work.handled, place)
            self.in_its_order(worker.group, call, model.accepted[place - 1])
        worker.seen[call] = after + len(places)

    def in_its_order(self, group: str, call: CallId, event: AnyEvent) -> None:
        model, given, producer = self.calls[call], self.ever_given[group, call], self.producers[event.producer]
        stored = {one.event.id for one in producer.journal[call]}
        for before in producer.sent[call][: producer.sent[call].index(event.id)]:
            place = model.places.get(before)
            if before in stored and place and model.accepted[place - 1].producer == producer.name:
                assert before in given, f"I5: an event of {producer.name} is handled before one it had sent earlier"
        given.add(event.id)

    def pick(self, worker: Worker | None) -> tuple[Worker, Held] | None:
        holders = [one for one in ([worker] if worker else self.workers) if one.held]
        if not holders:
            return None
        one = self.dice.choice(holders)
        return one, one.held[self.dice.choice(list(one.held))]

    def drop(self, worker: Worker, call: CallId) -> None:
        held = worker.held.pop(call)
        worker.tokens += [(token, call) for token in held.later]
        worker.views.keep(worker.known.pop(call))
        del worker.seen[call], worker.claim[call]
