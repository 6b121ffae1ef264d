"""What is a matter for a person, and what that person is told: pure, from states made by hand."""

import inspect
import re
from dataclasses import replace
from pathlib import Path

import pytest

from call_events.ids import CallId
from call_events.overview import GroupOverview, Server, Worker
from callweave.operators import judging
from callweave.operators.judging import findings
from callweave.operators.spool import Spool
from callweave.operators.status import GroupStatus, LogStatus, Unhandled
from callweave.operators.status_text import head, row
from callweave.operators.words import many, size, span

SERVER = Server(
    kind="valkey",
    version="9.1.2",
    role="master",
    replicas=1,
    uptime_s=100_000,
    memory_bytes=50 * 2**20,
    memory_limit_bytes=100 * 2**20,
    appendonly=True,
    appendfsync="everysec",
    last_write_ok=True,
    last_rewrite_ok=True,
    rewriting=False,
)
HEALTHY = LogStatus((SERVER,), doorbells=3, open_calls=2, ended_calls=10, retired_calls=4, groups=(), spool=None)
WORKER = Worker("ccm-bridge/1", seen_s=0.4, pending=1)
OLD = Unhandled(CallId("call-7"), 12, "utterance.started.v1", 720.0, attempts=0, worker=None, wake_in_s=None)


def _group(**changes: object) -> GroupStatus:
    bells = GroupOverview("ccm", workers=[WORKER])
    return replace(GroupStatus("ccm", bells), **changes)  # type: ignore[arg-type]  # named one by one below


def _codes(status: LogStatus) -> list[str]:
    return [one.code for one in findings(status, older_than_s=300)]


def _only(status: LogStatus) -> str:
    (finding,) = findings(status, older_than_s=300)
    return finding.text


def test_a_log_that_does_well_needs_nobody() -> None:
    busy = _group(events_behind=40, calls_behind=9, oldest=replace(OLD, age_s=299.0))
    spool = Spool("/spool", files=2, size_bytes=10, oldest_s=59.0, refused=0)
    assert _codes(replace(HEALTHY, groups=(busy,), spool=spool)) == []


@pytest.mark.parametrize(
    ("server", "code"),
    [
        ({"role": "slave"}, "replica"),
        ({"last_write_ok": False}, "cannot_write"),
        ({"appendonly": False}, "not_durable"),
        ({"last_rewrite_ok": False}, "no_rewrite"),
        ({"memory_bytes": 86 * 2**20}, "nearly_full"),
    ],
)
def test_a_server_that_may_lose_or_refuse_events_needs_somebody(server: dict[str, object], code: str) -> None:
    status = replace(HEALTHY, servers=(replace(SERVER, **server),))  # type: ignore[arg-type]  # a field of it each
    assert _codes(status) == [code]


def test_of_several_masters_the_one_that_is_meant_is_named() -> None:
    good, bad = replace(SERVER, address="10.0.0.1:6379"), replace(SERVER, address="10.0.0.2:6379", appendonly=False)
    status = replace(HEALTHY, servers=(good, bad))
    assert _only(status).startswith("10.0.0.2:6379: appendonly is no")
    assert [line for line in head(status) if line.startswith("server")] == [
        f"server  valkey 9.1.2 at {one.address}, master, 1 replica, up 1 d 3 h" for one in (good, bad)
    ]


def test_a_server_without_a_limit_is_never_nearly_full() -> None:
    server = replace(SERVER, memory_limit_bytes=0, memory_bytes=2**40)
    assert _codes(replace(HEALTHY, servers=(server,))) == []
    assert head(replace(HEALTHY, servers=(server,)))[1] == "memory  1.0 TB, no limit set"


def test_parked_calls_are_told_with_the_commands_that_mend_it() -> None:
    assert _only(replace(HEALTHY, groups=(_group(parked=1),))) == (
        "group ccm has parked 1 call: `callweave dlq list --group ccm` tells which and why; mend that, then "
        "`callweave dlq requeue CALL --group ccm`"
    )


def test_refused_messages_are_told_until_somebody_has_seen_them() -> None:
    text = _only(replace(HEALTHY, groups=(_group(refused=2),)))
    assert text.startswith("group ccm: 2 messages were refused, and the calls went on without")
    assert "callweave dlq discard ID --why TEXT" in text


@pytest.mark.parametrize(
    ("workers", "told"),
    [
        ([], "group ccm has no worker (there is none in its list): start ccm-bridge"),
        ([replace(WORKER, seen_s=3600.0)], "group ccm has no worker (the last was seen 60 min ago): start ccm-bridge"),
    ],
)
def test_a_group_without_a_worker_needs_one(workers: list[Worker], told: str) -> None:
    group = _group(doorbells=GroupOverview("ccm", workers=workers))
    assert told in _only(replace(HEALTHY, groups=(group,)))


@pytest.mark.parametrize(
    ("oldest", "told"),
    [
        (replace(OLD, worker="ccm-bridge/1"), "ccm-bridge/1 has it in hand"),
        (replace(OLD, attempts=8, wake_in_s=12.0), "8 attempts failed; it is looked at again in 12 s"),
        (OLD, "nobody has taken it up"),
        (replace(OLD, wake_in_s=-3.0), "nobody has taken it up"),
        (replace(OLD, type=""), "event 12 (unreadable) of call-7"),
    ],
)
def test_what_is_unhandled_for_too_long_is_told_with_the_call_and_what_it_waits_for(
    oldest: Unhandled, told: str
) -> None:
    text = _only(replace(HEALTHY, groups=(_group(oldest=oldest),)))
    assert "of call-7 for 12 min" in text
    assert told in text


def test_calls_whose_time_has_passed_tell_that_the_workers_hang() -> None:
    late = GroupOverview("ccm", workers=[WORKER], waiting=9, overdue=3, overdue_s=31.0)
    assert "3 calls should have been looked at again up to 31 s ago" in _only(
        replace(HEALTHY, groups=(_group(doorbells=late),))
    )


def test_events_that_wait_on_the_disk_or_were_refused_there_need_somebody() -> None:
    spool = Spool("/spool", files=1, size_bytes=2048, oldest_s=3600.0 * 3, refused=2)
    waits, refused = findings(replace(HEALTHY, spool=spool), older_than_s=300)
    assert waits.text.startswith("1 file (2.0 KB) wait in /spool, one since 3 h 00 min")
    assert refused.text.startswith("2 files in /spool/refused")


def test_every_finding_is_explained_to_whoever_is_on_call() -> None:
    source = inspect.getsource(judging)
    codes = set(re.findall(r'Finding\(\s*"(\w+)"', source))
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    assert len(codes) == source.count("yield Finding(")
    assert {code for code in codes if f"| `{code}` |" not in page} == set()


def test_a_row_shows_the_call_that_waits_and_no_control_character() -> None:
    group = _group(events_behind=3, refused=1000, oldest=replace(OLD, type="x\x1b[2J"))
    cells = row(group)
    assert cells[4] == "3"
    assert cells[6] == "1000+"
    assert cells[8] == "1, seen 0.4 s ago"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (42, "42 s"), (119, "119 s"), (120, "2 min"), (3660, "61 min"),
     (7260, "2 h 01 min"), (90_000, "1 d 1 h")],
)  # fmt: skip
def test_lengths_of_time_are_told_as_people_say_them(seconds: float, told: str) -> None:
    assert span(seconds) == told


def test_sizes_and_counts_are_told_as_people_say_them() -> None:
    assert [size(n) for n in (0, 1023, 1024, 3 * 2**30, 2**50)] == ["0 B", "1023 B", "1.0 KB", "3.0 GB", "1024.0 TB"]
    assert [many(n, "call") for n in (0, 1, 2)] == ["0 calls", "1 call", "2 calls"]
