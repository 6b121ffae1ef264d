"""What may go wrong on one server, on every kind of server: real processes, real signals."""

import asyncio
import signal
import sys
from pathlib import Path

from redis.asyncio import Redis

from call_events import keys
from call_events.admin import Admin
from call_events.ids import CallId
from call_events.redis_log import RedisEventLog
from call_events.testing import speaking, started
from support.log_worker import GROUP as WITNESS
from support.traffic import traffic
from support.waiting import wait_until

CALLS = [CallId(f"call-{number}") for number in range(20)]
EACH = 8


async def worker_process(url: str, name: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "support.log_worker", url, name, "1"),
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=asyncio.subprocess.DEVNULL,
    )


async def test_kill_nine_of_one_of_two_workers_loses_and_reorders_nothing(backend: Redis, backend_url: str) -> None:
    log = RedisEventLog(backend)
    victim, survivor = [await worker_process(backend_url, name) for name in ("victim", "survivor")]
    try:
        for call in CALLS:
            await log.append(started(call))
        await wait_until(lambda: backend.exists(f"witness:{CALLS[0]}"), what="the workers work")
        for number in range(EACH - 1):
            for call in CALLS:
                await log.append(speaking(call, f"u{number}"))
            if number == EACH // 2:
                victim.send_signal(signal.SIGKILL)
        for call in CALLS:
            await wait_until(lambda c=call: at_end(backend, c), within_s=20, what=f"{call} is finished")
            handled = [int(seq) for seq in await backend.lrange(f"witness:{call}", 0, -1)]
            assert list(dict.fromkeys(handled)) == list(range(1, EACH + 1))
            receipts = await Admin(backend).receipts(WITNESS, call)
            assert [receipt.seq for receipt in receipts] == list(range(1, EACH + 1))
    finally:
        survivor.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await survivor.wait() == 0
            await victim.wait()


async def at_end(redis: Redis, call: CallId) -> bool:
    return (await Admin(redis).state(WITNESS, call)).cursor == EACH


async def test_a_server_that_forgot_scripts_and_doorbells_is_sent_them_again(backend: Redis, backend_url: str) -> None:
    async with traffic(backend_url, CALLS[:4], consumers=1) as flow:
        await backend.script_flush()
        for tag in keys.TAGS:
            await backend.xtrim(keys.bell(tag), maxlen=0, approximate=False)
        await flow.grows(5)
