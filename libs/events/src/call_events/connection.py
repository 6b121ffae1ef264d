"""The way to Redis, and whether what stands there will do."""

from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from call_events import addresses, keys
from call_events.addresses import Host, RedisAddress, RedisUrl, shown
from call_events.cluster import ClusterClient
from call_events.errors import BadSetting, LogUnavailable
from call_events.masters import Masters, NoCluster
from call_events.sentinel import SentinelClient
from call_events.servers import introduce

__all__ = ["RedisUrl", "check_server", "connect", "shown"]

log = structlog.get_logger()

#: How long a blocking read waits at the server before it comes back empty.
BLOCK_MS = 1000
#: More than a blocking read, less than anybody's patience.
SOCKET_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0
_OLDEST = (7, 0)
_SECTIONS = ("server", "memory", "cluster", "persistence")


def connect(url: str, *, max_connections: int | None = None) -> Redis:
    """A client for what ``call_events.addresses`` names: RESP3, bytes, bounded waits. Connects on first use.

    Each of its connections knows its server (``call_events.servers``).
    It does not retry by itself: who may repeat what, and for how long, is decided where it is known.

    Args:
        url: where Redis is.
        max_connections: the bound of the pool, redis-py's own (100) unless given; of each master's pool on a Cluster. A
            command that finds no free connection fails at once, so a consumer needs at least its slots, the script
            lanes (8) and a few more. Those that wait for doorbells, one for each tag on a Cluster, are added here.

    Raises:
        BadSetting: the URL is of no such kind. The text repeats nothing of it.
    """
    address = addresses.read(url)
    try:
        match address.way:
            case "cluster":
                return _cluster(address, max_connections)
            case "sentinel":
                return SentinelClient(address, {**_common(), "max_connections": max_connections})
            case "server":
                return Redis.from_url(url, max_connections=max_connections, **_common())
    except ValueError:
        raise BadSetting(addresses.NO_URL) from None


def _common() -> dict[str, Any]:
    return {
        "protocol": 3,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "redis_connect_func": introduce,
        "driver_info": None,  # else every connect searches the disk for a version to introduce itself with
    }


def _cluster(address: RedisAddress, max_connections: int | None) -> ClusterClient:
    bound = None if max_connections is None else max_connections + len(keys.TAGS)
    options = {**_common(), "max_connections": bound, **address.options(), "db": 0}

    def make(host: Host) -> Redis:
        return Redis.from_pool(ConnectionPool(host=host[0], port=host[1], **options))

    return ClusterClient(Masters(address.hosts, make), make(address.hosts[0]))


async def check_server(redis: Redis, *, url: str | None = None) -> None:
    """Refuse a server on which the log would not be safe, and leave our layout there if it is new.

    On a Cluster every master is looked at. One that keeps nothing on disk is only warned about: a trial may well run
    on it.

    Args:
        redis: a client from :func:`connect`.
        url: what the message shall show; user and password are left out.

    Raises:
        BadSetting: too old, would evict keys when full, holds calls in another layout, or is of another kind than the
            URL says.
        LogUnavailable: cannot be reached.
    """
    where = f"REDIS_URL ({shown(url) if url else address_of(redis)})"
    try:
        masters = await redis.masters.all() if isinstance(redis, ClusterClient) else [redis]
        found_out = [(_at(master, where, len(masters)), await master.info(*_SECTIONS)) for master in masters]
        for at, info in found_out:
            _judge(info, at, in_cluster=isinstance(redis, ClusterClient))
        found: Any = await redis.set(keys.LAYOUT_KEY, keys.LAYOUT, nx=True, get=True)
    except NoCluster as error:
        raise BadSetting(f"{where}: this is no node of a Redis Cluster; write redis:// (or rediss://)") from error
    except AuthenticationError as error:
        raise BadSetting(f"{where}: Redis refuses the user or password ({error})") from error
    except ResponseError as error:
        if str(error).startswith(("NOPERM", "NOAUTH", "WRONGPASS")):
            raise BadSetting(f"{where}: Redis does not permit what the log needs ({error})") from error
        raise LogUnavailable(f"{where}: Redis cannot serve now ({error})") from error
    except MasterNotFoundError as error:
        raise LogUnavailable(
            f"{where}: {error}; does a Sentinel run there that knows a master of this name?"
        ) from error
    except (RedisError, OSError) as error:
        raise LogUnavailable(f"{where}: Redis cannot be reached ({error}); is it running there?") from error
    if found is not None and found.decode() != keys.LAYOUT:
        raise BadSetting(
            f"{where}: {keys.LAYOUT_KEY} there is of another layout; use a database of its own for Callweave"
        )
    for at, info in found_out:
        if not info.get("aof_enabled"):
            log.warning(
                "redis.not_durable",
                problem=f"{at}: appendonly is no; calls and transfers in the log are lost if that process ends",
                mend="set 'appendonly yes' in its configuration, and now: redis-cli CONFIG SET appendonly yes",
            )


def _judge(info: Any, where: str, *, in_cluster: bool) -> None:
    """Before anything is written there.

    Raises:
        BadSetting: a server of a kind with which the log would not be safe or not work.
    """
    if info.get("redis_mode") == "sentinel":
        raise BadSetting(f"{where}: this is a Sentinel; write redis+sentinel://host:26379,host:26379/master-name")
    if info.get("cluster_enabled") and not in_cluster:
        raise BadSetting(f"{where}: this is a node of a Redis Cluster; write redis+cluster://host:6379,host:6379")
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise BadSetting(f"{where}: Redis {version} is too old; use Redis 7.0, Valkey 7.2 or newer")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise BadSetting(f"{where}: maxmemory-policy is {policy} and would delete calls; set it to noeviction")


def _at(master: Redis, where: str, masters: int) -> str:
    """Which of several is meant."""
    return where if masters == 1 else f"{where}, master {address_of(master)}"


def address_of(redis: Redis) -> str:
    """Where a client leads, for messages."""
    pool = redis.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        return f"the Sentinels' master {pool.service_name}"
    options = pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host')}:{options.get('port')}")
