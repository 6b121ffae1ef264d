"""What producers do: append, repeat, own, and replay their journals after a fail-over."""

from call_events.errors import (
    AppendRefused,
    CallClosed,
    CallEventsError,
    CallUnknown,
    IdTaken,
    StaleOwner,
    TailMoved,
)
from call_events.ids import CallId
from call_events.ports import AnyEvent, Appended
from call_events.registry import CLOSING_TYPE
from call_events.testing import ended, speaking, started
from support.log_model.stage import LEASE_MS, CallModel, Producer, Stage, Written


class Producing(Stage):
    """The appending side."""

    async def append(self) -> None:
        producer = self.producers[self.dice.choice(list(self.producers))]
        call = self.any_call()
        model = self.calls[call]
        if producer.replay[call]:
            await self.replay(producer, call)
            return
        event = producer.unanswered.get(call) or self.something(producer, call)
        if closes(event) and self.somebody_owes(call):
            return
        expected = self.dice.choice((model.tail, 0, 99)) if self.dice.random() < 0.15 else None
        epoch = self.some_epoch(producer, call) if self.dice.random() < 0.3 else None
        answered = self.dice.random() > 0.05
        if await self.send(producer, event, expected=expected, epoch=epoch, first_wins=self.dice.random() < 0.3):
            if answered:
                producer.unanswered.pop(call, None)
                self.note(producer, event)
            else:
                producer.unanswered[call] = event

    def something(self, producer: Producer, call: CallId) -> AnyEvent:
        """What this producer has to say now: often something new, sometimes what it has said before."""
        model = self.calls[call]
        self.serial += 1
        roll = self.dice.random()
        if producer.journal[call] and self.dice.random() < 0.2:
            return self.dice.choice(producer.journal[call]).event
        event = (
            started(call)
            if roll < (0.05 if model.accepted else 0.8)
            else ended(call)
            if roll < self.ends
            else speaking(call, f"u{self.serial}")
        )
        if model.accepted and self.dice.random() < 0.05:  # another event under an id that is taken
            event = event.model_copy(update={"id": self.dice.choice(model.accepted).id})
        return event.model_copy(update={"producer": producer.name})

    def some_epoch(self, producer: Producer, call: CallId) -> int:
        """Its own, as it believes; or what somebody else has."""
        model = self.calls[call]
        return self.dice.choice((producer.epochs.get(call, 0), model.owner_epoch, model.owner_epoch - 1))

    async def send(
        self,
        producer: Producer,
        event: AnyEvent,
        *,
        expected: int | None = None,
        epoch: int | None = None,
        first_wins: bool = False,
    ) -> Appended | None:
        """Append it, and hold the answer against what it must be. What was accepted is known to the model."""
        call, model = event.call, self.calls[event.call]
        want = expectation(model, event, expected=expected, epoch=epoch, first_wins=first_wins)
        answer: Appended | type[AppendRefused]
        try:
            answer = await self.log.append(event, expected_tail=expected, epoch=epoch, first_wins=first_wins)
        except AppendRefused as refusal:
            answer = type(refusal)
        promise = "I15" if StaleOwner in {want, answer} else "I10" if model.retired else "I1 or I3"
        assert want == answer, f"{promise}: {told(answer)} instead of {told(want)}"
        if not isinstance(answer, Appended):
            return None
        if not answer.duplicate:
            model.accept(event)
            if event.id not in producer.sent[call]:
                producer.sent[call].append(event.id)
        return answer

    def note(self, producer: Producer, event: AnyEvent) -> None:
        """The producer was told that its event is in the log. Another's under that id is for the other to remember."""
        model = self.calls[event.call]
        place = model.places.get(event.id)
        if place is None or model.accepted[place - 1] != event:
            return
        for written in producer.journal[event.call]:
            if written.event.id == event.id:
                written.seq = place
                return
        producer.journal[event.call].append(Written(event, place))

    async def own(self) -> None:
        call = self.any_call()
        model = self.calls[call]
        if model.expired:
            return
        producer = self.producers[self.dice.choice(list(self.producers))]
        believed = producer.epochs.get(call)
        renew = believed is not None and self.dice.random() < 0.4
        mine = (producer.name, believed) == (model.owner, model.owner_epoch)
        newer = renew and (believed or 0) > model.owner_epoch  # granted by a server that this one lags behind
        held = model.owner_epoch > 0 and model.owned_until_ms > self.now_ms
        may = mine or newer if renew else not held
        try:
            right = await self.log.own(call, producer.name, lease_ms=LEASE_MS, epoch=believed if renew else None)
        except StaleOwner:
            assert not may, "I15: who owns the call could not renew, or nobody did and it could not be taken"
            return
        assert may or (self.lenient and not renew), "I15: a call was taken from its owner"
        self.repeats += not may
        grown = believed if newer else model.owner_epoch + (0 if renew else 1)
        assert right.epoch == grown, "I15: ownership epochs grow one by one, or to what was granted before a fail-over"
        model.owner, model.owner_epoch, model.owned_until_ms = producer.name, right.epoch, self.now_ms + LEASE_MS
        producer.epochs[call] = right.epoch

    async def replay(self, producer: Producer, call: CallId) -> None:
        """Append the next journalled event again, by its id and under no epoch: it had been accepted.

        Two of them wait. What finds no log waits for the one that opens it, what closes the log for all that others
        have to put back before it.
        """
        written = producer.replay[call][0]
        model = self.calls[call]
        if closes(written.event) and self.somebody_owes(call):
            return
        answer = await self.send(producer, written.event, first_wins=True)
        if answer is None and not model.accepted:
            return
        assert answer is not None or model.expired, f"I12: {written.event.type} could not be put back"
        if answer is not None:
            written.seq = answer.seq
        producer.replay[call].pop(0)

    def somebody_owes(self, call: CallId) -> bool:
        """Whether something other than the end of the call is yet to be put back.

        No producer knows that of another: whoever closes a call soon after a change of server gives the others time.
        """
        return any(not closes(one.event) for p in self.producers.values() for one in p.replay[call])

    async def replay_some(self) -> None:
        """A producer that has heard of the change of server puts back what it had, also of calls it is done with."""
        waiting = [(p, call) for p in self.producers.values() for call, left in p.replay.items() if left]
        if waiting:
            await self.replay(*self.dice.choice(waiting))


def closes(event: AnyEvent) -> bool:
    return event.type == CLOSING_TYPE


def expectation(
    model: CallModel, event: AnyEvent, *, expected: int | None, epoch: int | None, first_wins: bool
) -> Appended | type[AppendRefused]:
    """What the log must answer."""
    known = model.places.get(event.id)
    checks: tuple[tuple[bool, Appended | type[AppendRefused]], ...] = (
        (model.expired, CallClosed),
        (
            known is not None and (first_wins or model.accepted[known - 1] == event),
            Appended(seq=known or 0, duplicate=True),
        ),
        (known is not None, IdTaken),
        (model.closed, CallClosed),
        (not model.accepted and event.type != "call.started.v1", CallUnknown),
        (epoch is not None and (event.producer, epoch) != (model.owner, model.owner_epoch), StaleOwner),
        (expected not in {None, model.tail}, TailMoved),
    )
    return next((answer for holds, answer in checks if holds), Appended(seq=model.tail + 1, duplicate=False))


def told(answer: Appended | type[CallEventsError]) -> str:
    return repr(answer) if isinstance(answer, Appended) else answer.__name__
