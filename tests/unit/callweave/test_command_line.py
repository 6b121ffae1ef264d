"""The command line as a person on call meets it: against a real log, and when something is wrong."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from call_events import catalogue as c
from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.envelope import Event, EventData
from call_events.ids import CallId
from call_events.redis_log import RedisEventLog
from call_events.testing import START
from callweave.__main__ import app, main

CALL = CallId("call-7")
CUSTOMER = c.Speaker(role=c.Role.CUSTOMER, name="Customer", identity="sip_1")


@pytest_asyncio.fixture
async def log_directory(tmp_path: Path) -> AsyncIterator[Path]:
    """What a demo leaves behind: an append-only file with one ended call, and no server."""
    directory = tmp_path / "log"
    async with EmbeddedRedis(directory) as server, connect(server.url) as redis:
        log = RedisEventLog(redis)
        for number, data in enumerate(_call()):
            await log.append(
                Event[EventData](data=data, call=CALL, producer="test", time=START + timedelta(seconds=number))
            )
    yield directory


def _call() -> list[EventData]:
    return [
        c.CallStarted(
            room=CALL,
            direction="inbound",
            customer=c.Customer(identity="sip_1"),
            profile="contact-centre",
            profile_hash="h",
            language="en",
            worker="w",
        ),
        c.AgentActivated(agent="generic", name="Generic AI"),
        c.UtteranceStarted(utterance_id="u1", speaker=CUSTOMER, started_at=START),
        c.UtteranceCompleted(
            utterance_id="u1", speaker=CUSTOMER, text="Where is my order?", started_at=START, ended_at=START
        ),
        c.CallEnded(ended_by=c.EndedBy.CUSTOMER, cause="CLIENT_INITIATED", duration_ms=4000),
    ]


def run(log_directory: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setenv("CALLWEAVE_LOG_DIR", str(log_directory))
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_calls_lists_the_call_whole(log_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, line = run(log_directory, monkeypatch, "calls").splitlines()
    assert header.split() == [
        "call",
        "started",
        "lasted",
        "state",
        "owner",
        "agent",
        "events",
        "utterances",
        "transfers",
    ]
    assert line.split()[0] == CALL
    assert {"ended", "4.0", "generic", "5", "1"} <= set(line.split())


def test_timeline_shows_the_text_where_the_speech_began(log_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run(log_directory, monkeypatch, "timeline", CALL).splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "5"]
    assert lines[2].split(maxsplit=4)[3:] == ["Customer", "“Where is my order?”"]


def test_replay_rebuilds_the_state_and_can_stop_on_the_way(
    log_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.loads(run(log_directory, monkeypatch, "replay", CALL, "--json"))
    assert (whole["seq"], whole["ended_by"], whole["utterances"][0]["text"]) == (5, "customer", "Where is my order?")
    early = json.loads(run(log_directory, monkeypatch, "replay", CALL, "--json", "--until", "3"))
    assert (early["seq"], early["owner"], early["utterances"][0]["text"]) == (3, "ai", None)


def test_replay_tells_a_person_how_the_call_stood(log_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = run(log_directory, monkeypatch, "replay", CALL).splitlines()
    assert told[0] == "call-7: ended by customer (CLIENT_INITIATED) after 4.0 s, 5 events"
    assert [line for line in told if line and not line.startswith(" ")][-2:] == ["conversation", "events"]
    assert told[told.index("conversation") + 1].split(maxsplit=5)[-1] == "Customer       “Where is my order?”"
    early = run(log_directory, monkeypatch, "replay", CALL, "--until", "3").splitlines()
    assert early[0] == "call-7: open, 3 events"
    assert "(text not yet known)" in early[early.index("conversation") + 1]


def test_what_was_read_is_not_changed_and_no_server_stays(log_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(log_directory, monkeypatch, "timeline", CALL) == run(log_directory, monkeypatch, "timeline", CALL)


def test_the_address_of_a_server_that_was_killed_is_no_obstacle(
    log_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (log_directory / "url").write_text("redis://127.0.0.1:1/0")
    assert CALL in run(log_directory, monkeypatch, "calls")


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (("timeline", "no-such-call"), {}, "the log has no call no-such-call"),
        (("timeline", "{not} a call"), {}, "call id must be"),
        (("calls",), {"REDIS_URL": "redis://127.0.0.1:1/0"}, "cannot be reached"),
        (("calls",), {"REDIS_URL": "http://127.0.0.1/"}, "REDIS_URL"),
        (("calls",), {"CALLWEAVE_LOG_DIR": "nowhere"}, "./dev demo"),
    ],
)
def test_what_goes_wrong_is_one_line_with_the_mend(
    log_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    environment: dict[str, str],
    told: str,
) -> None:
    for name, value in {"CALLWEAVE_LOG_DIR": str(log_directory), **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["callweave", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    complaint = capsys.readouterr().err.strip()
    assert stopped.value.code == 2
    assert complaint.startswith("callweave: ")
    assert told in complaint
    assert len(complaint.splitlines()) == 1
