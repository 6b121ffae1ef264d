"""A producer in a process of its own: emits what it is told, one line of standard input each, as the voice worker does.

``python -m support.spool_producer REDIS_URL SPOOL_DIR CALL``; the line ``end`` waits for the log or the disk and ends.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from call_events.ids import CallId
from call_events.redis_log import RedisEventLog, connect
from call_events.spool import Spool
from call_events.spool_keeper import bequeath
from call_events.testing import speaking, started
from voice_worker.handlers.emitter import Emitter


async def main(url: str, directory: Path, call: CallId) -> None:
    async with connect(url) as redis:
        log = RedisEventLog(redis)
        emitter = Emitter(
            log, call, "voice-worker/test", lease_ms=5000, on_lost=lambda: None, spool=Spool(directory).of(call)
        )
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(work) for work in emitter.jobs().values()]
            while (line := (await reader.readline()).decode().strip()) not in {"", "end"}:
                data = started(call).data if line == "start" else speaking(call, line).data
                emitter.emit(data, at=datetime.now(UTC))
            safe = await emitter.drained(20)
            for task in running:
                task.cancel()
        emitter.close()
        await bequeath(Spool(directory), log, call)
        print("safe" if safe else "lost", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), CallId(sys.argv[3])))
