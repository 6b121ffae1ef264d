"""What is counted, by the names the dashboards use. No call id is ever a label: labels live for ever.

A gauge that job processes of a worker set is a ``livesum``, see :mod:`call_events.job_metrics`; all others only its
main process sets.
"""

from prometheus_client import Counter, Gauge, Histogram

_LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

APPENDS = Counter("cc_eventlog_appends", "Appends by what the log answered", ["result"])
APPEND_SECONDS = Histogram("cc_eventlog_append_seconds", "From append() to the log's answer", buckets=_LATENCY)
UNAVAILABLE = Counter("cc_eventlog_unavailable", "Questions to the log given up after the deadline")
APPEND_WAITING = Gauge(
    "cc_eventlog_append_waiting",
    "Appends without an answer: on their way, behind another of their call, or for want of room",
    multiprocess_mode="livesum",
)
JOURNAL_ENTRIES = Gauge(
    "cc_eventlog_journal_entries",
    "Events that are appended again if the server changes",
    multiprocess_mode="livesum",
)
JOURNAL_REPLAYED = Counter(
    "cc_eventlog_journal_replayed",
    "Events appended again to a new server: it lacked them (restored), had them (there), or refused them (refused)",
    ["result"],
)
JOURNAL_EVICTED = Counter(
    "cc_eventlog_journal_evicted_early", "Events that left the journal before their time, for want of room"
)
SPOOLED = Counter("cc_eventlog_spooled", "Events written to disk because the log did not take them in time")
SPOOL_FULL = Counter("cc_eventlog_spool_full", "Times the spool took nothing: its bound, the disk, no permission")
DROPPED = Counter("cc_eventlog_dropped", "Events lost for good: neither log, memory nor disk had room; page somebody")
SPOOL_REPLAYED = Counter(
    "cc_eventlog_spool_replayed", "Spooled events brought into the log for a process that has gone"
)
SPOOL_REFUSED = Counter("cc_eventlog_spool_refused", "Spooled events the log refused for good; kept in refused/")
SPOOL_FILES = Gauge("cc_eventlog_spool_files", "Spool files on this machine: one for a call that is not all in the log")
SPOOL_BYTES = Gauge("cc_eventlog_spool_bytes", "Bytes in spool files on this machine")
SPOOL_ASIDE = Gauge("cc_eventlog_spool_aside_files", "Files of refused events on this machine, for a person to look at")
UNDECODABLE = Counter("cc_eventlog_undecodable", "Stream entries that are no event of ours")

HANDLED = Counter("cc_eventlog_handled", "Answers of handlers by kind", ["group", "result"])
EVENT_AGE_SECONDS = Histogram(
    "cc_eventlog_event_age_seconds",
    "From the time of an event to its commit by a group",
    ["group"],
    buckets=(*_LATENCY, 10.0, 60.0, 600.0),
)
FENCED = Counter("cc_eventlog_fenced", "Commits refused because another worker had taken the call", ["group"])
LOST_LEASES = Counter("cc_eventlog_lost_leases", "Leases that could not be renewed in time", ["group"])
REPEATS = Counter(
    "cc_eventlog_repeats",
    "Events given to a handler again because its answer did not reach the log; of another worker's, one for each call",
    ["group"],
)
STALLED = Counter(
    "cc_eventlog_stalled",
    "Times a call with something to do waited for a worker longer than 500 ms, without the waits handlers ask for",
    ["group"],
)
SWEPT = Counter("cc_eventlog_swept", "Lost doorbells rung again by the sweeper", ["group"])

UNDELIVERED = Gauge("cc_eventlog_undelivered", "Doorbells no worker of the group has taken", ["group", "shard"])
INFLIGHT = Gauge("cc_eventlog_inflight_calls", "Doorbells taken and not yet acknowledged", ["group", "shard"])
OLDEST_SECONDS = Gauge("cc_eventlog_oldest_unhandled_seconds", "Age of the oldest unacknowledged doorbell", ["group"])
PARKED = Counter("cc_eventlog_parked_calls", "Calls put aside", ["group"])
BREAKER_OPEN = Gauge("cc_eventlog_breaker_open", "1 while what the group's handlers ask does not serve", ["group"])
BELL_LENGTH = Gauge("cc_eventlog_bell_length", "Doorbells in a shard's stream, read ones not yet trimmed", ["shard"])
