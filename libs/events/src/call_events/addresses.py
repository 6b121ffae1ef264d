"""``REDIS_URL``: where Redis is, and how it is told to people.

    redis://[user:password@]host[:port][/database]                          one server
    unix://[user:password@]/path/to/socket
    redis+sentinel://[user:password@]host[:port],…/master-name[/database]   the Sentinels that know the master
    redis+cluster://[user:password@]host[:port],…                           some nodes of a Cluster

``rediss`` in place of ``redis`` speaks TLS. What follows a ``?`` are options of redis-py for every connection, and
``sentinel_username`` and ``sentinel_password`` for the Sentinels.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from pydantic import AfterValidator
from redis.asyncio.connection import parse_url

from call_events.errors import BadSetting

Way = Literal["server", "sentinel", "cluster"]
Host = tuple[str, int]

#: Fixed: whatever stands in the URL may be a part of the password.
NO_URL = (
    "REDIS_URL: this is no Redis URL that can be used; write redis://host:6379/0, unix:///path/to/socket, "
    "redis+sentinel://host:26379,host:26379/master-name or redis+cluster://host:6379,host:6379 (rediss for TLS), with "
    "any of / ? # @ : , in the user or password as %2F %3F %23 %40 %3A %2C"
)
_PORTS = {"sentinel": 26379, "cluster": 6379}
_PLAIN = ("redis", "rediss", "unix")


@dataclass(frozen=True, slots=True, repr=False)
class RedisAddress:
    """A URL, read. Holds the password: it has no ``repr`` of its own for that reason."""

    way: Way
    #: The URL itself for one server; for the others one that names no host, for what every connection is told.
    url: str
    hosts: tuple[Host, ...] = ()
    master: str = ""
    #: What the Sentinels are told, who may have a password of their own.
    sentinel: tuple[tuple[str, str], ...] = ()

    def options(self) -> dict[str, Any]:
        """What redis-py reads out of the URL, without host and port."""
        read: dict[str, Any] = dict(parse_url(self.url))
        return {name: value for name, value in read.items() if name not in {"host", "port"}}


class _HiddenUrl(str):
    """A URL that shows itself without user and password in ``repr``, and so in the ``repr`` of whatever holds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(shown(self))


#: For settings: a ``str`` in every respect, but its ``repr`` keeps the password to itself.
RedisUrl = Annotated[str, AfterValidator(_HiddenUrl)]


def read(url: str) -> RedisAddress:
    """What the URL says.

    Raises:
        BadSetting: it is none of the above. The text repeats nothing of it.
    """
    try:
        address = _read(url)
        address.options()
    except ValueError:
        raise BadSetting(NO_URL) from None
    return address


def shown(url: str) -> str:
    """The URL for messages: scheme, address and database, master or path; no user, no password, no options."""
    try:
        _read(url)
    except ValueError:
        return "not shown"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _read(url: str) -> RedisAddress:
    parts = urlsplit(url)
    if parts.scheme in _PLAIN:
        parts.port  # noqa: B018 - raises if it is no number
        if parts.scheme != "unix":
            _refuse_what_was_cut_short(parts)
        return RedisAddress("server", url)
    base, _, way = parts.scheme.partition("+")
    if base not in {"redis", "rediss"} or way not in _PORTS:
        raise ValueError("no scheme of ours")
    _refuse_what_was_cut_short(parts)
    user, at, hosts = parts.netloc.rpartition("@")
    found = tuple(_host(one, _PORTS[way]) for one in hosts.split(","))
    options = parse_qsl(parts.query)
    sentinel = tuple((name.removeprefix("sentinel_"), value) for name, value in options if name.startswith("sentinel_"))
    rest = urlencode([(name, value) for name, value in options if not name.startswith("sentinel_")])
    path = parts.path.strip("/")
    if way == "cluster":
        if path not in {"", "0"}:
            raise ValueError("a Cluster has no databases")
        return RedisAddress("cluster", f"{base}://{user}{at}host?{rest}", found)
    master, _, database = path.partition("/")
    if not master or not (database or "0").isdecimal():
        raise ValueError("no master's name")
    return RedisAddress("sentinel", f"{base}://{user}{at}host/{database}?{rest}", found, master, sentinel)


def _refuse_what_was_cut_short(parts: SplitResult) -> None:
    """A bare / ? # in a password ends the address early, and the rest passes for a path."""
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError("the address is cut short")


def _host(text: str, port: int) -> Host:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path or parts.query or parts.fragment:
        raise ValueError("no host")
    return parts.hostname, parts.port or port
