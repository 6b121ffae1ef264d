"""Fail-over to a replica that had fallen behind: the server as it was some steps ago, the processes as they are now.

One slot is one replication stream, so what a replica has is the whole database at an earlier moment. The consumers keep
their claims and tokens; nobody tells them but the scripts. What they know of calls goes, as the runtime drops it when a
connection leads to another server. The producers, too, hear of it there, and replay what they had been told is stored.
"""

from dataclasses import dataclass
from typing import Any

from call_events import keys
from call_events.ids import CallId
from support.log_model.keeping import Keeping
from support.log_model.producing import closes
from support.log_model.stage import CALLS, TAG, CallModel, Producer


@dataclass
class Snapshot:
    """The whole database, and what must be true of it."""

    keys: list[tuple[str, int, bytes]]
    calls: dict[CallId, CallModel]


class Failing(Keeping):
    """The server that forgets."""

    snapshot: Snapshot | None = None

    async def remember(self) -> None:
        """What the replica has."""
        names = [key for call in CALLS for key in self.keys_of(call)]
        names += [self.bell, *(at(TAG) for at in (keys.live, keys.gone))]
        names += [at(TAG, group) for at in (keys.wake, keys.dead_letters) for group in self.groups]
        async with self.redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.pttl(name)
                pipe.dump(name)
            answers: list[Any] = await pipe.execute()
        self.snapshot = Snapshot(
            keys=[
                (name, max(0, ttl), value)
                for name, ttl, value in zip(names, answers[::2], answers[1::2], strict=True)
                if value is not None
            ],
            calls={call: model.copy() for call, model in self.calls.items()},
        )

    async def fail_over(self) -> None:
        """The replica is the master now."""
        assert self.snapshot is not None
        await self.redis.flushdb()
        async with self.redis.pipeline(transaction=False) as pipe:
            for name, ttl, value in self.snapshot.keys:
                pipe.restore(name, ttl, value)
            await pipe.execute()
        await self.set_clock()
        self.calls = {call: model.copy() for call, model in self.snapshot.calls.items()}
        for producer in self.producers.values():
            producer.replay = {call: list(journal) for call, journal in producer.journal.items()}
        for worker in self.workers:
            worker.views.forget_all()

    async def repeat(self, producer: Producer, call: CallId) -> None:
        """Send again what was not answered, which need not have been stored."""
        event = producer.unanswered.pop(call)
        if not closes(event) and await self.send(producer, event) is not None:
            self.note(producer, event)

    async def put_back_all(self) -> None:
        """Every journal is replayed to its end.

        I12: that can be done, whatever the producers wait for each other with.
        """
        for _ in range(1000):
            left = sum(len(queue) for producer in self.producers.values() for queue in producer.replay.values())
            if not left:
                return
            for producer in self.producers.values():
                for call, queue in producer.replay.items():
                    if queue:
                        await self.replay(producer, call)
                    elif call in producer.unanswered:  # maybe what opens the call
                        await self.repeat(producer, call)
        raise AssertionError("I12: producers wait for each other for ever")
