"""The figures on ``docs/benchmarks.md``: taken from the tables under ``docs/bench/``, between two marks on the page."""

import re
from collections.abc import Mapping
from pathlib import Path

from standins.bench.faults import FAULTS
from standins.bench.table import HERE

PAGE = Path("docs/benchmarks.md")
#: Table → the figures that a stranger asks for first.
HEADLINES = {
    "log-appends": ("appends/s", "of the server's ceiling"),
    "log-consumers": (
        *(f"backlog, {count}: handled/s" for count in ("1 process", "2 processes", "4 processes")),
        *(f"{what}, all runs" for what in ("inversions", "overlaps", "lost")),
    ),
    "log-latency": (
        *(f"a handler that does nothing: {figure} ms" for figure in ("p50", "p99")),
        *(f"a handler that takes 5 ms: {figure} ms" for figure in ("p50", "p99")),
    ),
    "log-killed": ("calls stalled > 500 ms, %", "lost", "inversions", "overlaps"),
    "faults": (
        *(f"{name}: {figure}" for name in FAULTS for figure in ("lost", "reordered")),
        "SIGKILL: calls stalled > 500 ms, %",
        "SIGTERM: longest delay ms",
    ),
    "log-memory": ("stream, bytes an event", "a call in all after it is handled, bytes"),
    "log-length": (
        *(f"{length} events: append → handled p50 ms" for length in ("10", "1,000", "50,000")),
        "50,000 events: taken over ms",
    ),
    "log-calls": (
        *(f"{number} calls: appends/s" for number in ("10", "10,000", "100,000")),
        *(f"{number} calls: append → handled p99 ms" for number in ("10", "10,000", "100,000")),
    ),
    "delivery": ("p99 ms", "two bridges: p99 ms"),
    "calls": ("call → first AI audio ms", "transfer.requested → dialled ms", "transfer.connected → AI silent ms"),
}
#: The table whose figures are named ``program: figure``.
PEERS = "log-peers"
_NOT_YET = "not measured yet"


def refresh(page: Path = PAGE, tables: Path = HERE) -> Path:
    """Write the figures into the page; everything outside of the marks stays."""
    text = page.read_text(encoding="utf-8")
    for mark, made in (("headlines", _headlines(tables)), ("peers", _peers(tables))):
        text = re.sub(
            rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)",
            lambda found, made=made: f"{found[1]}{made}{found[2]}",  # type: ignore[misc]  # a default binds the loop's
            text,
            flags=re.DOTALL,
        )
    page.write_text(text, encoding="utf-8")
    return page


def medians(path: Path) -> Mapping[str, tuple[str, str]]:
    """Figure → median and goal, of one table; nothing if there is no table."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line.startswith("|")]
    return {row[0]: (row[-2].strip("*"), row[-1]) for row in rows[2:]}


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") if path.exists() else path.stem


def _headlines(tables: Path) -> str:
    lines = ["| what | median of three runs | goal | table |", "| --- | --- | --- | --- |"]
    for table, figures in HEADLINES.items():
        path = tables / f"{table}.md"
        found = medians(path)
        for figure in figures:
            median, goal = found.get(figure, (_NOT_YET, ""))
            link = f"[{_title(path)}](bench/{table}.md)" if path.exists() else table
            lines.append(f"| {figure} | {median} | {goal} | {link} |")
    return "\n".join([*lines, ""])


def _peers(tables: Path) -> str:
    cells: dict[str, dict[str, str]] = {}
    for name, (median, _) in medians(tables / f"{PEERS}.md").items():
        program, _, figure = name.partition(": ")
        cells.setdefault(figure, {})[program] = median
    programs = list(dict.fromkeys(program for row in cells.values() for program in row))
    if not programs:
        return f"{_NOT_YET.capitalize()}.\n"
    lines = [f"| figure | {' | '.join(programs)} |", f"| --- |{' --- |' * len(programs)}"]
    for figure, row in cells.items():
        lines.append(f"| {figure} | {' | '.join(row.get(program, '-') for program in programs)} |")
    return "\n".join([*lines, ""])
