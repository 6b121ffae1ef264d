"""Random schedules against the scripts on a real server, with every promise of the log checked after every step.

The clock of the scripts is ours: the line that asks for TIME reads a hash instead. The model knows what was accepted
and who may commit; everything else is read back from the server. One seed is one schedule.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from redis.asyncio import Redis

from call_events import keys, scripts
from call_events.admin import Admin
from call_events.claims import Claim, FencedError, GroupClaims, Held, Refusal, read_receipt
from call_events.entries import Entry
from call_events.errors import AppendRefused, CallClosed, CallUnknown, IdTaken, StaleOwner, TailMoved
from call_events.ids import CallId
from call_events.ports import AnyEvent, Receipt
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.testing import ManualClock, ended, speaking, started
from call_events.views import Known, Views

GROUP = "g"
LEASE_MS = 1000
TAG = keys.TAGS[0]
#: Three calls of one shard, so that they share a doorbell stream and a wake set.
CALLS = [call for call in (CallId(f"call-{n}") for n in range(200)) if keys.tag_of(call) == TAG][:3]

#: What a worker keeps of calls: nothing, the bytes of a few events, what was worked out from a few, all.
MEMORY_BYTES = (0, 5_000, 12_000, 10**7)

Mutate = Callable[[str, str], str]


def loader(mutate: Mutate | None = None) -> Callable[[str], scripts.Script]:
    """The shipped scripts with our clock, and with a fault of the test's choice."""

    def load(name: str) -> scripts.Script:
        text = scripts.load(name).text
        if mutate is not None:
            text = mutate(name, text)
        return scripts.make(name, text.replace("redis.call('TIME')", "redis.call('HMGET', 'test:clock', 's', 'us')"))

    return load


@dataclass
class Worker:
    """One process: the tokens it sits on and the calls it believes to hold."""

    name: str
    claims: GroupClaims
    views: Views
    tokens: list[tuple[str, CallId]] = field(default_factory=list)
    held: dict[CallId, Held] = field(default_factory=dict)
    seen: dict[CallId, int] = field(default_factory=dict)
    known: dict[CallId, Known] = field(default_factory=dict)


@dataclass
class CallModel:
    """What must be true of one call."""

    accepted: list[AnyEvent] = field(default_factory=list)
    closed: bool = False
    owner_epoch: int = 0
    owner: str = "nobody"
    #: Epoch of the last claim that was granted.
    epoch: int = 0
    #: Highest event any worker was given first, and with which epoch events were handled.
    handled: int = 0
    parked: bool = False
    #: A wake has rung and nobody was asked since.
    owed: bool = False


@dataclass
class Remembered:
    """What a handler keeps in a view's memory: a fold of what it was shown, and of receipts it is about to write."""

    events: list[str] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)


class Schedule:
    """One seeded run."""

    #: Drawn from, step by step.
    operations: ClassVar[Sequence[Callable[[Any], Awaitable[None]]]]

    def __init__(self, redis: Redis, seed: int, *, mutate: Mutate | None = None) -> None:
        self.redis = redis
        self.dice = random.Random(seed)
        self.now_ms = 1_700_000_000_000
        self.clock = ManualClock()
        self.calls = {call: CallModel() for call in CALLS}
        self.serial = 0
        runner = ScriptRunner(redis, load=loader(mutate))
        self.log = RedisEventLog(redis, runner=runner, deadline_s=0)
        self.runner = runner
        self.workers = [self.worker(f"w{n}") for n in range(3)]
        self.bell = keys.bell(TAG)

    def worker(self, name: str) -> Worker:
        claims = GroupClaims(self.runner, group=GROUP, worker=name, lease_ms=LEASE_MS, max_events=3)
        return Worker(name, claims, self.views(claims))

    def views(self, claims: GroupClaims) -> Views:
        return Views(claims, clock=self.clock, max_bytes=self.dice.choice(MEMORY_BYTES), dice=self.dice)

    async def start(self) -> None:
        await self.redis.flushdb()
        await self.redis.xgroup_create(self.bell, GROUP, id="0", mkstream=True)
        await self.set_clock()

    async def run(self, steps: int) -> None:
        """Play the schedule with a check after every step; then let all come to rest and check that nothing is left."""
        await self.start()
        for _ in range(steps):
            await self.dice.choice(self.operations)(self)
            await self.check()
        await self.come_to_rest()

    # -- operations ---------------------------------------------------------------------------------------------------

    async def append(self) -> None:
        call = self.dice.choice(CALLS)
        model = self.calls[call]
        self.serial += 1
        roll = self.dice.random()
        event = (
            started(call)
            if roll < (0.05 if model.accepted else 0.8)
            else ended(call)
            if roll < 0.18
            else speaking(call, f"u{self.serial}")
        )
        if model.accepted and self.dice.random() < 0.25:
            event = self.dice.choice(model.accepted)
        expected = self.dice.choice((len(model.accepted), 0, 99)) if self.dice.random() < 0.15 else None
        epoch = self.dice.choice((model.owner_epoch, model.owner_epoch - 1)) if self.dice.random() < 0.3 else None
        event = (
            event.model_copy(update={"producer": model.owner})
            if epoch is not None and event not in model.accepted
            else event
        )
        known = next((n for n, one in enumerate(model.accepted, 1) if one.id == event.id), None)
        tail = len(model.accepted)
        try:
            answer = await self.log.append(event, expected_tail=expected, epoch=epoch)
        except AppendRefused as refusal:
            refused: type[AppendRefused] | None = type(refusal)
        else:
            refused = None
        if refused is IdTaken:
            assert known is not None, "I3: an id that nobody has taken"
            assert model.accepted[known - 1] != event, "I3: a repeat must be a duplicate"
            return
        if refused is not None:
            want: type[AppendRefused] = (
                CallClosed
                if model.closed
                else CallUnknown
                if tail == 0 and event.type != "call.started.v1"
                else StaleOwner
                if epoch is not None and (epoch != model.owner_epoch or epoch < 1)
                else TailMoved
            )
            assert known is None, "I3: a repeat must be a duplicate"
            assert refused is want, f"I3: {refused.__name__} instead of {want.__name__}"
            assert want is not TailMoved or expected not in {None, tail}, "I3: refused for no reason"
            return
        if known is not None:
            assert (answer.duplicate, answer.seq) == (True, known), "I3: a duplicate is told its first place"
            return
        assert epoch is None or epoch == model.owner_epoch > 0, "I15: an append of an old epoch was accepted"
        assert not model.closed, "I3: appended after the end"
        assert expected in {None, tail}, "I3: an unexpected tail was accepted"
        assert (answer.duplicate, answer.seq) == (False, tail + 1), "I1: numbers follow each other"
        model.accepted.append(event)
        model.closed = event.type == "call.ended.v1"

    async def own(self) -> None:
        call = self.dice.choice(CALLS)
        model = self.calls[call]
        renew = self.dice.random() < 0.3 and model.owner_epoch > 0
        name = model.owner if renew else self.dice.choice(self.workers).name
        try:
            right = await self.log.own(call, name, lease_ms=LEASE_MS, epoch=model.owner_epoch if renew else None)
        except StaleOwner:
            assert not renew, "I15: the owner could not renew"
            return
        assert right.epoch == model.owner_epoch + (0 if renew else 1), "I15: ownership epochs grow one by one"
        model.owner_epoch, model.owner = right.epoch, name

    async def read(self) -> None:
        worker = self.dice.choice(self.workers)
        answer: Any = await self.redis.xreadgroup(GROUP, worker.name, {self.bell: ">"}, count=self.dice.randint(1, 2))
        for entries in answer.values():
            worker.tokens += [(token.decode(), CallId(f[b"c"].decode())) for token, f in entries[0]]

    async def reclaim(self) -> None:
        """Take any pending token, also one whose holder lives."""
        pending: Any = await self.redis.xpending_range(self.bell, GROUP, "-", "+", 20)
        if pending:
            await self.take(self.dice.choice(self.workers), self.dice.choice(pending)["message_id"])

    async def take(self, worker: Worker, token: bytes) -> None:
        entries: Any = await self.redis.xclaim(self.bell, GROUP, worker.name, 0, [token])
        for entry, fields in entries:
            worker.tokens.append((entry.decode(), CallId(fields[b"c"].decode())))

    async def claim(self, worker: Worker | None = None) -> None:
        worker = worker or self.dice.choice(self.workers)
        if not worker.tokens:
            return
        token, call = worker.tokens.pop(self.dice.randrange(len(worker.tokens)))
        if call in worker.held:
            if token != worker.held[call].token:
                worker.held[call].later[token] = None
            return
        claim = await worker.claims.claim(call, token)
        model = self.calls[call]
        if not isinstance(claim, Claim):
            assert claim is not Refusal.NOTHING_NEW or not model.owed, "I7: a wake rang and nobody is asked"
            return
        assert claim.epoch > model.epoch, "I8: a claim has a higher epoch than every claim before"
        model.epoch = claim.epoch
        if self.dice.random() < 0.05:
            return  # the answer was lost
        worker.held[call] = Held(call, token, epoch=claim.epoch, cursor=claim.cursor)
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
        to = seen if finish else self.dice.randint(held.cursor, seen)
        wake = to < seen if to == held.cursor else self.dice.random() < 0.3
        if finish:
            wake = False
        wake_at = datetime.fromtimestamp((self.now_ms + self.dice.choice((0, 500, 5000))) / 1000, UTC) if wake else None
        told = seen if wake or self.dice.random() < 0.5 else to  # what comes after it is given next
        receipts = [Receipt(n, self.dice.choice(("delivered", "refused")), {}) for n in range(held.cursor + 1, to + 1)]
        attempts = self.dice.choice((0, 2))
        worker.known[call].memory["handler"].receipts += receipts
        sent = replace(held, later=dict(held.later)) if answer_lost else held
        try:
            more = await worker.claims.commit(
                sent, to=to, seen=told, wake_at=wake_at, receipts=receipts, attempts=attempts
            )
        except FencedError:
            assert held.epoch != self.calls[call].epoch, "fenced for no reason"
            self.drop(worker, call)
            return
        assert held.epoch == self.calls[call].epoch, "I8: a commit of an old epoch was accepted"
        self.calls[call].owed = False
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
        try:
            await worker.claims.park(held, to=held.cursor, reason="broken")
        except FencedError:
            pass
        else:
            assert held.epoch == self.calls[held.call].epoch, "I8: an old epoch parked the call"
            self.calls[held.call].parked, self.calls[held.call].owed = True, False
        self.drop(worker, held.call)

    async def unpark(self, call: CallId | None = None) -> None:
        call = call or self.dice.choice(CALLS)
        at = keys.group_keys(GROUP, call)
        done = await self.runner.run("unpark", (at.state, at.bell), (call,))
        assert bool(done) == self.calls[call].parked, "unpark knows what was parked"
        self.calls[call].parked = False

    async def renew(self) -> None:
        picked = self.pick(None)
        if picked is not None:
            worker, held = picked
            if not await worker.claims.renew(held):
                self.drop(worker, held.call)

    async def pause(self) -> None:
        """A holder stands still for longer than its lease, another worker takes its call over, and then it goes on."""
        picked = self.pick(None)
        if picked is not None:
            _, held = picked
            self.now_ms += LEASE_MS + 1
            await self.set_clock()
            other = self.dice.choice(self.workers)
            await self.take(other, held.token.encode())
            await self.claim(other)

    async def release(self) -> None:
        picked = self.pick(None)
        if picked is not None:
            worker, held = picked
            await worker.claims.release(held)
            self.drop(worker, held.call)

    async def crash(self) -> None:
        worker = self.dice.choice(self.workers)
        worker.tokens.clear()
        worker.held.clear()
        worker.seen.clear()
        worker.known.clear()
        worker.views = self.views(worker.claims)

    async def pass_time(self) -> None:
        self.now_ms += self.dice.choice((1, 100, LEASE_MS + 1, 6000))
        await self.set_clock()

    async def wake(self) -> None:
        call = self.dice.choice(CALLS)
        self.calls[call].owed |= await self.workers[0].claims.wake(call)

    async def sweep(self) -> None:
        await self.workers[0].claims.ring(self.dice.choice(CALLS))

    # -- promises -----------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Every invariant that must hold after every step."""
        at = {call: (keys.call_keys(call), keys.group_keys(GROUP, call)) for call in CALLS}
        async with self.redis.pipeline(transaction=False) as pipe:
            for call_keys, group in at.values():
                pipe.xrange(call_keys.stream)
                pipe.hgetall(call_keys.dedupe)
                pipe.hgetall(group.state)
                pipe.xrange(group.receipts)
            pipe.zrange(keys.wake(TAG, GROUP), 0, -1)
            pipe.xpending_range(self.bell, GROUP, "-", "+", 1000)
            pipe.xrange(self.bell)
            pipe.xinfo_groups(self.bell)
            *rows, waking, pending, doorbells, groups = await pipe.execute()
        last = groups[0]["last-delivered-id"]
        waits_for = {entry["message_id"] for entry in pending}
        ringing = {f[b"c"].decode() for token, f in doorbells if token in waits_for or _id(token) > _id(last)}
        for number, (call, model) in enumerate(self.calls.items()):
            stream, dedupe, state, receipts = rows[4 * number : 4 * number + 4]
            tail = len(model.accepted)
            assert [entry[0] for entry in stream] == [b"0-%d" % n for n in range(1, tail + 1)], "I1: 0-1 … 0-N"
            assert tail == len(dedupe) - (b"#closed" in dedupe), "I2: as many keys as events"
            assert [int(dedupe[one.id.encode()]) for one in model.accepted] == list(range(1, tail + 1)), (
                "I2: keys → places"
            )
            cursor = int(state.get(b"cur", 0))
            assert cursor <= tail, "I4: the cursor is not beyond the end"
            assert [read_receipt(f[b"r"]).seq for _, f in receipts] == list(range(1, cursor + 1)), (
                "I4: commits are 1 … cur"
            )
            parked = b"parked" in state
            assert parked == model.parked
            rings = call in ringing
            woken = b"wk" in state and call.encode() in waking
            assert cursor >= tail or parked or rings or woken, f"I6: {call} is forgotten at {cursor} of {tail}"
            assert b"due" not in state or parked or rings, "I13: a due call has a doorbell"
            assert (b"wk" in state) == (call.encode() in waking), "I14: a stored wake is in the wake set"

    async def come_to_rest(self) -> None:
        """I7: one living worker, nothing new, every timer due: all cursors reach the end."""
        last = self.worker("last")
        self.workers = [last]
        for call, model in self.calls.items():
            if model.parked:
                await self.unpark(call)
        for _ in range(200):
            self.now_ms += 10_000
            await self.set_clock()
            for call in CALLS:
                self.calls[call].owed |= await last.claims.wake(call)
            await self.read()
            pending: Any = await self.redis.xpending_range(self.bell, GROUP, "-", "+", 1)
            if pending:
                await self.take(last, pending[0]["message_id"])
            while last.tokens:
                await self.claim(last)
                while last.held:
                    await self.commit(last, finish=True)
            await self.check()
            if not await self.unfinished():
                return
        raise AssertionError(f"I7: never finished: {await self.unfinished()}")

    async def unfinished(self) -> list[CallId]:
        left: Any = await self.redis.xinfo_groups(self.bell)
        behind = []
        for call, model in self.calls.items():
            state: Any = await self.redis.hgetall(keys.group_keys(GROUP, call).state)
            if int(state.get(b"cur", 0)) < len(model.accepted) or b"due" in state or b"wk" in state:
                behind.append(call)
        return behind or ([CALLS[0]] if left[0]["pending"] else [])

    async def shown(self, worker: Worker, call: CallId) -> None:
        """I16: a view is what a fresh read of the whole call gives, and what was remembered follows from it."""
        view = worker.known[call].view(worker.held[call])
        written = list(await Admin(self.redis).receipts(GROUP, call))
        there = await self.log.read(call)
        assert len(view.events) >= worker.seen[call], "I16: a view shows what was claimed"
        assert list(view.events) == list(there[: len(view.events)]), "I16: a view shows the log"
        assert list(view.receipts) == written, "I16: a view shows every receipt once"
        remembered = view.memory.setdefault("handler", Remembered())
        ids = [event.id for event in view.events]
        assert remembered.events == ids[: len(remembered.events)], "I16: events are remembered that are in no view"
        assert remembered.receipts == written[: len(remembered.receipts)], "I16: a receipt survived its failed commit"
        remembered.events, remembered.receipts = ids, written

    def given(self, worker: Worker, call: CallId, after: int, entries: list[Entry]) -> None:
        """Events were handed to a handler. I5: the first time of each follows the first time of the one before."""
        model = self.calls[call]
        places = [int(entry_id[2:]) for entry_id, _ in entries]
        assert places == list(range(after + 1, after + 1 + len(places))), "I5: events come in order, without gaps"
        for place in places:
            assert place <= model.handled + 1, f"I5: {place} is handled before {model.handled + 1}"
            model.handled = max(model.handled, place)
        worker.seen[call] = after + len(places)

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
        del worker.seen[call]

    async def set_clock(self) -> None:
        await self.redis.hset("test:clock", mapping={"s": self.now_ms // 1000, "us": self.now_ms % 1000 * 1000})


def _id(raw: bytes) -> tuple[int, int]:
    milliseconds, _, count = raw.partition(b"-")
    return int(milliseconds), int(count)


_S = Schedule
Schedule.operations = (
    *(_S.append,) * 6,
    *(_S.read, _S.claim) * 5,
    *(_S.commit,) * 4,
    *(_S.pause, _S.pass_time, _S.wake, _S.crash) * 2,
    _S.commit_unanswered,
    *(_S.own, _S.park, _S.unpark, _S.release, _S.sweep, _S.renew, _S.reclaim),
)
