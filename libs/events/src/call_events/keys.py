"""Where everything lies in Redis.

All keys of one call carry the same hash tag ``{s}``, so that one script may touch them on a Cluster. ``s`` is one of
sixteen fixed tags, chosen so that the sixteen slots spread evenly over 1 to 8 masters. Sixteen and the tags are
written once to ``cc:layout`` and compared at every start: a process with another layout would look for calls where
they are not.

    cc:{s}:c:<call>          STREAM  the truth: ids 0-1 … 0-N, one field e = CloudEvent JSON
    cc:{s}:d:<call>          HASH    event id -> place; '#closed' -> last place
    cc:{s}:w:<call>          HASH    ep, ow, dl: which worker may speak for the call; expires when long idle
    cc:{s}:g:<group>:<call>  HASH    cur, ep, ow, dl, tok, step, wk, due, parked, over, att: one group's
                                     work on a call, its cursor and its lease
    cc:{s}:r:<group>:<call>  STREAM  receipts of one group for one call, one field r = JSON
    cc:{s}:bell              STREAM  doorbell {c: call, n: place}; every group reads it
    cc:{s}:live              ZSET    call -> opened at, seconds
    cc:{s}:gone              ZSET    call -> retired at, seconds: a name that no call may open again
    cc:{s}:wake:<group>      ZSET    call -> wake at, milliseconds
    cc:{s}:sweep:<group>     STRING  the worker that looks for lost doorbells; expires with its turn
    cc:{s}:dlq:<group>       STREAM  dead letters and what people decided about them, see ``dead_letters``
    cc:archive               HASH    number, digest: the newest link of the archive; kept: how far retention has come
"""

import zlib
from dataclasses import dataclass
from functools import lru_cache

from call_events.ids import CallId, call_id

TAGS = ("18", "249", "72", "223", "d2", "2", "95", "235", "265", "34", "413", "a2", "273", "5f", "2ba", "48")

LAYOUT_KEY = "cc:layout"
LAYOUT = f"1 {len(TAGS)} {' '.join(TAGS)}"


@dataclass(frozen=True, slots=True)
class CallKeys:
    """The keys of one call that belong to no group."""

    tag: str
    stream: str
    dedupe: str
    worker: str
    bell: str
    live: str
    gone: str
    #: In the order in which append.lua takes them.
    for_append: tuple[str, str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class GroupKeys:
    """The keys one group needs for one call."""

    tag: str
    stream: str
    dedupe: str
    state: str
    receipts: str
    bell: str
    wake: str
    dead_letters: str


def tag_of(call: CallId) -> str:
    """The shard of a call: fixed for ever by the call id."""
    return TAGS[zlib.crc32(call.encode()) % len(TAGS)]


@lru_cache(maxsize=8192)
def call_keys(call: CallId) -> CallKeys:
    """Keys of the call itself.

    Raises:
        BadCallId: what is called a call id could not safely be part of a key.
    """
    tag = tag_of(call_id(call))
    at = f"cc:{{{tag}}}"
    stream, dedupe, worker = f"{at}:c:{call}", f"{at}:d:{call}", f"{at}:w:{call}"
    return CallKeys(
        tag=tag,
        stream=stream,
        dedupe=dedupe,
        worker=worker,
        bell=bell(tag),
        live=live(tag),
        gone=gone(tag),
        for_append=(stream, dedupe, bell(tag), live(tag), worker, gone(tag)),
    )


@lru_cache(maxsize=8192)
def group_keys(group: str, call: CallId) -> GroupKeys:
    """Keys of one group's work on the call.

    Raises:
        BadCallId: as above.
    """
    tag = tag_of(call_id(call))
    at = f"cc:{{{tag}}}"
    return GroupKeys(
        tag=tag,
        stream=f"{at}:c:{call}",
        dedupe=f"{at}:d:{call}",
        state=f"{at}:g:{group}:{call}",
        receipts=f"{at}:r:{group}:{call}",
        bell=f"{at}:bell",
        wake=f"{at}:wake:{group}",
        dead_letters=f"{at}:dlq:{group}",
    )


def bell(tag: str) -> str:
    """The doorbell stream of a shard."""
    return f"cc:{{{tag}}}:bell"


def live(tag: str) -> str:
    """The open calls of a shard."""
    return f"cc:{{{tag}}}:live"


def gone(tag: str) -> str:
    """The retired calls of a shard."""
    return f"cc:{{{tag}}}:gone"


def wake(tag: str, group: str) -> str:
    """The calls of a shard that wait for a time."""
    return f"cc:{{{tag}}}:wake:{group}"


def sweep(tag: str, group: str) -> str:
    """Whose turn it is to look for a shard's lost doorbells."""
    return f"cc:{{{tag}}}:sweep:{group}"


def dead_letters(tag: str, group: str) -> str:
    """What a group put aside in a shard."""
    return f"cc:{{{tag}}}:dlq:{group}"
