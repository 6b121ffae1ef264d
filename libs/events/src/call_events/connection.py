"""The way to Redis, and whether what stands there will do."""

from typing import Annotated, Any
from urllib.parse import urlsplit

import structlog
from pydantic import AfterValidator
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from call_events import keys
from call_events.errors import BadSetting, LogUnavailable
from call_events.servers import introduce

log = structlog.get_logger()

#: How long a blocking read waits at the server before it comes back empty.
BLOCK_MS = 1000
#: More than a blocking read, less than anybody's patience.
SOCKET_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0
_OLDEST = (7, 0)
_SCHEMES = ("redis", "rediss", "unix")
#: Fixed: whatever stands in the URL may be a part of the password.
_NO_URL = (
    "REDIS_URL: this is no Redis URL that can be used; write redis://host:6379/0 (or rediss://, unix://), with any of "
    "/ ? # @ : in the user or password as %2F %3F %23 %40 %3A. There is no scheme for Sentinel or Cluster: name the "
    "address at which the master answers"
)


class _HiddenUrl(str):
    """A URL that shows itself without user and password in ``repr``, and so in the ``repr`` of whatever holds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(shown(self))


#: For settings: a ``str`` in every respect, but its ``repr`` keeps the password to itself.
RedisUrl = Annotated[str, AfterValidator(_HiddenUrl)]


def connect(url: str, *, max_connections: int | None = None) -> Redis:
    """A client for ``redis://``, ``rediss://`` or ``unix://``: RESP3, bytes, bounded waits. Connects on first use.

    Each of its connections knows its server (``call_events.servers``).
    It does not retry by itself: who may repeat what, and for how long, is decided where it is known.

    Args:
        url: where Redis is.
        max_connections: the bound of the pool, redis-py's own (100) unless given. A command that finds no free
            connection fails at once, so a consumer needs at least its slots, the script lanes (8) and a few more.

    Raises:
        BadSetting: the URL is of no such kind. The text repeats nothing of it.
    """
    if not _is_plain(url):
        raise BadSetting(_NO_URL)
    try:
        return Redis.from_url(
            url,
            max_connections=max_connections,
            protocol=3,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=introduce,
            driver_info=None,  # else every connect searches the disk for a version to introduce itself with
        )
    except ValueError:
        raise BadSetting(_NO_URL) from None


def shown(url: str) -> str:
    """The URL for messages: scheme, address and database or path; no user, no password, no options."""
    if not _is_plain(url):
        return "not shown"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _is_plain(url: str) -> bool:
    """Whether it is read as it was meant: a bare / ? # in a password ends it early, and the rest passes for a path."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if it is no number
    except ValueError:
        return False
    if parts.scheme == "unix":
        return True
    return parts.scheme in _SCHEMES and "@" not in parts.path + parts.query + parts.fragment


async def check_server(redis: Redis, *, url: str | None = None) -> None:
    """Refuse a server on which the log would not be safe, and leave our layout there if it is new.

    One that keeps nothing on disk is only warned about: a trial may well run on it.

    Args:
        redis: a client from :func:`connect`.
        url: what the message shall show; user and password are left out.

    Raises:
        BadSetting: too old, a node of a Cluster, would evict keys when full, or holds calls in another layout.
        LogUnavailable: cannot be reached.
    """
    where = f"REDIS_URL ({shown(url) if url else _address(redis)})"
    try:
        info = await redis.info("server", "memory", "cluster", "persistence")
        _judge(info, where)
        found: Any = await redis.set(keys.LAYOUT_KEY, keys.LAYOUT, nx=True, get=True)
    except AuthenticationError as error:
        raise BadSetting(f"{where}: Redis refuses the user or password ({error})") from error
    except ResponseError as error:
        if str(error).startswith(("NOPERM", "NOAUTH", "WRONGPASS")):
            raise BadSetting(f"{where}: Redis does not permit what the log needs ({error})") from error
        raise LogUnavailable(f"{where}: Redis cannot serve now ({error})") from error
    except (RedisError, OSError) as error:
        raise LogUnavailable(f"{where}: Redis cannot be reached ({error}); is it running there?") from error
    if found is not None and found.decode() != keys.LAYOUT:
        raise BadSetting(
            f"{where}: {keys.LAYOUT_KEY} there is of another layout; use a database of its own for Callweave"
        )
    if not info.get("aof_enabled"):
        log.warning(
            "redis.not_durable",
            problem=f"{where}: appendonly is no; calls and transfers in the log are lost if that server's process ends",
            mend="set 'appendonly yes' in its configuration, and now: redis-cli CONFIG SET appendonly yes",
        )


def _judge(info: Any, where: str) -> None:
    """Before anything is written there.

    Raises:
        BadSetting: a server of a kind with which the log would not be safe or not work.
    """
    if info.get("cluster_enabled"):
        raise BadSetting(
            f"{where}: this is a node of a Redis Cluster, which Callweave cannot use yet; name a stand-alone server "
            "(one master, with replicas if you like)"
        )
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise BadSetting(f"{where}: Redis {version} is too old; use Redis 7.0, Valkey 7.2 or newer")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise BadSetting(f"{where}: maxmemory-policy is {policy} and would delete calls; set it to noeviction")


def _address(redis: Redis) -> str:
    options = redis.connection_pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host')}:{options.get('port')}")
