"""A deployer's own agent sees in ``session.userdata`` how the call stands, at every stage of it."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from call_events.catalogue import (
    DialOutcome,
    ToolCalled,
    TransferCompleted,
    TransferDialing,
    TransferFailed,
    TransferRequested,
)
from integration.worker.phone import Phone
from integration.worker.world import LOOK, MARIA, PERSON, ROOT, SENTENCES, Line, World, a_worker, a_world

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.media]

#: An agent of a deployer: its tool writes down what it sees.
AGENTS = """\
import dataclasses, json, pathlib

from livekit.agents import function_tool
from voice_worker.adapters.agents.generic import GenericAgent

SEEN = pathlib.Path(__file__).with_name("seen.jsonl")


class Nosy(GenericAgent):
    @function_tool
    async def look_around(self) -> str:
        \"\"\"Look around.\"\"\"
        state = self.session.userdata
        seen = dataclasses.asdict(state) | {"messages_held": state.messages_held}
        with SEEN.open("a") as file:
            file.write(json.dumps(seen, default=str) + "\\n")
        return "Seen."
"""
HEADERS = {
    "sip.callStatus": "ringing",
    "call.ani": "+4930123",
    "call.dnis": "8001",
    "call.customer": "C-7",
    "sip.h.x-customer-id": "C-7",
    "sip.h.x-other": "kept",
}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile with an agent of our own, and its module."""
    directory = tmp_path_factory.mktemp("ours")
    profile = directory / "profiles/contact-centre"
    shutil.copytree(ROOT / "profiles/contact-centre", profile)
    written = (profile / "profile.yaml").read_text().replace("class: GenericAgent", "class: our_agents:Nosy")
    (profile / "profile.yaml").write_text(written)
    (directory / "our_agents.py").write_text(AGENTS)
    return directory


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(ours: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with a_world(tmp_path_factory.mktemp("world")) as surroundings:
        surroundings.environment |= {"PYTHONPATH": str(ours), "VOICE_WORKER_PROFILES_DIR": str(ours / "profiles")}
        async with a_worker(surroundings):
            yield surroundings


def track_of(phone: Phone) -> str:
    (publication,) = phone.room.local_participant.track_publications.values()
    return str(publication.sid)


async def test_a_tool_of_a_deployer_sees_how_the_call_stands(world: World, ours: Path) -> None:
    async def look(line: Line, times: int) -> dict[str, Any]:
        """Have it look; ``times`` is how many tools have been used then."""
        await line.caller.hears_nothing()
        await line.caller.say(LOOK)
        assert (await line.until(ToolCalled, count=times)).name == "look_around"
        return dict(json.loads((ours / "seen.jsonl").read_text().splitlines()[-1]))

    async with world.a_call(HEADERS) as line:
        customer = {"sip_+4930123": track_of(line.caller)}
        seen = await look(line, 1)
        assert (seen["call"], seen["customer_identity"]) == (line.call, "sip_+4930123")
        assert (seen["customer_id"], seen["customer_number"], seen["dialled_number"]) == ("C-7", "+4930123", "8001")
        assert seen["sip_headers"] == {"x-customer-id": "C-7", "x-other": "kept"}
        assert (seen["phase"], seen["current_agent"]) == ("ai", "generic")
        assert (seen["transfer"], seen["messages_held"]) == (None, False)
        assert seen["audio_tracks"] == customer

        requested = await line.ask_for_a_person()
        dial = {"transfer_id": requested.transfer_id, "attempt": 1, "dial_id": "0"}
        await line.append(TransferDialing(**dial, target="desk", identity="human-0"))
        seen = await look(line, 3)
        assert (seen["phase"], seen["messages_held"]) == ("transferring", True)
        assert seen["transfer"]["transfer_id"] == requested.transfer_id
        assert seen["transfer"]["destination"] == "billing-desk"
        assert seen["transfer"]["legs"] == ["human-0"]

        nobody = TransferFailed(
            transfer_id=requested.transfer_id,
            destination="billing-desk",
            outcome=DialOutcome.BUSY,
            reason="All lines are busy.",
        )
        await line.append(nobody)
        await line.said("They are all busy.")
        seen = await look(line, 4)
        assert (seen["phase"], seen["transfer"], seen["messages_held"]) == ("ai", None, False)

        await line.caller.hears_nothing()
        await line.caller.say(PERSON)
        async with line.human(await line.until(TransferRequested, count=2)) as human:
            await line.until(TransferCompleted)
            await human.say(MARIA)
            await line.said(SENTENCES[MARIA])
            people = customer | {human.identity: track_of(human)}
        await line.said("I am back.")
        seen = await look(line, 6)
        assert (seen["phase"], seen["current_agent"]) == ("ai", "generic")
        assert (seen["transfer"], seen["messages_held"]) == (None, False)
        assert seen["audio_tracks"] == people
        await line.caller.hang_up()
