"""What there is in a schedule, and what must be true of it."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from redis.asyncio import Redis

from call_events import keys, scripts
from call_events.admin import Admin
from call_events.claims import GroupClaims
from call_events.codec import encode
from call_events.held import Held
from call_events.ids import CallId
from call_events.ports import AnyEvent, Receipt
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.testing import ManualClock
from call_events.views import Known, Views

LEASE_MS = 1000
TAG = keys.TAGS[0]
#: Three calls of one shard, so that they share a doorbell stream and a wake set.
CALLS = [call for call in (CallId(f"call-{n}") for n in range(200)) if keys.tag_of(call) == TAG][:3]
#: Where the scripts read the time: in the shard's slot, since a script on a Cluster may read nowhere else.
CLOCK = f"cc:{{{TAG}}}:clock"
GROUPS = ("g", "h", "i")
PRODUCERS = ("worker", "orchestrator")

#: What a worker keeps of calls: nothing, the bytes of a few events, what was worked out from a few, all.
MEMORY_BYTES = (0, 5_000, 12_000, 10**7)

Mutate = Callable[[str, str], str]


def loader(mutate: Mutate | None = None) -> Callable[[str], scripts.Script]:
    """The shipped scripts with our clock, and with a fault of the test's choice."""

    def load(name: str) -> scripts.Script:
        text = scripts.load(name).text
        if mutate is not None:
            text = mutate(name, text)
        return scripts.make(name, text.replace("redis.call('TIME')", f"redis.call('HMGET', '{CLOCK}', 's', 'us')"))

    return load


@dataclass
class Worker:
    """One consuming process of a group: the tokens it sits on and the calls it believes to hold."""

    name: str
    group: str
    claims: GroupClaims
    views: Views
    tokens: list[tuple[str, CallId]] = field(default_factory=list)
    held: dict[CallId, Held] = field(default_factory=dict)
    #: Which of all claims it is, by the model's count.
    claim: dict[CallId, int] = field(default_factory=dict)
    seen: dict[CallId, int] = field(default_factory=dict)
    known: dict[CallId, Known] = field(default_factory=dict)


@dataclass
class Written:
    """An event that a producer was told is in the log, and its place as it was told last."""

    event: AnyEvent
    seq: int


@dataclass
class Producer:
    """One appending process. What it believes survives a fail-over; it is never told of one by the scripts."""

    name: str
    #: Everything that was acknowledged, in order: the journal, here without an end.
    journal: dict[CallId, list[Written]] = field(default_factory=lambda: {call: [] for call in CALLS})
    #: What is to be appended again before anything new of the call.
    replay: dict[CallId, list[Written]] = field(default_factory=lambda: {call: [] for call in CALLS})
    #: Sent and not answered: to be sent again before anything new of the call.
    unanswered: dict[CallId, AnyEvent] = field(default_factory=dict)
    #: Ids of all it ever sent and the server took, in the order in which it sent them.
    sent: dict[CallId, list[str]] = field(default_factory=lambda: {call: [] for call in CALLS})
    #: Ownership as it was last granted.
    epochs: dict[CallId, int] = field(default_factory=dict)


@dataclass
class GroupModel:
    """What must be true of one group's work on one call."""

    #: Epoch of the last claim that was granted, which one it was, and how many commits it has seen.
    epoch: int = 0
    claim: int = 0
    steps: int = 0
    #: Highest event that was given to a handler.
    handled: int = 0
    parked: bool = False
    #: A person has let the rest go, from this event on.
    over: int | None = None
    #: A wake has rung and nobody was asked since.
    owed: bool = False


@dataclass
class CallModel:
    """What must be true of one call."""

    accepted: list[AnyEvent] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    closed: bool = False
    owner: str = ""
    owner_epoch: int = 0
    owned_until_ms: int = 0
    retired: bool = False
    #: Its keys have gone.
    expired: bool = False
    groups: dict[str, GroupModel] = field(default_factory=lambda: {group: GroupModel() for group in GROUPS})

    @property
    def tail(self) -> int:
        return len(self.accepted)

    def accept(self, event: AnyEvent) -> None:
        self.accepted.append(event)
        self.raw.append(encode(event))
        self.places[event.id] = self.tail
        self.closed = event.type == "call.ended.v1"

    def copy(self) -> "CallModel":
        return replace(
            self,
            accepted=list(self.accepted),
            raw=list(self.raw),
            places=dict(self.places),
            groups={name: replace(group) for name, group in self.groups.items()},
        )


@dataclass
class Remembered:
    """What a handler keeps in a view's memory: a fold of what it was shown, and of receipts it is about to write."""

    events: list[str] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)


class Stage:
    """One seeded run's server, processes and beliefs."""

    #: How likely it is that a call ends when something is said, and that a handler finishes all it was shown.
    ends: ClassVar[float] = 0.16
    finishes: ClassVar[float] = 0.0

    def __init__(
        self,
        redis: Redis,
        seed: int,
        *,
        mutate: Mutate | None = None,
        groups: int | None = None,
        lenient: bool = False,
    ) -> None:
        """Set up; nothing is asked of the server yet.

        Args:
            redis: an empty database; it is flushed.
            seed: of everything random.
            mutate: a fault to put into the scripts.
            groups: how many read the log; by the seed unless given.
            lenient: an act of somebody whose claim has passed counts as a repeat, not as a broken promise. For guards
                that back each other up.
        """
        self.redis = redis
        self.dice = random.Random(seed)
        self.now_ms = 1_700_000_000_000
        self.clock = ManualClock()
        self.lenient = lenient
        self.repeats = 0
        self.serial = 0
        self.claims = 0
        self.calls = {call: CallModel() for call in CALLS}
        self.groups = GROUPS[: groups or self.dice.choice((1, 2, 2, 3))]
        self.runner = ScriptRunner(redis, load=loader(mutate))
        self.log = RedisEventLog(redis, runner=self.runner, deadline_s=0)
        self.admin = Admin(redis)
        self.admin._runner = self.runner
        self.producers = {name: Producer(name) for name in PRODUCERS}
        self.workers = [
            self.worker(f"{g}{n}", g) for g in self.groups for n in range(3 if len(self.groups) == 1 else 2)
        ]
        #: Every event that a group was ever given, whatever the log has forgotten since.
        self.ever_given: dict[tuple[str, CallId], set[str]] = {
            (group, call): set() for group in GROUPS for call in CALLS
        }
        self.bell = keys.bell(TAG)

    def worker(self, name: str, group: str) -> Worker:
        claims = GroupClaims(self.runner, group=group, worker=name, lease_ms=LEASE_MS, max_events=3)
        return Worker(name, group, claims, self.views(claims))

    def views(self, claims: GroupClaims) -> Views:
        return Views(claims, clock=self.clock, max_bytes=self.dice.choice(MEMORY_BYTES), dice=self.dice)

    async def start(self) -> None:
        await self.redis.flushdb()
        for group in self.groups:
            await self.redis.xgroup_create(self.bell, group, id="0", mkstream=True)
        await self.set_clock()

    async def set_clock(self) -> None:
        await self.redis.hset(CLOCK, mapping={"s": self.now_ms // 1000, "us": self.now_ms % 1000 * 1000})

    def any_call(self) -> CallId:
        return self.dice.choice(CALLS)

    def any_worker(self, group: str | None = None) -> Worker:
        return self.dice.choice([one for one in self.workers if group in {None, one.group}])

    def works(self) -> Iterator[tuple[CallId, str, GroupModel]]:
        """Every group's work on every call."""
        for call, model in self.calls.items():
            for group in self.groups:
                yield call, group, model.groups[group]

    def allowed(self, claim: int, steps: int, model: GroupModel, what: str) -> None:
        """Somebody has acted under this claim, after so many commits of it."""
        if (claim, steps) == (model.claim, model.steps):
            return
        assert self.lenient, f"I8: {what} under a claim that has passed was accepted"
        self.repeats += 1

    async def state(self, group: str, call: CallId) -> Any:
        return await self.redis.hgetall(keys.group_keys(group, call).state)
