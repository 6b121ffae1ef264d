"""The HTTP adapter against the strict stand-in: tokens, headers, and the check at the start."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from pydantic import SecretStr

from call_events.testing import started
from ccm_bridge.adapters.ccm_http import CcmHttp, check_reachable, connect
from ccm_bridge.adapters.ccm_login import BearerLogin
from ccm_bridge.domain.message import Message
from ccm_bridge.domain.retry import NoAnswer, Reaction, react
from ccm_bridge.errors import CcmUnreachable
from standins.ccm import Behaviour, CcmStandIn, Mode
from unit.ccm_bridge.world import CALL, DIALECT, World


@pytest.fixture
async def guarded() -> AsyncIterator[CcmStandIn]:
    async with CcmStandIn(account=("bridge", "hush")) as ccm:
        yield ccm


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with connect(connections=8, timeout_s=2) as one:
        yield one


@pytest.fixture
def message() -> Message:
    world = World()
    world.append(started(CALL))
    return world.ccm.shown[0]


def sink_of(ccm: CcmStandIn, client: aiohttp.ClientSession, password: str = "hush") -> CcmHttp:
    login = BearerLogin(client, ccm.login_url, "bridge", SecretStr(password))
    return CcmHttp(client, ccm.url, DIALECT, login=login, timeout_s=2)


async def test_one_login_serves_many_calls_at_once(
    guarded: CcmStandIn, client: aiohttp.ClientSession, message: Message
) -> None:
    sink = sink_of(guarded, client)
    async with asyncio.TaskGroup() as tasks:
        posts = [tasks.create_task(sink.post(message)) for _ in range(6)]
    assert {react(post.result()) for post in posts} == {Reaction.DELIVERED}
    assert guarded.logins == 1


async def test_an_expired_token_is_renewed_once(
    guarded: CcmStandIn, client: aiohttp.ClientSession, message: Message
) -> None:
    sink = sink_of(guarded, client)
    await sink.post(message)
    guarded.expire_tokens()
    assert react(await sink.post(message)) is Reaction.DELIVERED
    assert guarded.logins == 2


async def test_a_wrong_password_is_a_wrong_configuration(
    guarded: CcmStandIn, client: aiohttp.ClientSession, message: Message
) -> None:
    reply = await sink_of(guarded, client, "guess").post(message)
    assert react(reply) is Reaction.MISCONFIGURED
    assert guarded.record.taken() == []


async def test_a_login_that_cannot_be_reached_is_tried_again(
    guarded: CcmStandIn, client: aiohttp.ClientSession, message: Message
) -> None:
    await guarded.go_down()
    reply = await sink_of(guarded, client).post(message)
    assert reply.status is NoAnswer.LOGIN
    assert react(reply) is Reaction.AGAIN


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), (None, None)]
)
async def test_retry_after_is_read_in_both_forms(
    client: aiohttp.ClientSession, message: Message, header: str | None, seconds: float | None
) -> None:
    async with CcmStandIn() as ccm:
        ccm.behave(Behaviour(mode=Mode.FAIL, status=503, retry_after=header, reason="x" * 5000))
        reply = await CcmHttp(client, ccm.url, DIALECT, login=None, timeout_s=2).post(message)
    assert reply.retry_after_s == seconds
    assert len(reply.excerpt) <= 1024


async def test_a_connection_cut_after_ccm_took_the_message_is_no_answer(
    client: aiohttp.ClientSession, message: Message
) -> None:
    async with CcmStandIn() as ccm:
        ccm.behave(Behaviour(mode=Mode.DROP, times=1))
        sink = CcmHttp(client, ccm.url, DIALECT, login=None, timeout_s=2)
        assert (await sink.post(message)).status is NoAnswer.CONNECTION
        assert react(await sink.post(message)) is Reaction.DELIVERED
        first, second = ccm.record.taken()
    assert first.raw == second.raw
    assert second.duplicate


@asynccontextmanager
async def half_answering(status: int, then: str) -> AsyncIterator[str]:
    """A server that sends the headers of an answer and the beginning of its body, and then no more; yields its URL."""
    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        assert length is not None
        await reader.readexactly(int(length[1]))
        writer.write(f"HTTP/1.1 {status} Told\r\nRetry-After: 3\r\nContent-Length: 900\r\n\r\nso far".encode())
        await writer.drain()
        if then == "hangs":
            await over.wait()
        elif then == "resets":
            writer.transport.abort()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ccm/message/receive"
        finally:
            over.set()


@pytest.mark.parametrize("then", ["hangs", "resets", "closes"])
@pytest.mark.parametrize(
    ("status", "reaction"),
    [(202, Reaction.DELIVERED), (400, Reaction.REFUSED), (404, Reaction.MISCONFIGURED), (503, Reaction.AGAIN)],
)
async def test_the_status_counts_though_the_body_stalls_or_breaks_off(
    client: aiohttp.ClientSession, message: Message, then: str, status: int, reaction: Reaction
) -> None:
    """A message that CCM has taken would otherwise be repeated for ever."""
    async with half_answering(status, then) as url, asyncio.timeout(10):
        reply = await CcmHttp(client, url, DIALECT, login=None, timeout_s=2).post(message)
    assert (reply.status, react(reply)) == (status, reaction)


async def test_the_deadline_ends_with_the_headers(message: Message) -> None:
    """An answer that comes just in time is not turned into none by its body."""
    async with half_answering(202, "hangs") as url, connect(connections=1, timeout_s=0.3) as client:
        sink = CcmHttp(client, url, DIALECT, login=None, timeout_s=0.3)
        assert [(await sink.post(message)).status for _ in range(2)] == [202, 202], "and the one connection is let go"


async def test_what_came_of_a_refusals_body_is_told(client: aiohttp.ClientSession, message: Message) -> None:
    async with half_answering(503, "closes") as url:
        reply = await CcmHttp(client, url, DIALECT, login=None, timeout_s=2).post(message)
    assert (reply.excerpt, reply.retry_after_s) == ("so far", 3.0)


async def test_reachable_is_checked_and_the_mend_is_told() -> None:
    async with CcmStandIn() as ccm:
        await check_reachable(ccm.url)
        url = ccm.url
    with pytest.raises(CcmUnreachable, match=re.escape("CCM_URL: nothing can be reached at 127.0.0.1")):
        await check_reachable(url)
