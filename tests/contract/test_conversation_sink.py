"""What every conversation sink keeps to: the fake of the unit tests, and CCM over HTTP against the strict stand-in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from call_events.testing import ManualClock, said, speaking, started
from ccm_bridge.adapters.ccm_http import CcmHttp, connect
from ccm_bridge.domain.message import Message
from ccm_bridge.domain.retry import NoAnswer, Reaction, react
from ccm_bridge.ports import ConversationSink
from standins.ccm import Behaviour, CcmStandIn, Mode
from unit.ccm_bridge.world import CALL, DIALECT, FakeCcm, World


@dataclass(frozen=True, slots=True)
class Rig:
    """A sink, what it was given, and a way to make its other side misbehave at the next attempt."""

    sink: ConversationSink
    taken: Callable[[], list[bytes]]
    misbehave: Callable[[int | NoAnswer], Awaitable[None]]


@asynccontextmanager
async def fake() -> AsyncIterator[Rig]:
    ccm = FakeCcm(ManualClock())

    async def misbehave(outcome: int | NoAnswer) -> None:
        ccm.script.append(outcome)

    yield Rig(ccm, lambda: [one.body for one in ccm.taken], misbehave)


@asynccontextmanager
async def over_http() -> AsyncIterator[Rig]:
    async with CcmStandIn() as ccm, connect(connections=4, timeout_s=5) as client:

        async def misbehave(outcome: int | NoAnswer) -> None:
            if isinstance(outcome, int):
                ccm.behave(Behaviour(mode=Mode.FAIL, status=outcome, times=1))
            elif outcome is NoAnswer.TIMEOUT:
                # Taken, but answered too late: that is what the fake's time-out is, too.
                ccm.behave(Behaviour(mode=Mode.SLOW, delay_s=30, times=1))
            else:
                await ccm.go_down()

        sink = CcmHttp(client, ccm.url, DIALECT, login=None, timeout_s=0.6)
        yield Rig(sink, lambda: [one.raw for one in ccm.record.taken()], misbehave)


@pytest.fixture(params=[fake, over_http], ids=["fake", "http"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with request.param() as one:
        yield one


@pytest.fixture
def messages() -> list[Message]:
    world = World()
    world.append(started(CALL), speaking(CALL, "c", at_s=1), said(CALL, "c", "Grüße aus Köln", at_s=1))
    return world.ccm.shown


async def test_what_is_taken_is_told_and_kept_in_order(rig: Rig, messages: list[Message]) -> None:
    replies = [await rig.sink.post(message) for message in messages]
    assert {react(reply) for reply in replies} == {Reaction.DELIVERED}
    assert rig.taken() == [DIALECT.render(message) for message in messages]


async def test_the_same_message_is_the_same_bytes(rig: Rig, messages: list[Message]) -> None:
    await rig.sink.post(messages[1])
    await rig.sink.post(messages[1])
    first, second = rig.taken()
    assert first == second


@pytest.mark.parametrize(
    ("status", "reaction"),
    [(400, Reaction.REFUSED), (404, Reaction.MISCONFIGURED), (429, Reaction.AGAIN), (503, Reaction.AGAIN)],
)
async def test_a_status_is_told_and_nothing_is_taken(
    rig: Rig, messages: list[Message], status: int, reaction: Reaction
) -> None:
    await rig.misbehave(status)
    reply = await rig.sink.post(messages[0])
    assert (reply.status, react(reply)) == (status, reaction)
    assert rig.taken() == []
    assert react(await rig.sink.post(messages[0])) is Reaction.DELIVERED


async def test_no_connection_is_told_and_never_raised(rig: Rig, messages: list[Message]) -> None:
    await rig.misbehave(NoAnswer.CONNECTION)
    reply = await rig.sink.post(messages[0])
    assert reply.status is NoAnswer.CONNECTION
    assert rig.taken() == []


async def test_no_answer_in_time_is_told_within_the_deadline(rig: Rig, messages: list[Message]) -> None:
    await rig.misbehave(NoAnswer.TIMEOUT)
    async with asyncio.timeout(5):
        reply = await rig.sink.post(messages[0])
    assert reply.status is NoAnswer.TIMEOUT


async def test_calls_do_not_wait_for_each_other(rig: Rig, messages: list[Message]) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        posts = [tasks.create_task(rig.sink.post(message)) for message in messages * 2]
    assert {react(post.result()) for post in posts} == {Reaction.DELIVERED}
