"""The wire itself: what the provider promises and the SDK relies on."""

import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import numpy as np
import pytest

from standins.phrases import load_book
from standins.realtime import RealtimeStandIn

Event = dict[str, Any]
BILLING = {
    "type": "realtime",
    "instructions": "You are the Billing agent.",
    "output_modalities": ["text"],
    "audio": {
        "input": {"transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": {"type": "semantic_vad"}}
    },
}
FIND = {"type": "function", "name": "find_invoice"}


class Client:
    """A bare client."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, kind: str, **content: Any) -> None:
        """Send one event."""
        await self._socket.send_json({"type": kind, **content})

    async def send_text(self, text: str) -> None:
        """Send anything."""
        await self._socket.send_str(text)

    async def say(self, phrase_id: str, *, silence_s: float = 1.0) -> None:
        """Send a phrase and silence in pieces of 100 ms."""
        pcm = np.concatenate([load_book()[phrase_id].pcm(24_000), np.zeros(int(24_000 * silence_s), dtype=np.int16)])
        for first in range(0, len(pcm), 2400):
            piece = base64.b64encode(pcm[first : first + 2400].tobytes()).decode()
            await self.send("input_audio_buffer.append", audio=piece)

    async def until(self, wanted: str | Callable[[Event], bool]) -> list[Event]:
        """Read events up to the wanted one."""
        events: list[Event] = []
        while True:
            event: Event = await self._socket.receive_json(timeout=10)
            events.append(event)
            if event["type"] == wanted if isinstance(wanted, str) else wanted(event):
                return events


def kinds(events: list[Event]) -> list[str]:
    """The types, runs of the same one taken together."""
    names = [event["type"] for event in events]
    return [name for number, name in enumerate(names) if number == 0 or names[number - 1] != name]


@pytest.fixture
async def client(stand_in: RealtimeStandIn) -> AsyncIterator[Client]:
    """A connected client of the billing agent, in text."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer any"}) as http,
        http.ws_connect(f"{stand_in.base_url}/realtime?model=gpt-realtime") as socket,
    ):
        client = Client(socket)
        await client.until("session.created")
        await client.send("session.update", session=BILLING | {"tools": [FIND]})
        await client.until("session.updated")
        yield client


async def test_items_are_acknowledged_with_their_place(client: Client) -> None:
    for item_id, previous in (("a", "root"), ("c", "a"), ("b", "a")):
        item = {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
        await client.send("conversation.item.create", item=item, previous_item_id=previous)
    added = [(await client.until("conversation.item.added"))[-1] for _ in range(3)]
    assert [(event["item"]["id"], event["previous_item_id"]) for event in added] == [
        ("a", None),
        ("c", "a"),
        ("b", "a"),
    ]
    await client.send("conversation.item.delete", item_id="a")
    assert (await client.until("conversation.item.deleted"))[-1]["item_id"] == "a"


async def test_an_item_after_an_unknown_one_is_an_error_that_names_the_event(client: Client) -> None:
    item = {"id": "a", "type": "message", "role": "user", "content": []}
    await client.send("conversation.item.create", item=item, previous_item_id="nobody", event_id="mine")
    assert (await client.until("error"))[-1]["error"]["event_id"] == "mine"


async def test_a_reply_echoes_the_metadata_of_its_request(client: Client) -> None:
    metadata = {"client_event_id": "response_create_1"}
    instructions = "You are the Billing agent.\nIntroduce yourself."
    await client.send("response.create", response={"instructions": instructions, "metadata": metadata})
    events = await client.until("response.done")
    assert events[0]["type"] == "response.created"
    assert events[0]["response"]["metadata"] == metadata
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert text == load_book()["billing.introduction"].text
    assert events[-1]["response"]["status"] == "completed"
    assert events[-1]["response"]["usage"]["output_tokens"] > 0


async def test_a_second_reply_at_the_same_time_is_refused(stand_in: RealtimeStandIn, client: Client) -> None:
    stand_in.misbehaviour = stand_in.misbehaviour.model_copy(update={"reply_delay_s": 5.0})
    await client.send("response.create")
    await client.send("response.create", event_id="second")
    error = (await client.until("error"))[-1]["error"]
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")


async def test_cancelling_ends_the_reply_as_cancelled_and_once(stand_in: RealtimeStandIn, client: Client) -> None:
    stand_in.misbehaviour = stand_in.misbehaviour.model_copy(update={"reply_delay_s": 5.0})
    await client.send("response.create")
    await client.until("response.created")
    await client.send("response.cancel")
    await client.send("response.cancel")
    events = await client.until("error")
    assert [event["response"]["status"] for event in events if event["type"] == "response.done"] == ["cancelled"]
    assert events[-1]["error"]["message"].startswith("Cancellation failed")


async def test_a_spoken_turn_takes_the_events_of_the_protocol_in_their_order(client: Client) -> None:
    await client.say("customer.invoice_number")
    events = await client.until("conversation.item.input_audio_transcription.completed")
    assert kinds(events[:5]) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    item_id = events[0]["item_id"]
    assert {events[1]["item_id"], events[2]["item_id"], events[3]["item"]["id"], events[-1]["item_id"]} == {item_id}
    assert events[-1]["transcript"] == load_book()["customer.invoice_number"].text
    created = next(event for event in events if event["type"] == "response.created")
    assert created["response"]["metadata"] is None


async def test_the_content_of_a_tool_output_decides_the_sentence(client: Client) -> None:
    await client.say("customer.invoice_number")
    events = await client.until("response.done")
    call = next(event["item"] for event in events if event["type"] == "response.output_item.done")
    assert (call["name"], call["arguments"]) == ("find_invoice", '{"invoice_number": "1042"}')
    wrong = {
        "id": "out",
        "type": "function_call_output",
        "call_id": call["call_id"],
        "output": "Invoice 1042: 12.00 EUR",
    }
    await client.send("conversation.item.create", item=wrong)
    await client.send("response.create")
    said = (await client.until("response.done"))[-1]["response"]["output"][0]["content"][0]["text"]
    assert said == load_book()["billing.invoice_other"].text


async def test_speech_during_a_reply_cancels_it(stand_in: RealtimeStandIn, client: Client) -> None:
    stand_in.misbehaviour = stand_in.misbehaviour.model_copy(update={"reply_delay_s": 5.0})
    await client.send("response.create")
    await client.until("response.created")
    await client.say("customer.wait", silence_s=0)
    events = await client.until("response.done")
    assert kinds(events) == ["input_audio_buffer.speech_started", "response.done"]
    assert events[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


async def test_a_client_that_takes_turns_itself_commits_and_asks(client: Client) -> None:
    await client.send("session.update", session={"audio": {"input": {"turn_detection": None}}})
    await client.send("input_audio_buffer.commit")
    assert (await client.until("error"))[-1]["error"]["code"] == "input_audio_buffer_commit_empty"
    await client.say("customer.thanks", silence_s=0)
    await client.send("input_audio_buffer.commit")
    await client.send("response.create")
    said = (await client.until("response.done"))[-1]["response"]["output"][0]["content"][0]["text"]
    assert said == load_book()["billing.anything_else"].text


async def test_slow_acknowledgements_come_late_but_in_order(stand_in: RealtimeStandIn, client: Client) -> None:
    stand_in.misbehaviour = stand_in.misbehaviour.model_copy(update={"ack_delay_s": 0.2})
    for item_id in "ab":
        item = {"id": item_id, "type": "message", "role": "user", "content": []}
        await client.send("conversation.item.create", item=item)
    await client.send("response.create")
    events = await client.until(lambda event: event["type"] == "conversation.item.added" and event["item"]["id"] == "b")
    assert "response.done" in kinds(events)
    assert [event["item"]["id"] for event in events if event["type"] == "conversation.item.added"][-2:] == ["a", "b"]


async def test_rubbish_is_answered_with_an_error_and_the_connection_lives(client: Client) -> None:
    await client.send("input_audio_buffer.append", audio="not base64!")
    assert (await client.until("error"))[-1]["error"]["code"] == "invalid_audio"
    await client.send_text("no json")
    assert (await client.until("error"))[-1]["error"]["code"] == "invalid_event"
    await client.send("no.such.event")
    assert (await client.until("error"))[-1]["error"]["code"] == "invalid_event"
    await client.send("response.create")
    await client.until("response.done")


async def test_a_refused_reply_is_an_error_with_the_code_that_was_asked_for(
    stand_in: RealtimeStandIn, client: Client
) -> None:
    stand_in.misbehaviour = stand_in.misbehaviour.model_copy(update={"reply_error": "insufficient_quota"})
    await client.send("response.create", event_id="mine")
    error = (await client.until("error"))[-1]["error"]
    assert (error["code"], error["event_id"]) == ("insufficient_quota", "mine")


async def test_truncating_cuts_what_the_model_thinks_it_said(stand_in: RealtimeStandIn, client: Client) -> None:
    """The rule for "yes" asks what the agent said last: an offer that nobody heard is no offer."""
    tools = [{"type": "function", "name": "open_ticket"}]
    session = {"instructions": "You are the Support agent.", "tools": tools, "output_modalities": ["audio"]}
    await client.send("session.update", session=session)
    await client.say("customer.technical_problem")
    done = (await client.until("response.done"))[-1]
    (offer,) = done["response"]["output"]
    await client.send("conversation.item.truncate", item_id=offer["id"], content_index=0, audio_end_ms=600)
    await client.until("conversation.item.truncated")
    await client.say("customer.yes")
    (answer,) = (await client.until("response.done"))[-1]["response"]["output"]
    assert answer["type"] == "message"
    assert answer["content"][0]["transcript"] == load_book()["support.go_on"].text


async def test_misbehaviour_is_switched_over_http(stand_in: RealtimeStandIn) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer any"}) as http:
        async with http.post(f"{stand_in.url}/control", json={"refuse_with_status": 503}) as changed:
            assert (await changed.json())["refuse_with_status"] == 503
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await http.ws_connect(f"{stand_in.base_url}/realtime")
        async with http.post(f"{stand_in.url}/control", json={"no_such_fault": 1}) as refused:
            assert refused.status == 400
        async with http.post(f"{stand_in.url}/control/reset") as reset:
            assert (await reset.json())["refuse_with_status"] is None
        async with http.ws_connect(f"{stand_in.base_url}/realtime") as socket:
            assert (await socket.receive_json(timeout=5))["type"] == "session.created"
        async with http.get(f"{stand_in.url}/control/heard") as heard:
            assert await heard.json() == []


async def test_a_client_without_a_key_is_refused(stand_in: RealtimeStandIn) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await http.ws_connect(f"{stand_in.base_url}/realtime")
