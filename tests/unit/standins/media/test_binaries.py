"""Where livekit-server comes from, and what is said when it cannot be had."""

from pathlib import Path

import pytest
import yaml

from standins.media import MediaError, find_livekit_server, find_livekit_sip
from standins.media.binaries import Origin, cached_server
from standins.media.config import ServerPorts, redis_section, server_document


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


async def test_the_named_binary_comes_first(tmp_path: Path) -> None:
    named, on_path = _program(tmp_path / "mine"), _program(tmp_path / "bin" / "livekit-server")
    environment = {"LIVEKIT_SERVER_BIN": str(named), "PATH": str(on_path.parent), "HOME": str(tmp_path)}
    found = await find_livekit_server(environment=environment)
    assert (found.path, found.origin) == (named, Origin.ENVIRONMENT)


async def test_then_the_path_then_the_cache(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    _program(cached_server(environment))
    assert (await find_livekit_server(environment=environment)).origin is Origin.CACHE
    _program(tmp_path / "bin" / "livekit-server")
    assert (await find_livekit_server(environment=environment)).origin is Origin.PATH


async def test_without_go_and_docker_the_error_is_one_line_with_the_mends(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with pytest.raises(MediaError) as failure:
        await find_livekit_server(environment=environment)
    assert "\n" not in str(failure.value)
    for mend in ("Go", "Docker", "LIVEKIT_SERVER_BIN", "LIVEKIT_URL"):
        assert mend in str(failure.value)


async def test_a_name_that_is_no_program_is_an_error_not_a_fallback(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="LIVEKIT_SIP_BIN names"):
        await find_livekit_sip(environment={"LIVEKIT_SIP_BIN": str(tmp_path / "nothing"), "PATH": ""})


async def test_a_failed_build_says_why_and_where_to_read_on(tmp_path: Path) -> None:
    go = _program(tmp_path / "bin" / "go")
    go.write_text("#!/bin/sh\necho 'no network' >&2\nexit 1\n")
    environment = {"PATH": f"{go.parent}:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    said: list[str] = []
    with pytest.raises(MediaError, match=r"failed \(no network\); see .*build\.log"):
        await find_livekit_server(environment=environment, say=said.append)
    assert "about two minutes" in said[0]


async def test_a_build_is_kept_for_the_next_time(tmp_path: Path) -> None:
    go = _program(tmp_path / "bin" / "go")
    go.write_text('#!/bin/sh\nprintf "#!/bin/sh\\n" >"$GOBIN/server"\nchmod +x "$GOBIN/server"\n')
    environment = {"PATH": f"{go.parent}:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert (await find_livekit_server(environment=environment)).origin is Origin.BUILT
    assert (await find_livekit_server(environment=environment)).origin is Origin.CACHE
    assert [one.name for one in cached_server(environment).parent.iterdir() if one.is_dir()] == []


def test_the_server_listens_on_loopback_only() -> None:
    document = server_document(ServerPorts(1, 2, 3), redis_url="redis://127.0.0.1:6390/0", keys={"k": "s"})
    assert document["bind_addresses"] == ["127.0.0.1"]
    assert document["rtc"]["tcp_port"] == 0
    assert document["rtc"]["interfaces"] == {"includes": ["lo"]}
    assert document["redis"] == {"address": "127.0.0.1:6390", "db": 1}
    assert yaml.safe_load(yaml.safe_dump(document)) == document


def test_a_redis_url_with_password_and_tls_is_taken_apart() -> None:
    assert redis_section("rediss://me:p%40ss@cache.example:7000/3") == {
        "address": "cache.example:7000",
        "db": 1,
        "username": "me",
        "password": "p@ss",
        "use_tls": True,
    }
    with pytest.raises(MediaError, match="scheme 'http'"):
        redis_section("http://cache.example")
