"""The state of a log as a person reads it. Pure: state in, what a terminal shows out."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from call_events.overview import Server
from call_events.terminal import plain
from callweave.operators.judging import GONE_S, Finding
from callweave.operators.status import MOST_REFUSED, GroupStatus, LogStatus
from callweave.operators.words import many, size, span

COLUMNS = ("group", "undelivered", "in hand", "waiting", "behind", "parked", "refused", "oldest unhandled", "workers")


def page(status: LogStatus, found: Sequence[Finding]) -> RenderableType:
    """All of it, for one screen."""
    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        numbers = column not in {"group", "oldest unhandled", "workers"}
        table.add_column(column, justify="right" if numbers else "left", no_wrap=True)
    for group in status.groups:
        table.add_row(*(Text(plain(cell)) for cell in row(group)))
    body: RenderableType = table if status.groups else Text("no service has read this log yet")
    return Group(*(Text(line) for line in head(status)), Text(), body, *verdict(found))


def head(status: LogStatus) -> list[str]:
    """The server or servers, the calls, the spool."""
    counts = f"{status.open_calls} open, {status.ended_calls} ended, {status.retired_calls} retired lately"
    lines = []
    for server in status.servers:
        role = f"{server.role}, {many(server.replicas, 'replica')}"
        at = f" at {server.address}" if server.address else ""
        lines += [
            f"server  {server.kind} {server.version}{at}, {role}, up {span(server.uptime_s)}",
            f"memory  {_memory(server)}",
            f"on disk {_disk(server)}",
        ]
    lines.append(f"calls   {counts}; {many(status.doorbells, 'doorbell')}")
    if (spool := status.spool) is not None:
        what = f"{many(spool.files, 'file')}, {size(spool.size_bytes)}, waiting for {span(spool.oldest_s)}"
        refused = f"; {many(spool.refused, 'file')} refused" if spool.refused else ""
        lines.append(f"spool   {what if spool.files else 'empty'}{refused} ({spool.directory})")
    return [plain(line) for line in lines]


def row(group: GroupStatus) -> tuple[str, ...]:
    """One group."""
    bells, oldest = group.doorbells, group.oldest
    alive = [worker for worker in bells.workers if worker.seen_s < GONE_S]
    refused = f"{group.refused}{'+' if group.refused >= MOST_REFUSED else ''}"
    if alive:
        workers = f"{len(alive)}, seen {span(alive[0].seen_s)} ago"
    else:
        workers = f"none, last seen {span(bells.workers[0].seen_s)} ago" if bells.workers else "none"
    told = "-" if oldest is None else f"{span(oldest.age_s)}  {oldest.call} #{oldest.seq} {oldest.type or '?'}"
    counts = (bells.undelivered, bells.in_hand, bells.waiting, group.events_behind, group.parked)
    return (group.group, *map(str, counts), refused, told, workers)


def verdict(found: Sequence[Finding]) -> list[Text]:
    """What needs somebody, or that nothing does."""
    if not found:
        return [Text(), Text("healthy: nothing needs a person", style="green")]
    return [Text(), *(Text(plain(f"! {one.text}"), style="yellow") for one in found)]


def _memory(server: Server) -> str:
    if not server.memory_limit_bytes:
        return f"{size(server.memory_bytes)}, no limit set"
    share = server.memory_bytes / server.memory_limit_bytes
    return f"{size(server.memory_bytes)} of {size(server.memory_limit_bytes)} ({share:.0%})"


def _disk(server: Server) -> str:
    if not server.appendonly:
        return "appendonly no"
    parts = [f"appendonly yes{f', fsync {server.appendfsync}' if server.appendfsync else ''}"]
    parts.append(f"last write {'ok' if server.last_write_ok else 'FAILED'}")
    parts.append(f"last rewrite {'ok' if server.last_rewrite_ok else 'FAILED'}")
    if server.rewriting:
        parts.append("rewriting now")
    return ", ".join(parts)
