"""REDIS_URL, read."""

import pytest
from redis.asyncio.connection import SSLConnection

from call_events.addresses import read


def test_sentinels_have_a_default_port_and_may_have_a_password_of_their_own() -> None:
    address = read("rediss+sentinel://user:s3%40cr@a,b:1/calls/3?sentinel_password=other&ssl_cert_reqs=none")

    assert (address.way, address.hosts, address.master) == ("sentinel", (("a", 26379), ("b", 1)), "calls")
    assert address.sentinel == (("password", "other"),)
    assert address.options() == {
        "username": "user",
        "password": "s3@cr",
        "db": 3,
        "ssl_cert_reqs": "none",
        "connection_class": SSLConnection,
    }


def test_a_cluster_is_named_by_some_of_its_nodes() -> None:
    address = read("redis+cluster://:pw@a:7000,[::1]:7001,c")

    assert address.hosts == (("a", 7000), ("::1", 7001), ("c", 6379))
    assert address.options() == {"password": "pw"}


@pytest.mark.parametrize("url", ["redis://a:1/2?socket_timeout=1", "unix:///run/redis.sock", "rediss://a"])
def test_one_server_is_left_to_redis_py(url: str) -> None:
    assert (read(url).way, read(url).url) == ("server", url)


def test_an_address_has_no_repr_that_could_tell_its_password() -> None:
    assert "pw" not in repr(read("redis+cluster://:pw@a"))
