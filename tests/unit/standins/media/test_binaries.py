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


def _docker(tmp_path: Path, *, failing: str = "") -> dict[str, str]:
    """An environment whose docker client notes what it is asked, and fails where `failing` (words) says so."""
    docker = _program(tmp_path / "bin" / "docker")
    docker.write_text(f"""#!/bin/sh
echo "$@" >>"{tmp_path}/asked"
for failing in {failing or '""'}; do [ "$1" != "$failing" ] || exit 1; done
""")
    return {"PATH": str(docker.parent), "XDG_CACHE_HOME": str(tmp_path / "cache")}


async def test_an_image_that_is_there_is_used_and_not_pulled(tmp_path: Path) -> None:
    environment = _docker(tmp_path)
    found = await find_livekit_sip(environment=environment)
    assert found
    assert (found.origin, found.image) == (Origin.DOCKER, "livekit/sip:v1.11.0")
    assert (tmp_path / "asked").read_text().splitlines() == ["info", "image inspect livekit/sip:v1.11.0"]


async def test_an_image_that_is_not_there_is_pulled_before_anything_waits_for_its_server(tmp_path: Path) -> None:
    """A server gets seconds to become healthy; a download takes minutes."""
    environment, said = _docker(tmp_path, failing="image"), list[str]()
    found = await find_livekit_server(environment=environment, say=said.append)
    assert found.image == "livekit/livekit-server:v1.13.5"
    assert (tmp_path / "asked").read_text().splitlines()[-1] == "pull livekit/livekit-server:v1.13.5"
    assert said == ["pulling the image livekit/livekit-server:v1.13.5, once"]


async def test_where_images_cannot_be_pulled_the_exchange_plays_the_telephones(tmp_path: Path) -> None:
    environment, said = _docker(tmp_path, failing="image pull"), list[str]()
    assert await find_livekit_sip(environment=environment, say=said.append) is None
    assert said[-1] == "the image livekit/sip:v1.11.0 cannot be pulled here, so it is not used"
    with pytest.raises(MediaError, match="no livekit-server"):
        await find_livekit_server(environment=environment)


async def test_none_forbids_livekit_sip_wherever_it_may_be(tmp_path: Path) -> None:
    _program(tmp_path / "bin" / "livekit-sip")
    assert await find_livekit_sip(environment=_docker(tmp_path) | {"LIVEKIT_SIP_BIN": "none"}) is None


async def test_a_docker_without_its_daemon_is_no_docker(tmp_path: Path) -> None:
    assert await find_livekit_sip(environment=_docker(tmp_path, failing="info")) is None
    assert (tmp_path / "asked").read_text().splitlines() == ["info"]


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
