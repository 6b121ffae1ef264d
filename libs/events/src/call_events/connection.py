"""The way to Redis, and whether what stands there will do."""

from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from call_events import keys
from call_events.errors import BadSetting, LogUnavailable

#: How long a blocking read waits at the server before it comes back empty.
BLOCK_MS = 1000
#: More than a blocking read, less than anybody's patience.
SOCKET_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0
_OLDEST = (7, 0)


def connect(url: str, *, max_connections: int | None = None) -> Redis:
    """A client for ``redis://``, ``rediss://`` or ``unix://``: RESP3, bytes, bounded waits. Connects on first use.

    It does not retry by itself: who may repeat what, and for how long, is decided where it is known.

    Args:
        url: where Redis is.
        max_connections: the bound of the pool, redis-py's own (100) unless given. A command that finds no free
            connection fails at once, so a consumer needs at least its slots, the script lanes (8) and a few more.

    Raises:
        BadSetting: the URL is of no such kind.
    """
    try:
        return Redis.from_url(
            url,
            max_connections=max_connections,
            protocol=3,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,  # else every connect searches the disk for a version to introduce itself with
        )
    except ValueError as error:
        raise BadSetting(f"REDIS_URL: not a Redis URL ({error}); write redis://host:6379/0") from None


def shown(url: str) -> str:
    """The URL without user and password, for messages."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


async def check_server(redis: Redis, *, url: str | None = None) -> None:
    """Refuse a server on which the log would not be safe, and leave our layout there if it is new.

    Args:
        redis: a client from :func:`connect`.
        url: what the message shall show; user and password are left out.

    Raises:
        BadSetting: too old, would evict keys when full, or holds calls in another layout.
        LogUnavailable: cannot be reached.
    """
    where = f"REDIS_URL ({shown(url) if url else _address(redis)})"
    try:
        info = await redis.info("server", "memory")
        found: Any = await redis.set(keys.LAYOUT_KEY, keys.LAYOUT, nx=True, get=True)
    except AuthenticationError as error:
        raise BadSetting(f"{where}: Redis refuses the user or password ({error})") from error
    except ResponseError as error:
        if str(error).startswith(("NOPERM", "NOAUTH", "WRONGPASS")):
            raise BadSetting(f"{where}: Redis does not permit what the log needs ({error})") from error
        raise LogUnavailable(f"{where}: Redis cannot serve now ({error})") from error
    except (RedisError, OSError) as error:
        raise LogUnavailable(f"{where}: Redis cannot be reached ({error}); is it running there?") from error
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise BadSetting(f"{where}: Redis {version} is too old; use Redis 7.0, Valkey 7.2 or newer")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise BadSetting(f"{where}: maxmemory-policy is {policy} and would delete calls; set it to noeviction")
    if found is not None and found.decode() != keys.LAYOUT:
        raise BadSetting(
            f"{where}: {keys.LAYOUT_KEY} there is of another layout; use a database of its own for Callweave"
        )


def _address(redis: Redis) -> str:
    options = redis.connection_pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host')}:{options.get('port')}")
