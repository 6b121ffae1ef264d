"""The stand-in as a server: what it keeps, and how it misbehaves."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from standins.ccm import Behaviour, CcmStandIn, Mode
from support.waiting import wait_until

DEADLINE_S = 5


def message(call: str, number: int, text: str = "Hello") -> dict[str, Any]:
    return {
        "id": f"{call}-{number}",
        "header": {
            "sender": {"id": "c", "type": "CONNECTOR"},
            "channelData": {
                "channelCustomerIdentifier": "+1",
                "serviceIdentifier": "2200",
                "additionalAttributes": [{"key": "callId", "type": "String100", "value": call}],
            },
            "timestamp": 1770109212915,
        },
        "body": {"type": "PLAIN", "markdownText": text},
    }


@pytest.fixture
async def ccm() -> AsyncIterator[CcmStandIn]:
    async with CcmStandIn() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as one:
        yield one


async def test_messages_are_kept_per_call_in_order_with_their_bytes(ccm: CcmStandIn, client: httpx.AsyncClient) -> None:
    for call, number in [("a", 1), ("b", 1), ("a", 2)]:
        assert (await client.post(ccm.url, json=message(call, number))).status_code == 202
    assert [m["id"] for m in ccm.record.messages("a")] == ["a-1", "a-2"]
    listed = (await client.get(f"{ccm.base_url}/control/messages?call=b")).json()
    assert [one["id"] for one in listed] == ["b-1"]
    assert '"b-1"' in listed[0]["raw"]


async def test_a_malformed_message_is_refused_with_the_reason(ccm: CcmStandIn, client: httpx.AsyncClient) -> None:
    bad = message("a", 1)
    bad["header"]["language"] = "de"
    answer = await client.post(ccm.url, json=bad)
    assert answer.status_code == 400
    assert "header.language" in answer.json()["error"]
    assert (await client.post(ccm.url, content=b"{", headers={"Content-Type": "application/json"})).status_code == 400
    assert (await client.post(ccm.url, content=b"{}", headers={"Content-Type": "text/plain"})).status_code == 400
    assert ccm.record.messages() == []


async def test_a_repeated_id_is_noted_and_shown_once(ccm: CcmStandIn, client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await client.post(ccm.url, json=message("a", 1))
    assert [one.duplicate for one in ccm.record.taken("a")] == [False, True]
    assert len(ccm.record.messages("a")) == 1


async def test_it_fails_as_often_as_told(ccm: CcmStandIn, client: httpx.AsyncClient) -> None:
    told = {"mode": "fail", "status": 429, "times": 2, "retry_after": "1"}
    assert (await client.post(f"{ccm.base_url}/control/behaviour", json=told)).status_code == 204
    answers = [await client.post(ccm.url, json=message("a", 1)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 202]
    assert answers[0].headers["Retry-After"] == "1"


async def test_a_wrong_instruction_is_refused(ccm: CcmStandIn, client: httpx.AsyncClient) -> None:
    assert (await client.post(f"{ccm.base_url}/control/behaviour", json={"mode": "explode"})).status_code == 400


async def test_it_can_misbehave_for_one_call_or_one_text_only(ccm: CcmStandIn, client: httpx.AsyncClient) -> None:
    ccm.behave(Behaviour(mode=Mode.FAIL, call="a"), Behaviour(mode=Mode.FAIL, text="poison", status=400))
    statuses = [
        (await client.post(ccm.url, json=one)).status_code
        for one in (message("a", 1), message("b", 1), message("b", 2, "some poison"))
    ]
    assert statuses == [503, 202, 400]


async def test_dropped_means_taken_without_an_answer(ccm: CcmStandIn, client: httpx.AsyncClient) -> None:
    ccm.behave(Behaviour(mode=Mode.DROP, times=1))
    with pytest.raises(httpx.TransportError):
        await client.post(ccm.url, json=message("a", 1))
    await client.post(ccm.url, json=message("a", 1))
    assert [one.outcome for one in ccm.record.arrivals] == ["dropped", "accepted"]
    assert ccm.record.arrivals[1].duplicate


async def test_down_takes_nothing(ccm: CcmStandIn, client: httpx.AsyncClient) -> None:
    ccm.behave(Behaviour(mode=Mode.DOWN))
    with pytest.raises(httpx.TransportError):
        await client.post(ccm.url, json=message("a", 1))
    assert ccm.record.taken() == []


async def test_a_hanging_request_ends_when_the_behaviour_changes(ccm: CcmStandIn, client: httpx.AsyncClient) -> None:
    ccm.behave(Behaviour(mode=Mode.HANG))
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(_swallow(client.post(ccm.url, json=message("a", 1))))
        await wait_until(lambda: ccm.record.arrivals)
        assert not hanging.done()
        ccm.behave()
    assert hanging.result() is None
    assert (await client.post(ccm.url, json=message("a", 1))).status_code == 202


async def _swallow(request: Any) -> httpx.Response | None:
    try:
        response: httpx.Response = await request
    except httpx.TransportError:
        return None
    return response


async def test_requests_in_flight_of_one_call_are_counted(ccm: CcmStandIn, client: httpx.AsyncClient) -> None:
    ccm.behave(Behaviour(mode=Mode.SLOW, delay_s=0.2))
    async with asyncio.TaskGroup() as tasks:
        for call, number in [("a", 1), ("a", 2), ("b", 1)]:
            tasks.create_task(client.post(ccm.url, json=message(call, number)))
    assert ccm.record.max_in_flight == {"a": 2, "b": 1}


async def test_it_goes_down_and_comes_up_on_the_same_port(client: httpx.AsyncClient) -> None:
    async with CcmStandIn() as ccm:
        await client.post(ccm.url, json=message("a", 1))
        url = ccm.url
        await ccm.go_down()
        with pytest.raises(httpx.TransportError):
            await client.post(url, json=message("a", 2))
        await ccm.come_up()
        assert ccm.url == url
        assert (await client.post(url, json=message("a", 2))).status_code == 202
        assert len(ccm.record.messages("a")) == 2


async def test_with_an_account_messages_need_a_token(client: httpx.AsyncClient) -> None:
    async with CcmStandIn(account=("bridge", "hush")) as ccm:
        assert (await client.post(ccm.url, json=message("a", 1))).status_code == 401
        wrong = await client.post(ccm.login_url, json={"username": "bridge", "password": "guess"})
        assert wrong.status_code == 401
        token = (await client.post(ccm.login_url, json={"username": "bridge", "password": "hush"})).json()
        headers = {"Authorization": f"Bearer {token['data']['token']}"}
        assert (await client.post(ccm.url, json=message("a", 1), headers=headers)).status_code == 202
        ccm.expire_tokens()
        assert (await client.post(ccm.url, json=message("a", 2), headers=headers)).status_code == 401


async def test_only_known_channels_are_served(client: httpx.AsyncClient) -> None:
    async with CcmStandIn(services=frozenset({"2200"})) as ccm:
        path = f"{ccm.base_url}/ccm/channels/service-identifier"
        assert (await client.get(f"{path}/2200")).status_code == 200
        assert (await client.get(f"{path}/9999")).status_code == 404
