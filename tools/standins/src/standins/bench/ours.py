"""Callweave's own log as one of the programs under comparison: ``python -m standins.bench.ours consume|produce``.

A consumer is a process as the services are: their event loop, their garbage collector's settings, a handler. Its log
lines are those of warnings and worse.
"""

import asyncio
import json
from datetime import UTC, datetime

import structlog
from prometheus_client import REGISTRY

from call_events.connection import connect
from call_events.consumer import Consumer
from call_events.ids import CallId
from call_events.options import ConsumerOptions
from call_events.ports import AnyEvent, CallView, Progress
from call_events.reader import create_groups
from call_events.redis_log import RedisEventLog
from call_events.startup import new_event_loop, run_service
from call_events.testing import said, started
from standins.bench.roles import Consuming, Producing, counts_beside, talk, told, wait_for_go
from standins.bench.witness import Witness

GROUP = "bench"
#: What a consumer tells of itself at its end.
COUNTED = ("repeats", "stalled", "fenced", "lost_leases", "swept")
#: For an append while a server is started again, or stands still.
_PATIENCE_S = 60.0
TEXT = "Could you tell me what the last invoice was about, please?"
_WARNING = 30


def call_of(number: int) -> CallId:
    """The call of that number."""
    return CallId(f"bench-{number}")


def event_of(call: CallId, seq: int) -> AnyEvent:
    """The event to append, stamped with this moment."""
    template = started(call) if seq == 1 else said(call, f"u{seq}", TEXT)
    return AnyEvent(data=template.data, call=call, producer="bench", time=datetime.now(UTC))


async def consume(asked: Consuming, stop: asyncio.Event) -> None:
    """Handle events one by one, in the order of their call."""
    async with connect(asked.url, max_connections=asked.at_once + 32) as redis:
        await create_groups(redis, GROUP)
        witness = Witness(asked.book)

        async def handler(view: CallView) -> Progress:
            call = int(view.call.rpartition("-")[2])
            for event in view.new:
                appended = event.time.timestamp()
                witness.begins(call, event.seq, appended)
                await asked.work.do(call, event.seq)
                witness.ends(call, event.seq, appended)
            return Progress(through=len(view.events))

        options = ConsumerOptions(slots=asked.at_once, lease_s=asked.lease_s)
        consumer = Consumer(redis, group=GROUP, worker=asked.name, handler=handler, options=options)
        await wait_for_go(redis.exists)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(consumer.run())
            await stop.wait()
            consumer.stop()
    counts = {name: REGISTRY.get_sample_value(f"cc_eventlog_{name}_total", {"group": GROUP}) or 0 for name in COUNTED}
    counts_beside(asked.book).write_text(json.dumps(counts))


async def produce(asked: Producing) -> None:
    """Append through one ``RedisEventLog``, which keeps its journal as in a service."""
    async with connect(asked.url) as redis:
        log = RedisEventLog(redis, deadline_s=_PATIENCE_S)

        async def append(call: int, seq: int) -> None:
            await log.append(event_of(call_of(call), seq))

        async with asyncio.TaskGroup() as tasks:
            journal = tasks.create_task(log.keep_journal())
            await talk(append, asked)
            journal.cancel()


def main() -> None:
    """See the module."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_WARNING))
    match told():
        case Consuming() as consuming:
            run_service(consuming.name, lambda stop: consume(consuming, stop))
        case Producing() as producing:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(produce(producing))


if __name__ == "__main__":
    main()
