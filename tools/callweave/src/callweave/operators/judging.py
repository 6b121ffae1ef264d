"""What of a log's state needs a person, and what that person does. Pure: state in, findings out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from call_events.overview import Server
from callweave.operators.spool import Spool
from callweave.operators.status import MOST_REFUSED, GroupStatus, LogStatus, Unhandled
from callweave.operators.words import many, size, span

#: A worker asks for work at least once a second.
GONE_S = 30.0
#: Somebody rings for a call within a fraction of a second of its time.
OVERDUE_S = 30.0
#: At its limit the server takes no events any more.
NEARLY_FULL = 0.85
#: Longer than a worker needs to bring what it has spooled into a log that is there.
SPOOLED_S = 60.0

_SERVICES = {"ccm": "ccm-bridge", "transfer": "transfer-orchestrator", "archive": "archiver"}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something for a person."""

    code: str
    text: str


def findings(status: LogStatus, *, older_than_s: float) -> list[Finding]:
    """Everything that needs somebody, the most urgent first; empty = healthy.

    Args:
        status: what was seen.
        older_than_s: an event that a group has not handled for so long is one too much.
    """
    found: list[Finding] = []
    for server in status.servers:
        at = f"{server.address}: " if server.address else ""
        found += [replace(one, text=at + one.text) for one in _server(server)]
    for group in status.groups:
        found += _group(group, older_than_s)
    if status.spool is not None:
        found += _spool(status.spool)
    return found


def _server(server: Server) -> Iterator[Finding]:
    if server.role not in ("", "master"):
        yield Finding(
            "replica",
            "REDIS_URL leads to a replica: services cannot append there, and what you see may be old; name the master",
        )
    if not server.last_write_ok:
        yield Finding(
            "cannot_write",
            "the server cannot write its append-only file: events are refused until it can; look at its disk and log",
        )
    if not server.appendonly:
        yield Finding(
            "not_durable",
            "appendonly is no: all calls are lost when that process ends; redis-cli CONFIG SET appendonly yes, "
            "and the same in its configuration",
        )
    if not server.last_rewrite_ok:
        yield Finding(
            "no_rewrite",
            "the last rewrite of the append-only file failed: it grows until the disk is full; look at its log",
        )
    limit = server.memory_limit_bytes
    if limit and server.memory_bytes >= NEARLY_FULL * limit:
        yield Finding(
            "nearly_full",
            f"memory is {server.memory_bytes / limit:.0%} full ({size(server.memory_bytes)} of {size(limit)}): at its "
            "limit the log takes no events any more. Raise maxmemory, and see why calls are not archived and retired",
        )


def _group(group: GroupStatus, older_than_s: float) -> Iterator[Finding]:
    name, service = group.group, _SERVICES.get(group.group, "its service")
    workers = group.doorbells.workers
    has_worker = any(worker.seen_s < GONE_S for worker in workers)
    if not has_worker:
        last = f"the last was seen {span(workers[0].seen_s)} ago" if workers else "there is none in its list"
        yield Finding("no_worker", f"group {name} has no worker ({last}): start {service}, or see why it cannot start")
    if group.parked:
        yield Finding(
            "parked",
            f"group {name} has parked {many(group.parked, 'call')}: `callweave dlq list --group {name}` tells which "
            f"and why; mend that, then `callweave dlq requeue CALL --group {name}`",
        )
    if group.refused:
        count = f"{group.refused}{' or more' if group.refused >= MOST_REFUSED else ''}"
        noun = "message was" if group.refused == 1 else "messages were"
        yield Finding(
            "refused",
            f"group {name}: {count} {noun} refused, and the calls went on without: `callweave dlq list --group {name}` "
            "tells why; when somebody has looked after one, `callweave dlq discard ID --why TEXT`",
        )
    oldest = group.oldest
    if oldest is not None and oldest.age_s > older_than_s:
        yield Finding(
            "old",
            f"group {name} has not handled event {oldest.seq} ({oldest.type or 'unreadable'}) of {oldest.call} for "
            f"{span(oldest.age_s)}; {_why_old(oldest, has_worker=has_worker)}",
        )
    if has_worker and group.doorbells.overdue_s > OVERDUE_S:
        yield Finding(
            "overdue",
            f"group {name}: {many(group.doorbells.overdue, 'call')} should have been looked at again up to "
            f"{span(group.doorbells.overdue_s)} ago; its workers hang or are overloaded: look at {service}'s log, "
            "start another",
        )


def _why_old(oldest: Unhandled, *, has_worker: bool) -> str:
    tried = f"{many(oldest.attempts, 'attempt')} failed; " if oldest.attempts else ""
    if oldest.worker is not None:
        return f"{tried}{oldest.worker} has it in hand: look for the call in that worker's log"
    if oldest.wake_in_s is not None and oldest.wake_in_s > 0:
        return (
            f"{tried}it is looked at again in {span(oldest.wake_in_s)}: look for the call in the service's log, it "
            "tells what is waited for"
        )
    if not has_worker:
        return f"{tried}it waits for a worker"
    return f"{tried}nobody has taken it up: its workers are busy or hang; look at their log, start another"


def _spool(spool: Spool) -> Iterator[Finding]:
    if spool.files and spool.oldest_s > SPOOLED_S:
        yield Finding(
            "spooled",
            f"{many(spool.files, 'file')} ({size(spool.size_bytes)}) wait in {spool.directory}, one since "
            f"{span(spool.oldest_s)}: events that the log has not got yet. Nothing is lost; a voice-worker on this "
            "machine brings them as soon as it reaches Redis, so see that one runs and that its REDIS_URL is right",
        )
    if spool.refused:
        yield Finding(
            "spool_refused",
            f"{many(spool.refused, 'file')} in {spool.directory}/refused: events that the log has refused for good, "
            "kept for a person; the reason lies beside them",
        )
