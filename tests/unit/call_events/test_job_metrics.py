"""What job processes count is told by their worker: real processes, killed ones too."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from call_events import job_metrics
from call_events.errors import BadSetting
from call_events.job_metrics import JobMetrics, metrics_directory
from support.waiting import wait_until

#: A job process: it imports everything that one does, counts, and lives on until its input ends.
JOB = """
import sys
from call_events import metrics, spool_keeper
metrics.APPENDS.labels(result="NEW").inc(3)
metrics.APPENDS.labels(result=sys.argv[1]).inc()
metrics.DROPPED.inc(2)
for seconds in (0.0007, 0.3, 99.0):
    metrics.APPEND_SECONDS.observe(seconds)
metrics.APPEND_WAITING.inc(5)
metrics.SPOOL_FILES.set(7)
metrics.BREAKER_OPEN.labels(group="x").set(1)
print("counted", flush=True)
sys.stdin.read()
"""

#: A worker with a file of a job in its directory.
WORKER = """
import sys
from pathlib import Path
from call_events import job_metrics
job_metrics.SHARED_MEMORY = Path(sys.argv[1])
with job_metrics.metrics_directory() as directory:
    (directory / "counter_1.db").touch()
    print(directory, flush=True)
    sys.stdin.read()
"""

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@asynccontextmanager
async def a_job(directory: Path, result: str) -> AsyncIterator[asyncio.subprocess.Process]:
    job = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", JOB, result),
        env={"PROMETHEUS_MULTIPROC_DIR": str(directory)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert job.stdout is not None
        async with asyncio.timeout(30):
            assert await job.stdout.readline() == b"counted\n"
        yield job
    finally:
        if job.returncode is None:
            job.kill()
            await job.wait()


def files_of(job: asyncio.subprocess.Process, directory: Path) -> list[Path]:
    return list(directory.glob(f"*_{job.pid}.db"))


@pytest.fixture
def own() -> CollectorRegistry:
    """What the main process counts: some of it under names that jobs count under too."""
    registry = CollectorRegistry()
    Counter("cc_eventlog_appends", "Appends", ["result"], registry=registry).labels(result="NEW").inc(100)
    Histogram("cc_eventlog_append_seconds", "Seconds", buckets=(0.001, 0.5), registry=registry).observe(0.2)
    Gauge("cc_eventlog_spool_files", "Files", registry=registry).set(4)
    Gauge("cc_eventlog_append_waiting", "Waiting", registry=registry, multiprocess_mode="livesum").set(1)
    Counter("only_of_the_main_process", "Alone", registry=registry).inc()
    return registry


def scraped(jobs: JobMetrics) -> Values:
    """What /metrics would tell, each family and each sample once, and nothing told apart by process."""
    text = generate_latest(jobs.registry).decode()
    families = list(text_string_to_metric_families(text))
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names)), "a family comes twice"
    samples = [(sample.name, tuple(sorted(sample.labels.items()))) for family in families for sample in family.samples]
    assert len(samples) == len(set(samples)), "a sample comes twice"
    assert not [labels for _, labels in samples if "pid" in dict(labels)]
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def buckets(values: Values) -> list[tuple[str, float]]:
    found = [
        (dict(labels)["le"], value)
        for (name, labels), value in values.items()
        if name.endswith("append_seconds_bucket")
    ]
    return sorted(found, key=lambda one: float(one[0]))


async def test_what_jobs_count_is_added_up_and_outlives_them(tmp_path: Path, own: CollectorRegistry) -> None:
    jobs = JobMetrics(tmp_path, own)
    async with a_job(tmp_path, "DUP") as first, a_job(tmp_path, "OTHER") as second:
        living = scraped(jobs)
        first.send_signal(signal.SIGKILL)
        await first.wait()
        after_one = scraped(jobs)
        assert second.stdin is not None
        second.stdin.close()
        assert await second.wait() == 0
    after_both = scraped(jobs)
    for values in (living, after_one, after_both, scraped(jobs)):
        assert values["cc_eventlog_appends_total", (("result", "NEW"),)] == 100 + 3 + 3
        assert values["cc_eventlog_appends_total", (("result", "DUP"),)] == 1
        assert values["cc_eventlog_appends_total", (("result", "OTHER"),)] == 1
        assert values["cc_eventlog_dropped_total", ()] == 4
        assert values["cc_eventlog_append_seconds_count", ()] == 1 + 3 + 3
        assert values["cc_eventlog_append_seconds_sum", ()] == pytest.approx(0.2 + 2 * (0.0007 + 0.3 + 99.0))
        told = dict(buckets(values))
        assert (told["0.001"], told["0.5"], told["+Inf"]) == (2, 1 + 4, 7)
        assert values["only_of_the_main_process_total", ()] == 1
        assert values["cc_eventlog_spool_files", ()] == 4, "the main process alone looks at the spool"
        assert not [name for name, _ in values if name == "cc_eventlog_breaker_open"]
    waiting = [values["cc_eventlog_append_waiting", ()] for values in (living, after_one, after_both)]
    assert waiting == [1 + 5 + 5, 1 + 5, 1], "nothing waits in a process that has gone"


async def test_buckets_that_only_jobs_count_grow_from_one_to_the_next(tmp_path: Path) -> None:
    jobs = JobMetrics(tmp_path, CollectorRegistry())
    async with a_job(tmp_path, "NEW"), a_job(tmp_path, "NEW"):
        told = buckets(scraped(jobs))
    assert [value for _, value in told] == sorted(value for _, value in told)
    assert (dict(told)["0.001"], dict(told)["0.5"], told[-1]) == (2, 4, ("+Inf", 6))


async def test_files_of_ended_jobs_go_also_when_nobody_scrapes(
    tmp_path: Path, own: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_metrics, "LOOK_S", 0.01)
    jobs = JobMetrics(tmp_path, own)
    async with a_job(tmp_path, "NEW") as ended, a_job(tmp_path, "NEW") as living:
        ended.kill()
        await ended.wait()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(jobs.run())
            await wait_until(lambda: not files_of(ended, tmp_path), what="its files go")
            running.cancel()
        assert files_of(living, tmp_path)
        assert scraped(jobs)["cc_eventlog_dropped_total", ()] == 4


@pytest.mark.parametrize("content", [b"", b"no such file" * 9, b"\xff" * 65536])
async def test_a_file_that_cannot_be_read_hides_nothing_else(
    content: bytes, tmp_path: Path, own: CollectorRegistry
) -> None:
    jobs = JobMetrics(tmp_path, own)
    async with a_job(tmp_path, "NEW") as job:
        (tmp_path / f"summary_{job.pid}.db").write_bytes(content)
        assert scraped(jobs)["cc_eventlog_dropped_total", ()] == 2
    assert scraped(jobs)["cc_eventlog_dropped_total", ()] == 2
    assert not files_of(job, tmp_path)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(job_metrics, "SHARED_MEMORY", tmp_path)
    return tmp_path


def test_the_directory_goes_with_its_worker_and_that_of_a_killed_one_at_the_next_start(place: Path) -> None:
    others = place / "somebody else's"
    others.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        theirs = Path(worker.stdout.readline().strip())
        with metrics_directory() as ours:
            assert str(os.getpid()) in ours.name
            assert ours.stat().st_mode & 0o777 == 0o700
            assert set(place.iterdir()) == {ours, theirs, others}, "its worker lives"
            worker.kill()
            worker.wait()
            assert theirs.is_dir()
            with metrics_directory() as another:
                assert set(place.iterdir()) == {ours, another, others}
    assert list(place.iterdir()) == [others]


def test_where_no_directory_can_be_made_the_start_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_metrics, "SHARED_MEMORY", place / "none")
    monkeypatch.setattr(tempfile, "tempdir", str(place / "nowhere"))
    with pytest.raises(BadSetting, match="TMPDIR: there is no place"), metrics_directory():
        pass
