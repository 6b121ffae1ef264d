"""The bridge and the auditor follow one rule about what CCM is told of (``call_events.places``).

The bridge does not ask that rule; it has the mapping table. So calls are played through the bridge, with every fault,
and the auditor must find nothing wrong; and whatever receipt is taken away must be missed.
"""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from call_events.ports import Receipt
from callweave.proof.findings import Code
from callweave.proof.reconcile import reconcile
from callweave.proof.verify import verify
from callweave.sources.record import Record, Standing
from ccm_bridge.domain.conversation import Conversation
from ccm_bridge.domain.identity import Sources
from ccm_bridge.domain.retry import NoAnswer
from support.records import record
from unit.ccm_bridge.test_delivery_property import FAULTS, Script, calls
from unit.ccm_bridge.world import CALL, ProcessKilledError, World


def seen(world: World) -> Record:
    """The call as an auditor gets it."""
    whole = record(world.events, world.receipts, call=CALL)
    return replace(whole, groups={"ccm": Standing(world.cursor, world.cursor)})


def played(script: Script, world: World, batches: list[bool]) -> World:
    """The whole call, with time enough for everything that is bounded."""
    for one, run in zip(script.events, batches, strict=False):
        world.append(one, run=run)
    world.turn()
    for _ in range(20):
        world.settle(hours=0.1)
    return world


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    script=calls(),
    faults=st.lists(FAULTS, max_size=25),
    batches=st.lists(st.booleans(), min_size=60, max_size=60),
    legs=st.booleans(),
    plain=st.booleans(),
)
def test_an_auditor_finds_nothing_wrong_with_what_the_bridge_has_done(
    script: Script,
    faults: list[int | NoAnswer | type[ProcessKilledError]],
    batches: list[bool],
    legs: bool,
    plain: bool,
) -> None:
    world = World(
        conversation=Conversation(
            customer=Sources.parse("number,call"),
            service=Sources.parse("dialled,profile"),
            human_legs=legs,
            announce_start=not plain,
            note_missing=not plain,
        )
    )
    world.ccm.script = list(faults)
    for one, run in zip(script.events, batches, strict=False):
        world.append(one, run=run)
        assert_agrees(world)  # also in the middle of the call
    played(Script(), world, [])
    assert_agrees(world)


def assert_agrees(world: World) -> None:
    """Nothing but what CCM has refused, and nothing wrong with the order of the receipts."""
    findings, tally = reconcile(seen(world))
    refused = [one for one in world.receipts if one.outcome == "refused"]
    assert [one.line for one in findings if one.is_fault and one.code != Code.REFUSED] == []
    assert tally.refused == len(refused) == sum(one.code == Code.REFUSED for one in findings)
    wrong = [one for one in verify(seen(world)) if one.is_fault]
    assert [one.line for one in wrong if one.code.startswith(("receipt-", "cursor-"))] == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=calls(), batches=st.lists(st.booleans(), min_size=60, max_size=60), pick=st.integers(0, 1000))
def test_whatever_receipt_is_taken_away_is_missed(script: Script, batches: list[bool], pick: int) -> None:
    """A receipt that somebody may not look for is none that a lost message could hide behind."""
    world = played(script, World(), batches)
    kept = [one for one in world.receipts if one.detail.get("event") not in OPTIONAL and sole(one, world.receipts)]
    if not kept:
        return
    taken = kept[pick % len(kept)]
    world.receipts.remove(taken)
    faults = [one for one in reconcile(seen(world))[0] if one.is_fault]
    assert [one.place for one in faults] == [f"event {taken.seq}"]
    assert faults[0].code in {Code.UNDELIVERED, Code.NEVER_SENT}


#: The only message of this bridge that a deployment may do without; written down here too, and not taken from the rule.
OPTIONAL = {"call.started"}


def sole(receipt: Receipt, receipts: list[Receipt]) -> bool:
    """The only one about its place, so that it alone proves it."""
    return [one.seq for one in receipts].count(receipt.seq) == 1


@pytest.mark.parametrize("late_first", [True, False])
def test_a_text_that_was_not_sent_after_its_place_was_passed_over_is_missed(late_first: bool) -> None:
    whole = record()
    receipts = list(whole.receipts["ccm"])
    late = next(number for number, one in enumerate(receipts) if b'"late":true' in one.raw)
    if not late_first:
        del receipts[late]
    faults = [one for one in reconcile(replace(whole, receipts={"ccm": tuple(receipts)}))[0] if one.is_fault]
    assert [one.code for one in faults] == ([] if late_first else [Code.NEVER_SENT])
