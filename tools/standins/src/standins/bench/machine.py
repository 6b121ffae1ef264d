"""What the numbers were measured on."""

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path


def description() -> str:
    """One line: processor, cores, memory, kernel, Python, day."""
    return (
        f"{_field('/proc/cpuinfo', 'model name') or platform.machine()}, {os.cpu_count()} cores, "
        f"{_memory_gib():.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"Python {sys.version.split()[0]}, {datetime.now(UTC):%Y-%m-%d}"
    )


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines() if Path(path).exists() else ():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return ""


def _memory_gib() -> float:
    kilobytes = _field("/proc/meminfo", "MemTotal").split()
    return int(kilobytes[0]) / 2**20 if kilobytes else 0.0


def pss_mib(pid: int) -> float:
    """Proportional set size of one process in MiB (shared pages are divided among those who share them)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def descendants(pid: int) -> list[int]:
    """Process ids of all children, and theirs."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children = (task / "children").read_text().split()
        for child in children:
            found += [int(child), *descendants(int(child))]
    return found
