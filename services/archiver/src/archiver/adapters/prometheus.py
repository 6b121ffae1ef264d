"""``ports.Gauges`` for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

from archiver.domain.ripeness import Wait

_SEALED = Counter("archive_sealed_calls", "Calls sealed and linked", ["result"])
_SECONDS = Histogram(
    "archive_end_to_sealed_seconds",
    "From the end of a call to its link",
    buckets=(1, 5, 15, 30, 35, 45, 60, 120, 300, 900, 3600, 21600, 86400),
)
_BYTES = Counter("archive_sealed_bytes", "Bytes of the sealed files that were written")
_REFUSED = Counter("archive_refused_calls", "Calls that could not be sealed and were parked")
_STORE = Counter("archive_store_errors", "Attempts that failed at the store or at the chain")
_WAITS = Counter("archive_waits", "Looks at ended calls that were not ripe, by what they wait for", ["wait"])
_LET_GO = Counter("archive_let_go_calls", "Calls that Redis forgets after the grace")
_REMOVED = Counter("archive_removed_calls", "Contents removed because their time was over")
_OPEN = Gauge("archive_redis_open_calls", "Open calls in Redis")
_ENDED = Gauge("archive_redis_ended_calls", "Ended calls in Redis that were not let go")
_OLDEST = Gauge("archive_redis_oldest_ended_seconds", "How long ago the oldest of them ended")


class PrometheusGauges:
    """The process-wide registry."""

    def sealed(self, *, seconds_since_end: float | None, size: int, again: bool) -> None:
        """See ``ports.Gauges``."""
        _SEALED.labels("again" if again else "new").inc()
        if not again:
            _BYTES.inc(size)
        if seconds_since_end is not None:
            _SECONDS.observe(max(0.0, seconds_since_end))

    def refused(self) -> None:
        """See ``ports.Gauges``."""
        _REFUSED.inc()

    def store_failed(self) -> None:
        """See ``ports.Gauges``."""
        _STORE.inc()

    def waits(self, wait: Wait) -> None:
        """See ``ports.Gauges``."""
        _WAITS.labels(wait.value).inc()

    def let_go(self) -> None:
        """See ``ports.Gauges``."""
        _LET_GO.inc()

    def removed(self, calls: int) -> None:
        """See ``ports.Gauges``."""
        _REMOVED.inc(calls)

    def remaining(self, *, open_calls: int, ended: int, oldest_ended_s: float) -> None:
        """See ``ports.Gauges``."""
        _OPEN.set(open_calls)
        _ENDED.set(ended)
        _OLDEST.set(oldest_ended_s)
