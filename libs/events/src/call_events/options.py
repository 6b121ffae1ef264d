"""Sizes and times of a consumer, with argued defaults."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerOptions:
    """Every duration is in seconds."""

    #: Calls handled at once. A slow call costs one slot, so this is how many endpoints' slowness is borne.
    slots: int = 64
    #: A killed worker's calls wait this long. Renewed every third of it.
    lease_s: float = 6.0
    #: A handler that takes longer is cancelled and asked again after a back-off.
    handler_timeout_s: float = 60.0
    #: Events given to a handler at once when a call has a backlog.
    max_events: int = 500
    #: An error nobody expected is tried so often before its call is parked. Errors that pass are tried for ever.
    max_attempts: int = 5
    #: Before the second attempt, doubled before each further one up to the longest; also of the breaker.
    first_pause_s: float = 0.25
    longest_pause_s: float = 30.0
    #: So many different calls must fail in a row, none served in between, until the endpoint is taken for dead
    #: (``breaker``).
    breaker_after: int = 3
    #: So many calls at a time then find out whether it is back.
    breaker_probes: int = 2
    #: How late a wake may ring if the worker that stored it has died.
    wake_poll_s: float = 0.25
    #: How long a lost doorbell may stay lost, unless very many calls are open: one worker of the group at a time looks
    #: at a shard's open calls, and at this many a second.
    sweep_s: float = 30.0
    sweep_calls_per_s: int = 500
    #: How often read doorbells are trimmed and the gauges set.
    trim_s: float = 10.0
    #: What handlers get to finish in after stop(); less than the pod's grace period.
    stop_budget_s: float = 8.0
    #: Memory for what is known of calls between claims, in bytes. An event with its receipt takes about 550, 200 more
    #: are reckoned for what a handler works out from it: room for 90,000 events, or 300 calls of ten minutes. What does
    #: not fit is read again when it is claimed (``views``). A service without any call takes about as much.
    cached_bytes: int = 64 * 2**20

    @property
    def working_lease_s(self) -> float:
        """The part of a lease in which a call is worked on; the rest is for a cancelled handler to let go in."""
        return self.lease_s * 5 / 6

    def __post_init__(self) -> None:
        """A zero here would spin or stand still."""
        for name in (
            *("slots", "lease_s", "handler_timeout_s", "max_events", "max_attempts", "wake_poll_s"),
            *("sweep_s", "sweep_calls_per_s", "first_pause_s", "breaker_after", "breaker_probes"),
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0")
