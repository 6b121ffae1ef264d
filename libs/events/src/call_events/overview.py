"""The log as a whole and each group of it, in numbers: what the server says of itself and of the doorbells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from call_events import keys
from call_events.asking import asked
from call_events.cluster import ClusterClient
from call_events.connection import address_of
from call_events.runner import translated

#: Older servers do not know how many doorbells are undelivered after some trims; then they are counted, up to so many.
_COUNTED = 10_000
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker of a group, as the server knows it."""

    name: str
    #: Seconds since it last asked for anything.
    seen_s: float
    #: Doorbells it has taken and not answered yet.
    pending: int


@dataclass(slots=True)
class GroupOverview:
    """One group over all shards."""

    group: str
    #: Doorbells nobody has taken yet.
    undelivered: int = 0
    #: Doorbells of calls that a worker has, or had when it was lost.
    in_hand: int = 0
    #: Seconds since the oldest of both was rung.
    oldest_doorbell_s: float = 0.0
    #: Calls that wait for a time, and those of them whose time is over.
    waiting: int = 0
    overdue: int = 0
    #: Seconds by which the most overdue of them is late.
    overdue_s: float = 0.0
    #: Those seen lately first.
    workers: list[Worker] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself."""

    kind: str
    version: str
    role: str
    replicas: int
    uptime_s: int
    memory_bytes: int
    #: 0 = no limit.
    memory_limit_bytes: int
    appendonly: bool
    #: ``appendfsync``; empty if the server does not permit the question.
    appendfsync: str
    last_write_ok: bool
    last_rewrite_ok: bool
    rewriting: bool
    #: Host and port where there are several: the masters of a Cluster.
    address: str = ""


@dataclass(frozen=True, slots=True)
class Doorbells:
    """The shards' streams and sets, summed."""

    length: int
    #: Calls that have not been retired, and those that have lately.
    calls: int
    retired: int


async def servers(redis: Redis) -> list[Server]:
    """Ask the server about itself; every master on a Cluster.

    Raises:
        LogUnavailable: one of them cannot be asked.
    """
    if not isinstance(redis, ClusterClient):
        return [await _server(redis)]
    masters = await asked(redis.masters.all())
    return sorted([replace(await _server(one), address=address_of(one)) for one in masters], key=attrgetter("address"))


async def _server(redis: Redis) -> Server:
    info: Mapping[str, Any] = await asked(redis.info("server", "memory", "persistence", "replication"))
    return Server(
        kind=str(info.get("server_name", "redis")),
        version=str(info.get("valkey_version") or info["redis_version"]),
        role=str(info.get("role", "")),
        replicas=int(info.get("connected_slaves", 0)),
        uptime_s=int(info.get("uptime_in_seconds", 0)),
        memory_bytes=int(info.get("used_memory", 0)),
        memory_limit_bytes=int(info.get("maxmemory", 0)),
        appendonly=bool(info.get("aof_enabled")),
        appendfsync=await _appendfsync(redis),
        last_write_ok=info.get("aof_last_write_status", "ok") == "ok",
        last_rewrite_ok=info.get("aof_last_bgrewrite_status", "ok") == "ok",
        rewriting=bool(info.get("aof_rewrite_in_progress")),
    )


async def _appendfsync(redis: Redis) -> str:
    try:
        found: Mapping[Any, Any] = await redis.config_get("appendfsync")
    except ResponseError:  # a service's user need not be permitted to ask
        return ""
    except (RedisError, OSError) as error:
        raise translated(error) from error
    return str(found.get("appendfsync", ""))


async def overview(redis: Redis, groups: Sequence[str]) -> tuple[Doorbells, list[GroupOverview]]:
    """Look at every shard, one after the other.

    Raises:
        LogUnavailable: Redis cannot be asked.
    """
    seconds, micros = await asked(redis.time())
    now_ms = seconds * 1000 + micros / 1000
    found = {group: GroupOverview(group) for group in groups}
    workers: dict[str, dict[str, Worker]] = {group: {} for group in groups}
    length = calls = retired = 0
    for tag in keys.TAGS:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.xlen(keys.bell(tag))
            pipe.zcard(keys.live(tag))
            pipe.zcard(keys.gone(tag))
            pipe.xinfo_groups(keys.bell(tag))
            rung, open_here, gone_here, theirs = await asked(pipe.execute(raise_on_error=False))
        _raise_unless_missing(rung, open_here, gone_here, theirs)
        length, calls, retired = length + rung, calls + open_here, retired + gone_here
        for one in theirs if isinstance(theirs, list) else []:
            if (name := one["name"].decode()) in found:
                await _look(redis, tag, found[name], one, now_ms)
                await _workers(redis, tag, name, workers[name])
    for group, seen in workers.items():
        found[group].workers = sorted(seen.values(), key=lambda worker: worker.seen_s)
    return Doorbells(length, calls, retired), list(found.values())


async def _look(redis: Redis, tag: str, group: GroupOverview, info: Mapping[str, Any], now_ms: float) -> None:
    bell, wake = keys.bell(tag), keys.wake(tag, group.group)
    last = info["last-delivered-id"].decode()
    async with redis.pipeline(transaction=False) as pipe:
        pipe.xpending(bell, group.group)
        pipe.xrange(bell, f"({last}", "+", count=1)
        pipe.zcard(wake)
        pipe.zcount(wake, "-inf", int(now_ms))
        pipe.zrange(wake, 0, 0, withscores=True)
        pending, undelivered, waiting, overdue, first = await asked(pipe.execute())
    group.undelivered += await _undelivered(redis, bell, last, info.get("lag")) if undelivered else 0
    group.in_hand += pending["pending"]
    oldest = [entry_id for entry_id in (pending["min"], undelivered[0][0] if undelivered else None) if entry_id]
    for entry_id in oldest:
        age_s = max(0.0, (now_ms - int(entry_id.partition(b"-")[0])) / 1000)
        group.oldest_doorbell_s = max(group.oldest_doorbell_s, age_s)
    group.waiting += waiting
    group.overdue += overdue
    if overdue:
        group.overdue_s = max(group.overdue_s, (now_ms - float(first[0][1])) / 1000)


async def _undelivered(redis: Redis, bell: str, last: str, lag: int | None) -> int:
    if lag is not None:
        return lag
    counted, after = 0, f"({last}"
    while counted < _COUNTED and (page := await asked(redis.xrange(bell, after, "+", count=_PAGE))):
        counted += len(page)
        after = f"({page[-1][0].decode()}"
    return counted


async def _workers(redis: Redis, tag: str, group: str, seen: dict[str, Worker]) -> None:
    for one in await asked(redis.xinfo_consumers(keys.bell(tag), group)):
        name, idle_s = one["name"].decode("utf-8", "replace"), one["idle"] / 1000
        before = seen.get(name)
        seen[name] = Worker(
            name,
            seen_s=idle_s if before is None else min(before.seen_s, idle_s),
            pending=one["pending"] + (before.pending if before else 0),
        )


def _raise_unless_missing(*answers: Any) -> None:
    """A shard in which nothing has happened yet has no doorbell stream; every other error is one."""
    for answer in answers:
        if isinstance(answer, BaseException) and "no such key" not in str(answer):
            if isinstance(answer, RedisError | OSError):
                raise translated(answer)
            raise answer
