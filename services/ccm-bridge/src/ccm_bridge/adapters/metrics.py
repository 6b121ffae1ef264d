"""What the bridge counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from ccm_bridge.domain.delivery import Waiting
from ccm_bridge.domain.message import Message
from ccm_bridge.domain.retry import Reaction

_SECONDS = (0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class PrometheusMeter:
    """The delivery meter on a Prometheus registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._messages = Counter(
            "ccm_bridge_messages", "Messages with a final result", ["result", "event"], registry=registry
        )
        self._late = Counter("ccm_bridge_late", "Messages sent after later places", registry=registry)
        self._passed = Counter("ccm_bridge_passed_over", "Places without a message", ["reason"], registry=registry)
        self._waits = Counter("ccm_bridge_waits", "Times a call was put off", ["reason"], registry=registry)
        self._held = Counter("ccm_bridge_held", "Messages that a transfer had held back", registry=registry)
        self._hold_timeouts = Counter("ccm_bridge_hold_timeouts", "Holds given up without outcome", registry=registry)
        self._failures = Counter(
            "ccm_bridge_attempts_failed", "Attempts to be repeated", ["kind", "reason"], registry=registry
        )
        self._age = Histogram(
            "ccm_bridge_append_to_post_seconds",
            "From the event that completed a message to the request, without those held, late or repeated",
            buckets=_SECONDS,
            registry=registry,
        )

    def settled(self, reaction: Reaction, message: Message, *, age_s: float, held: bool, first_attempt: bool) -> None:
        """See the port."""
        self._messages.labels(reaction.value, message.event).inc()
        if message.late:
            self._late.inc()
        if held:
            self._held.inc()
        elif first_attempt and not message.late:
            self._age.observe(max(0.0, age_s))

    def passed_over(self, reason: str) -> None:
        """See the port."""
        self._passed.labels(reason).inc()

    def waiting(self, reason: Waiting) -> None:
        """See the port."""
        self._waits.labels(reason.value).inc()

    def hold_timed_out(self) -> None:
        """See the port."""
        self._hold_timeouts.inc()

    def failed(self, reaction: Reaction, reason: str) -> None:
        """See the port."""
        self._failures.labels(reaction.value, reason).inc()
