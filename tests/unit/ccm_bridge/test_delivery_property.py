"""Whatever happens to the order of facts, to CCM and to the bridge's process, the conversation in CCM is right.

A call is drawn with overlapping speech, texts that come late, never or are discarded, transfers with and without end.
CCM fails, takes messages without answering, refuses; the process dies between CCM's taking a message and the commit.
"""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from call_events.catalogue import (
    DiscardReason,
    TransferRequested,
    UtteranceCompleted,
    UtteranceDiscarded,
    UtteranceStarted,
)
from call_events.ports import AnyEvent
from call_events.testing import said, speaking, started
from ccm_bridge.domain.retry import NoAnswer
from unit.ccm_bridge.world import (
    BILLING,
    CALL,
    CUSTOMER,
    MARIA,
    FakeCcm,
    ProcessKilledError,
    Taken,
    World,
    call_ended,
    cancelled,
    connected,
    dialing,
    discarded,
    ended_speaking,
    failed,
    handed_off,
    requested,
)

#: When the text comes after the end of the speech; None = never. Around the bound of 5 s on both sides.
TEXT_AFTER = st.sampled_from([0.0, 0.4, 2.0, 4.5, 6.0, 20.0, None])


@dataclass
class Script:
    """The facts of one call, to be sorted by time."""

    events: list[AnyEvent] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)


@st.composite
def calls(draw: st.DrawFn) -> Script:
    """One call of up to a few minutes."""
    script = Script([started(CALL)])
    for number in range(draw(st.integers(1, 7))):
        _utterance(draw, script, f"u{number}")
    clock = 1.0
    for number in range(draw(st.integers(0, 2))):
        clock += draw(st.floats(0.1, 40))
        script.events += [requested(clock, f"t{number}"), dialing(clock + 0.05, f"t{number}")]
        wait = draw(st.sampled_from([1.0, 15.0, 119.0, 200.0, None]))
        if wait is None:
            break
        clock += wait
        outcome = draw(st.sampled_from([connected, failed, cancelled]))
        script.events.append(outcome(clock, f"t{number}"))
    for _ in range(draw(st.integers(0, 2))):
        script.events.append(handed_off(draw(st.floats(1, 60))))
    script.events.sort(key=lambda one: one.time)
    if draw(st.booleans()):
        end = (script.events[-1].time - script.events[0].time).total_seconds()
        script.events.append(call_ended(end + draw(st.floats(0.01, 30))))
    return script


def _utterance(draw: st.DrawFn, script: Script, name: str) -> None:
    begins = draw(st.floats(0.5, 60))
    lasts = draw(st.floats(0.2, 15))
    speaker = draw(st.sampled_from([CUSTOMER, BILLING, MARIA]))
    script.events.append(speaking(CALL, name, speaker=speaker, at_s=begins))
    if draw(st.integers(0, 9)):
        script.events.append(ended_speaking(name, begins + lasts))
    after = draw(TEXT_AFTER)
    if after is None:
        return
    if draw(st.integers(0, 4)):
        text = f"text of {name}"
        script.texts.add(text)
        script.events.append(said(CALL, name, text, speaker=speaker, at_s=begins, lasts_s=lasts + after))
    else:
        reason = draw(st.sampled_from(list(DiscardReason)))
        script.events.append(discarded(name, begins + lasts + after, reason))
        if draw(st.integers(0, 3)) == 0:
            text = f"text of {name}, found after all"
            script.texts.add(text)
            script.events.append(said(CALL, name, text, speaker=speaker, at_s=begins, lasts_s=lasts + after + 1))


FAULTS = st.sampled_from([202, 202, 202, 400, 429, 500, 503, 403, *NoAnswer, ProcessKilledError, ProcessKilledError])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    script=calls(),
    faults=st.lists(FAULTS, max_size=25),
    batches=st.lists(st.booleans(), min_size=60, max_size=60),
    shared=st.booleans(),
)
def test_every_place_once_in_order_never_while_held_and_nothing_lost(
    script: Script, faults: list[int | NoAnswer | type[ProcessKilledError]], batches: list[bool], shared: bool
) -> None:
    world = World(shared=shared)
    world.ccm.script = list(faults)
    watch = _watch_the_hold(world)
    for one, run in zip(script.events, batches, strict=False):
        world.append(one, run=run)
        watch.check()
    world.turn()
    for _ in range(20):
        world.settle(hours=0.1)
        watch.check()
    assert world.cursor == len(world.events), "every event is finished"
    _repeats_are_identical(world.ccm, world)
    refused = {receipt.seq for receipt in world.receipts if receipt.outcome == "refused"}
    _nothing_is_lost(world, script, refused)
    _in_started_order_unless_late(world)
    _one_final_receipt_per_message(world)


@dataclass
class _Watch:
    """Checks every message as it is taken against what was in the log at that time."""

    world: World
    seen: int = 0

    def check(self) -> None:
        for taken in self.world.ccm.taken[self.seen :]:
            self._not_held(taken)
        self.seen = len(self.world.ccm.taken)

    def _not_held(self, taken: Taken) -> None:
        # A late or closing note bears the number of an earlier place, so judge by when it became due.
        events = self.world.events
        outcomes = {one.data.transfer_id for one in events if hasattr(one.data, "transfer_id") and _is_outcome(one)}
        closed = events[-1].type == "call.ended.v1"
        for one in events:
            if not isinstance(one.data, TransferRequested) or one.seq > taken.message.seq:
                continue
            overdue = (taken.at - one.time).total_seconds() >= 120
            assert one.data.transfer_id in outcomes or overdue or closed, "sent while it was held"


def _watch_the_hold(world: World) -> _Watch:
    return _Watch(world)


def _is_outcome(one: AnyEvent) -> bool:
    return one.type in {"transfer.connected.v1", "transfer.failed.v1", "transfer.cancelled.v1"}


def _repeats_are_identical(ccm: FakeCcm, world: World) -> None:
    bodies: dict[str, set[bytes]] = {}
    for taken in ccm.taken:
        bodies.setdefault(taken.message.id, set()).add(taken.body)
    assert all(len(same) == 1 for same in bodies.values()), "a repeat has other bytes"
    unanswered = world.meter.counts.get("failed:timeout", 0)
    assert len(ccm.taken) - len(bodies) <= world.crashes + unanswered, "repeated without need"


def _nothing_is_lost(world: World, script: Script, refused: set[int]) -> None:
    shown = world.ccm.texts
    told = [text for text in shown if text in script.texts]
    assert len(told) == len(set(told)), "a text is shown twice under different ids"
    places = [(message.seq, message.part) for message in world.ccm.shown]
    assert len(places) == len(set(places)), "a place is shown twice under different ids"
    started_at = {one.data.utterance_id: one.seq for one in world.events if isinstance(one.data, UtteranceStarted)}
    completed = {one.data.utterance_id: one for one in world.events if isinstance(one.data, UtteranceCompleted)}
    for name, one in completed.items():
        assert isinstance(one.data, UtteranceCompleted)
        assert one.data.text in shown or {started_at[name], one.seq} & refused
    assert len(completed) == len(script.texts)
    if world.events[-1].type != "call.ended.v1":
        return
    for name, seq in started_at.items():
        if seq not in refused and name not in completed and not _was_nothing(world, name):
            assert any(message.seq == seq for message in world.ccm.shown), "silently missing"


def _was_nothing(world: World, name: str) -> bool:
    return any(
        isinstance(one.data, UtteranceDiscarded)
        and one.data.utterance_id == name
        and one.data.reason in {DiscardReason.NOISE, DiscardReason.NOT_SPOKEN}
        for one in world.events
    )


def _in_started_order_unless_late(world: World) -> None:
    in_time = [message.seq for message in world.ccm.shown if not message.late]
    assert in_time == sorted(in_time), "out of order"
    for message in world.ccm.shown:
        if message.late and not message.text.endswith("found after all"):
            assert any(r.seq == message.seq and r.detail.get("reason") == "unfinished" for r in world.receipts)


def _one_final_receipt_per_message(world: World) -> None:
    final = [(r.seq, r.detail.get("part", "")) for r in world.receipts if r.outcome in {"delivered", "refused"}]
    assert len(final) == len(set(final))
    assert {m.seq for m in world.ccm.shown} <= {seq for seq, _ in final}
