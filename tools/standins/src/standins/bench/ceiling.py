"""What the server can take of the append script when the client costs next to nothing."""

import asyncio

from call_events import keys, scripts
from call_events.bench import RAW, ceiling_rate
from call_events.connection import connect
from standins.bench.table import NotMeasured
from standins.media.ports import LOOPBACK
from standins.servers.programs import NoSuchServer, redis_benchmark

_CALLS = 1000
_DEADLINE_S = 120.0
_PIPELINES_S = 3.0
#: redis-benchmark writes a random number of twelve digits over each of these.
_ANY = "__rand_int__"


async def ceiling(url: str, requests: int) -> tuple[float, str]:
    """Appends a second, and what measured them.

    Raises:
        NotMeasured: redis-benchmark ran, but what it sent were no appends.
    """
    try:
        program = await asyncio.to_thread(redis_benchmark)
    except NoSuchServer:
        return await ceiling_rate(url, _PIPELINES_S), "ready-made pipelines"
    tag = keys.TAGS[0]
    at = f"cc:{{{tag}}}"
    script = scripts.load("append")
    port = url.rpartition(":")[2].partition("/")[0]
    async with connect(url) as redis:
        await redis.script_load(script.text)
        async with redis.pipeline(transaction=False) as pipe:
            for number in range(_CALLS):  # an append to a call that is not there would be refused
                pipe.hset(f"{at}:d:bench-{number:012}", "opened", 1)
                pipe.xadd(f"{at}:c:bench-{number:012}", {"e": RAW}, id="0-1")
            await pipe.execute()
        names = (f"{at}:c:bench-{_ANY}", f"{at}:d:bench-{_ANY}", keys.bell(tag), keys.live(tag))
        command = (
            *("EVALSHA", script.sha, "6", *names, f"{at}:w:bench-{_ANY}", keys.gone(tag)),
            *(_ANY * 3, RAW.decode(), f"bench-{_ANY}", "append", "", "", ""),
        )
        options = ("-h", LOOPBACK, "-p", port, "-P", "16", "-c", "50", "-r", str(_CALLS), "-n", str(requests), "--csv")
        process = await asyncio.create_subprocess_exec(
            program, *options, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(_DEADLINE_S):
            said, _ = await process.communicate()
        appended = await redis.xlen(keys.bell(tag))
    if appended < 0.99 * requests:
        raise NotMeasured(f"redis-benchmark: {appended} of {requests} requests were appends")
    # The first field repeats the command, quotes and all; behind it come requests per second and six latencies.
    return float(said.decode().strip().rsplit('","', 7)[1]), "redis-benchmark"
