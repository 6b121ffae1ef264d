"""Where other servers come from, and what is said where they cannot be had."""

import subprocess
from pathlib import Path

import pytest

from standins.servers import programs
from support.backends import found


@pytest.mark.backends
@pytest.mark.parametrize("name", programs.SERVERS)
def test_a_server_is_of_the_version_its_name_says(name: str) -> None:
    kind, _, version = name.partition("-")
    said = subprocess.run([found(name), "--version"], capture_output=True, text=True, check=True, timeout=10).stdout

    assert said.lower().startswith(f"{kind} server")
    assert f" v={version}." in said


@pytest.mark.backends
def test_the_load_generator_comes_along() -> None:
    found("redis-7.0")
    said = subprocess.run(
        [programs.redis_benchmark(), "--version"], capture_output=True, text=True, check=True, timeout=10
    )
    assert said.stdout.startswith("redis-benchmark")


def test_without_apt_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    programs._from_debian.cache_clear()
    try:
        with pytest.raises(programs.NoSuchServer, match="no apt-get"):
            programs.server("redis-7.0")
    finally:
        programs._from_debian.cache_clear()


def test_an_apt_that_fails_is_quoted_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, text in (("apt-get", "echo 'E: Unable to locate package redis-server' >&2; exit 100"), ("dpkg-deb", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    programs._from_debian.cache_clear()
    try:
        with pytest.raises(programs.NoSuchServer, match=r"Unable to locate package.*apt-get update"):
            programs.redis_benchmark()
    finally:
        programs._from_debian.cache_clear()
    assert [one.name for one in (tmp_path / "callweave").iterdir()] == ["redis-7-debian.lock"]
