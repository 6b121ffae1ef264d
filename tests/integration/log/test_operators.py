"""``callweave log`` and ``callweave dlq`` as a person on call meets them: whole processes, a real log and consumers."""

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from call_events import keys
from call_events.admin import Admin
from call_events.consumer import ConsumerOptions, ParkCall
from call_events.ids import CallId
from call_events.ports import CallView, Progress, Receipt
from call_events.reader import create_groups
from call_events.redis_log import RedisEventLog
from call_events.testing import said, speaking, started
from integration.log.test_faults import consuming
from support.waiting import wait_until

OPTIONS = ConsumerOptions(wake_poll_s=0.05, sweep_s=0.2)
BROKEN, FINE = CallId("broken"), CallId("fine")
SECRET = "my number is 4711"


class Channel:
    """Parks one call at its second event, has a message of the other refused."""

    mended = False

    async def __call__(self, view: CallView) -> Progress:
        if view.call == BROKEN and view.cursor < 2 and not self.mended:
            raise ParkCall("no such channel\x1b[2J", through=1)
        refused = (Receipt(2, "refused", {"reason": "too long"}),) if view.call == FINE and view.cursor < 2 else ()
        return Progress(len(view.events), receipts=refused)


@asynccontextmanager
async def stuck(redis: Redis) -> AsyncIterator[Channel]:
    channel, log, admin = Channel(), RedisEventLog(redis), Admin(redis)
    for call in (BROKEN, FINE):
        await log.append(started(call))
        await log.append(said(call, "u1", SECRET))
        await log.append(speaking(call, "u2"))
    async with consuming(redis, channel, options=OPTIONS):

        async def both() -> bool:
            return len(await admin.set_aside("g")) == 2 and (await admin.state("g", FINE)).cursor == 3

        await wait_until(both)
        yield channel


async def command(url: str, *arguments: str, **environment: str) -> tuple[int | None, str, str]:
    """Exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "callweave", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"REDIS_URL": url, "CALLWEAVE_USER": "anna", **environment},
    )
    async with asyncio.timeout(30):
        answer, complaint = await process.communicate()
    return process.returncode, answer.decode(), complaint.decode()


async def told(url: str, *arguments: str, **environment: str) -> str:
    """What a command that succeeds answers."""
    code, answer, complaint = await command(url, *arguments, **environment)
    assert (code, complaint) == (0, ""), complaint
    return answer


@pytest_asyncio.fixture
async def durable(redis: Redis) -> AsyncIterator[None]:
    """The tests' server keeps nothing; let it, so that what is asked about is all that is wrong."""
    await redis.config_set("appendonly", "yes")
    yield
    await redis.config_set("appendonly", "no")


@pytest.mark.usefixtures("durable")
async def test_status_is_healthy_while_workers_work_and_nothing_waits(redis: Redis, redis_url: str) -> None:
    async with stuck(redis) as channel:
        channel.mended = True
        await Admin(redis).unpark("g", BROKEN)
        (refused,) = [one for one in await Admin(redis).set_aside("g") if one.kind == "refused"]
        await told(redis_url, "dlq", "discard", refused.id, "--why", "the customer was told by letter")
        answer = await told(redis_url, "log", "status")
    assert "healthy: nothing needs a person" in answer
    assert SECRET not in answer


@pytest.mark.usefixtures("durable")
async def test_status_names_what_needs_a_person_and_ends_with_one(redis: Redis, redis_url: str) -> None:
    async with stuck(redis):
        code, answer, complaint = await command(redis_url, "log", "status", "--json")
        status = json.loads(answer)
        assert (code, complaint) == (1, "")
        assert [one["code"] for one in status["findings"]] == ["parked", "refused"]
        assert (status["open_calls"], status["ended_calls"], status["healthy"]) == (2, 0, False)
        assert (status["groups"][0]["parked"], status["groups"][0]["refused"]) == (1, 1)
    await create_groups(redis, "never")
    code, answer, _ = await command(redis_url, "log", "status")
    assert code == 1
    assert "! group never has no worker (there is none in its list)" in answer
    assert "! group never has not handled event 1 (call.started.v1) of " in answer
    assert all(line.isprintable() for line in answer.splitlines())


@pytest.mark.usefixtures("durable")
async def test_status_looks_into_the_spool_of_this_machine(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    assert "spool   empty" in await told(redis_url, "log", "status", "--spool", str(spool))
    (spool / "refused").mkdir(parents=True)
    (spool / "call-7.spool").write_bytes(b"x" * 100)
    os.utime(spool / "call-7.spool", (0, 0))
    (spool / "refused" / "call-8.spool").write_bytes(b"x")
    code, answer, _ = await command(redis_url, "log", "status", "--json", CALLWEAVE_SPOOL_DIR=str(spool))
    status = json.loads(answer)
    assert code == 1
    assert [one["code"] for one in status["findings"]] == ["spooled", "spool_refused"]
    assert (status["spool"]["files"], status["spool"]["size_bytes"], status["spool"]["refused"]) == (1, 100, 1)


async def test_status_that_cannot_look_ends_with_two(tmp_path: Path) -> None:
    code, answer, complaint = await command("redis://127.0.0.1:1/0", "log", "status")
    assert (code, answer) == (2, "")
    assert complaint.startswith("callweave: ")
    assert len(complaint.splitlines()) == 1


async def test_top_tells_who_has_what_and_why_nobody_goes_on(redis: Redis, redis_url: str) -> None:
    async with stuck(redis):
        answer = await told(redis_url, "log", "top", "--once")
        (row,) = [json.loads(line) for line in (await told(redis_url, "log", "top", "--json")).splitlines()]
        longest = await told(redis_url, "log", "top", "--once", "--by", "length")
    header, line = answer.splitlines()
    assert header.split()[:5] == ["call", "events", "state", "group", "behind"]
    assert line.split()[:5] == [BROKEN, "3", "open", "g", "2"]
    assert "#2 utterance.completed.v1" in line
    assert "nobody: parked: no such channel␛[2J" in line
    assert (row["call"], row["standing"]["cursor"], row["standing"]["epoch"]) == (BROKEN, 1, 1)
    assert {one.split()[0] for one in longest.splitlines()[1:]} == {BROKEN, FINE}
    assert SECRET not in answer + longest


async def test_top_keeps_looking_on_a_terminal_until_it_is_interrupted(redis: Redis, redis_url: str) -> None:
    async with stuck(redis):
        main, side = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "callweave", "log", "top", "--every", "0.2"),
            stdout=side,
            stderr=asyncio.subprocess.PIPE,
            env={"REDIS_URL": redis_url, "TERM": "xterm", "COLUMNS": "150"},
        )
        os.close(side)
        screen = bytearray()
        os.set_blocking(main, False)

        def shown(times: int) -> bool:
            with suppress(BlockingIOError):
                screen.extend(os.read(main, 65536))
            return screen.count(b"no such channel") >= times

        await wait_until(lambda: shown(2), within_s=20, what="two looks")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            _, complaint = await process.communicate()
        os.close(main)
    assert (process.returncode, complaint) == (0, b"")


async def test_dlq_lists_what_counts_and_with_all_what_was_decided(redis: Redis, redis_url: str) -> None:
    async with stuck(redis):
        listed = await told(redis_url, "dlq", "list")
        assert sorted(line.split("  ", 1)[1].strip().split("  (")[0] for line in listed.splitlines()) == [
            "g         broken  parked at event 2: no such channel␛[2J",
            "g         fine  message of event 2 refused: too long",
        ]
        letters = [json.loads(line) for line in (await told(redis_url, "dlq", "list", "--json")).splitlines()]
        refused = next(one["id"] for one in letters if one["kind"] == "refused")
        assert f"({refused})" in listed
        await told(redis_url, "dlq", "discard", refused, "--why", "sent by hand")
        await told(redis_url, "dlq", "discard", BROKEN, "--group", "g", "--one", "--why", "an old test")
        assert await told(redis_url, "dlq", "list") == "no call is parked and no message was refused\n"
        everything = await told(redis_url, "dlq", "list", "--all")
    assert "passed over event 2 by anna: an old test" in everything
    assert "refused message of event 2 seen by anna: sent by hand" in everything
    assert len(everything.splitlines()) == 4


async def test_show_tells_all_about_a_call_but_what_was_said(redis: Redis, redis_url: str) -> None:
    async with stuck(redis):
        answer = await told(redis_url, "dlq", "show", BROKEN)
        letter = json.loads((await told(redis_url, "dlq", "list", "--group", "g", "--json")).splitlines()[0])
        by_id = await told(redis_url, "dlq", "show", letter["id"], "--json")
    first, event, *more = answer.splitlines()
    assert first == "broken: group g parked at event 2 of 3: no such channel␛[2J"
    assert event.startswith("event 2: utterance.completed.v1 of 2026-01-05T09:00:02+00:00, by test, ")
    assert "callweave dlq requeue broken --group g" in more[-1]
    assert json.loads(by_id)["letters"][0]["id"] == letter["id"]
    assert SECRET not in answer + by_id


async def test_what_was_said_is_shown_only_to_somebody_who_is_recorded(redis: Redis, redis_url: str) -> None:
    async with stuck(redis):
        assert await redis.xlen("cc:reads") == 0
        answer = await told(redis_url, "dlq", "show", BROKEN, "--content", "--why", "ticket 12")
        assert SECRET in answer
        assert all(line.isprintable() for line in answer.splitlines())
        reads = await told(redis_url, "reads", BROKEN, "--json")
    assert (json.loads(reads)["who"], json.loads(reads)["why"]) == ("anna", "ticket 12")
    code, answer, _ = await command(redis_url, "dlq", "show", BROKEN, "--content", CALLWEAVE_WHY_REQUIRED="true")
    assert (code, answer) == (2, "")


async def test_requeue_gives_the_call_back_and_tells_what_became_of_it(redis: Redis, redis_url: str) -> None:
    async with stuck(redis) as channel:
        channel.mended = True
        answer = await told(
            redis_url, "dlq", "requeue", BROKEN, "--group", "g", "--why", "channel was made", "--wait", "10"
        )
        assert answer.splitlines()[1] == "group g has finished all 3 events"
        code, _, complaint = await command(redis_url, "dlq", "requeue", BROKEN, "--group", "g")
        assert (code, complaint) == (
            2,
            "callweave: group g has not parked broken; `callweave dlq list` tells what is parked\n",
        )
    assert "given back at event 2 by anna: channel was made" in await told(redis_url, "dlq", "show", BROKEN)


async def test_discard_of_the_rest_says_what_the_group_will_not_see(redis: Redis, redis_url: str) -> None:
    async with stuck(redis):
        answer = await told(redis_url, "dlq", "discard", BROKEN, "--group", "g", "--why", "a test call")
        assert answer == "broken: group g passes over events 2 to 3 and whatever may follow; the log keeps all of it\n"
    assert "broken: group g passes over the rest of the call" in await told(redis_url, "dlq", "show", BROKEN)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("dlq", "list", "--group", "ccm"), "no group ccm reads this log; there are: g"),
        (("dlq", "show", "unheard-of"), "no group has ever put unheard-of aside"),
        (("dlq", "show", "g/18/0-1"), "there is no dead letter of that id in group g"),
        (("dlq", "show", "a/b"), "that is no id of a dead letter"),
        (("dlq", "show", "{not} a call"), "A call id must be"),
        (("dlq", "requeue", FINE, "--group", "g"), "group g has not parked fine"),
        (("dlq", "requeue", BROKEN, "--group", "ccm"), "no group ccm reads this log; there are: g"),
        (("dlq", "requeue", BROKEN, "--group", "g"), "has parked it again at event 2"),
        (("dlq", "discard", FINE, "--group", "g", "--why", "x"), "group g has not parked fine"),
        (("dlq", "discard", BROKEN, "--why", "x"), "name the group that has parked the call"),
        (("dlq", "discard", BROKEN, "--group", "g", "--why", " "), "say why"),
        (("dlq", "discard", "g/18/0-1", "--one", "--why", "x"), "named by its id alone"),
    ],
)
async def test_what_goes_wrong_is_one_line_and_changes_nothing(
    redis: Redis, redis_url: str, arguments: tuple[str, ...], complaint: str
) -> None:
    async with stuck(redis):
        code, answer, told = await command(redis_url, *arguments)
        assert (code, answer, len(told.splitlines())) == (2, "", 1)
        assert told.startswith("callweave: ")
        assert complaint in told
        assert (await Admin(redis).state("g", BROKEN)).parked == "no such channel\x1b[2J"


async def test_a_letter_that_is_no_refusal_cannot_be_marked_as_seen(redis: Redis, redis_url: str) -> None:
    async with stuck(redis):
        (parked,) = [one for one in await Admin(redis).set_aside("g") if one.kind == "parked"]
        code, _, complaint = await command(redis_url, "dlq", "discard", parked.id, "--why", "x")
    assert code == 2
    assert (
        "is no refused message but a letter of kind parked; for a parked call: callweave dlq discard broken"
        in complaint
    )
    assert await redis.xlen(keys.dead_letters(keys.tag_of(BROKEN), "g")) >= 1
