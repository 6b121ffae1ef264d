"""The command line as a person on call meets it: against a real log, and when something is wrong."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from typer.testing import CliRunner

from call_events import catalogue as c
from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.envelope import Event, EventData
from call_events.errors import LogInUse, LogUnavailable
from call_events.fold import fold
from call_events.ids import CallId
from call_events.redis_log import RedisEventLog
from call_events.testing import START
from callweave import log_access, replayed
from callweave.__main__ import app, main
from callweave.log_access import open_redis
from callweave.settings import Settings

pytestmark = pytest.mark.usefixtures("logging_as_before")

CALL = CallId("call-7")
FORGED = "\x1b[2J\n   9     9.000 s  call           ended by ai"
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
            customer=c.Customer(identity="sip_1", number="+4930111"),
            dialled_number="+4930222",
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
        c.ToolCalled(
            agent="generic",
            tool_call_id="t1",
            name="find_order",
            arguments={"said": FORGED},
            outcome="ok",
            duration_ms=4,
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
    assert {"ended", "4.0", "generic", "6", "1"} <= set(line.split())


def test_timeline_says_which_call_it_is_and_shows_the_text_where_the_speech_began(
    log_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heading, *lines = run(log_directory, monkeypatch, "timeline", CALL).splitlines()
    assert heading == (
        f"call-7: began {START.astimezone():%Y-%m-%d %H:%M:%S %Z}, inbound, customer +4930111, dialled +4930222, "
        "profile contact-centre"
    )
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "5", "6"]
    assert lines[2].split(maxsplit=4)[3:] == ["Customer", "“Where is my order?”"]
    assert lines[3].split(maxsplit=3)[3] == "Generic AI     tool find_order → ok in 4 ms"


def test_timeline_with_all_shows_what_the_tool_was_given(log_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run(log_directory, monkeypatch, "timeline", CALL, "--all").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert 'arguments {"said":"' in lines[5]
    assert all(line.isprintable() for line in lines), "what was said is on one line and moves no cursor"


def test_timeline_as_json_is_the_log_itself(log_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run(log_directory, monkeypatch, "timeline", CALL, "--json").splitlines()
    events = [json.loads(line) for line in lines]
    assert all(line.isprintable() for line in lines)
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert {(event["subject"], event["producer"], event["specversion"]) for event in events} == {(CALL, "test", "1.0")}
    assert (events[4]["type"], events[4]["data"]["arguments"]) == ("tool.called.v1", {"said": FORGED})


def test_replay_rebuilds_the_state_and_can_stop_on_the_way(
    log_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.loads(run(log_directory, monkeypatch, "replay", CALL, "--json"))
    assert (whole["seq"], whole["ended_by"], whole["utterances"][0]["text"]) == (6, "customer", "Where is my order?")
    early = json.loads(run(log_directory, monkeypatch, "replay", CALL, "--json", "--until", "3"))
    assert (early["seq"], early["owner"], early["utterances"][0]["text"]) == (3, "ai", None)


def test_replay_tells_a_person_how_the_call_stood(log_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = run(log_directory, monkeypatch, "replay", CALL).splitlines()
    assert told[0] == "call-7: ended by customer (CLIENT_INITIATED) after 4.0 s, 6 events"
    assert [line for line in told if line and not line.startswith(" ")][-3:] == [
        "conversation",
        "tools",
        "events",
    ]
    assert told[told.index("conversation") + 1].split(maxsplit=5)[-1] == "Customer       “Where is my order?”"
    early = run(log_directory, monkeypatch, "replay", CALL, "--until", "3").splitlines()
    assert early[0] == "call-7: open, 3 events"
    assert "(text not yet known)" in early[early.index("conversation") + 1]


def test_replay_shows_nothing_that_a_terminal_obeys() -> None:
    speaker = CUSTOMER.model_copy(update={"name": FORGED})
    events: list[EventData] = [
        *_call()[:2],
        c.UtteranceStarted(utterance_id="u1", speaker=speaker, started_at=START),
        c.UtteranceCompleted(utterance_id="u1", speaker=speaker, text=FORGED, started_at=START, ended_at=START),
    ]
    state = fold(Event[EventData](data=data, call=CALL, producer="test", time=START) for data in events)
    assert all(line.isprintable() for line in replayed.lines(state))


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
        (("timeline", "no-such-call", "--json"), {}, "the log has no call no-such-call"),
        (("parked", "--group", "ccm"), {}, "no group ccm reads this log; no service has read this log yet"),
        (("unpark", CALL, "--group", "ccm"), {}, "no group ccm reads this log"),
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


async def command(*arguments: str, **environment: str) -> tuple[int | None, str, str]:
    """A process of its own: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "callweave", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    async with asyncio.timeout(30):
        answer, complaint = await process.communicate()
    return process.returncode, answer.decode(), complaint.decode()


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [(("calls", "--json"), 1), (("timeline", CALL, "--json"), 6), (("replay", CALL, "--json"), None)],
)
async def test_standard_output_is_the_answer_alone_also_on_a_server_that_the_services_warn_of(
    redis_url: str, redis: Redis, arguments: tuple[str, ...], lines: int | None
) -> None:
    """What another program reads must be JSON from its first byte: that server keeps no append-only file."""
    log = RedisEventLog(redis)
    for data in _call():
        await log.append(Event[EventData](data=data, call=CALL, producer="test", time=START))
    code, answer, complaint = await command(*arguments, REDIS_URL=redis_url)
    assert (code, complaint) == (0, "")
    values = [json.loads(part) for part in (answer.splitlines() if lines else [answer])]
    assert len(values) == (lines or 1)


async def test_a_log_that_a_demo_has_open_is_read_from_its_server(log_directory: Path) -> None:
    async with EmbeddedRedis(log_directory) as server:
        (log_directory / "url").write_text(server.url)
        code, answer, _ = await command("calls", "--json", CALLWEAVE_LOG_DIR=str(log_directory))
    assert (code, json.loads(answer)["call"]) == (0, CALL)


async def test_no_second_server_is_started_on_a_log_that_is_open(
    log_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two servers that append to one file would leave a log that none can read."""
    monkeypatch.setattr(log_access, "BUSY_DEADLINE_S", 0.2)
    async with EmbeddedRedis(log_directory):
        with pytest.raises(LogInUse, match=r"another process has the log in .* open, and no server answers"):
            async with log_access.open_redis(Settings(log_dir=log_directory)):
                pass


async def test_two_commands_at_once_take_turns_at_a_log_that_nobody_has_open(log_directory: Path) -> None:
    async with asyncio.TaskGroup() as group:
        both = [group.create_task(command("calls", CALLWEAVE_LOG_DIR=str(log_directory))) for _ in range(2)]
    assert [(code, CALL in answer, complaint) for code, answer, complaint in (one.result() for one in both)] == [
        (0, True, "")
    ] * 2


async def test_whoever_may_not_write_in_the_directory_reads_through_the_running_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock cannot be taken there; nobody needs it while a server runs."""
    directory = tmp_path / "log"
    (directory / "lock").mkdir(parents=True)  # as good as a file that may not be opened for writing, also for root
    settings = Settings(log_dir=directory)
    with pytest.raises(LogUnavailable, match="cannot be opened for writing"):
        async with open_redis(settings):
            pass
    async with EmbeddedRedis() as server:
        (directory / "url").write_text(server.url)
        async with open_redis(settings) as redis:
            assert await redis.ping()
