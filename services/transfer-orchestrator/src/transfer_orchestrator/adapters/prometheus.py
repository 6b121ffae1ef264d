"""``ports.Gauges`` for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

from call_events.catalogue import DialOutcome

_TO_DIAL = Histogram(
    "transfer_to_dial_seconds",
    "From transfer.requested (or the end of the previous attempt) to the dial",
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10),
)
_ATTEMPTS = Counter("transfer_attempts_failed", "Dials that reached nobody", ["outcome"])
_ENDINGS = Counter("transfer_endings", "Transfers by their one outcome", ["ending"])
_RUNNING = Gauge("transfer_dials_running", "Dials this process looks after")


class PrometheusGauges:
    """The process-wide registry."""

    def dial_sent(self, seconds_since_asked: float) -> None:
        """See ``ports.Gauges``."""
        _TO_DIAL.observe(seconds_since_asked)

    def attempt_ended(self, outcome: DialOutcome) -> None:
        """See ``ports.Gauges``."""
        _ATTEMPTS.labels(outcome).inc()

    def transfer_ended(self, ending: str) -> None:
        """See ``ports.Gauges``."""
        _ENDINGS.labels(ending).inc()

    def dials_running(self, number: int) -> None:
        """See ``ports.Gauges``."""
        _RUNNING.set(number)
