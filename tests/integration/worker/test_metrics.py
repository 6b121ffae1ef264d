"""What a call counts in its own process can be read at the worker, also after the process was killed."""

import os
import signal
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from call_events.catalogue import CallEnded
from call_events.job_metrics import PREFIX, SHARED_MEMORY
from integration.worker.world import Line, World, a_worker, a_world
from support.waiting import wait_until

pytestmark = pytest.mark.media


@pytest.fixture(autouse=True)
def provider_behaves() -> None:
    """This test has a world of its own, for its worker ends within it."""


async def counted(world: World, name: str) -> float:
    """The sum of a family's samples of that name; each family comes once, and no sample tells a process."""
    url = world.worker_url.replace("/health", "/metrics")
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        text = await answer.text()
    types = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert not [sample for sample in samples if "pid" in sample.labels]
    return sum(sample.value for sample in samples if sample.name == name)


async def process_of(line: Line) -> int:
    """The job process of a call: the last part of a producer's name but one."""
    producer = (await line.events())[0].producer
    return int(producer.split("/")[1].rpartition("-")[2])


async def test_what_a_call_appends_is_counted_at_its_worker(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        async with a_worker(world) as worker:
            directories = list(SHARED_MEMORY.glob(f"{PREFIX}{worker.pid}-*"))
            async with world.a_call() as line:
                await line.caller.hang_up()
                await line.until(CallEnded)
                job = await process_of(line)
            appended = len(await line.events())
            await wait_until(lambda: not Path(f"/proc/{job}").exists(), what="the call's process ends")
            assert await counted(world, "cc_eventlog_appends_total") >= appended
            assert await counted(world, "cc_eventlog_append_seconds_count") >= appended
            assert await counted(world, "cc_eventlog_append_waiting") == 0
            async with world.a_call() as line:
                job = await process_of(line)
                told = await counted(world, "cc_eventlog_appends_total")
                assert told > appended, "a call that goes on is counted as well"
                os.kill(job, signal.SIGKILL)
                await wait_until(lambda: not Path(f"/proc/{job}").exists(), what="the call's process ends")
                assert await counted(world, "cc_eventlog_appends_total") >= told
                (directory,) = directories
                assert not list(directory.glob(f"*_{job}.db")), "what ended jobs counted is put away"
        assert not directory.exists()
