"""What one worker counts about the calls it is given: answers, ages, repeats, stalls. All of it is for people."""

from call_events import metrics
from call_events.claims import Claim
from call_events.codec import peek
from call_events.held import Held
from call_events.ports import CallView, Clock
from call_events.views import Known

#: A call that has waited longer for a worker has stalled.
STALLED_AFTER_S = 0.5


class Tally:
    """Labels are looked up once: finding one costs more than counting."""

    def __init__(self, group: str, clock: Clock) -> None:
        self._clock = clock
        self._answers = {result: metrics.HANDLED.labels(group, result) for result in ("done", "waits", "failed")}
        self._put_off = metrics.HANDLED.labels(group, "put_off")
        self._parked = metrics.HANDLED.labels(group, "parked")
        self._parked_calls = metrics.PARKED.labels(group)
        self._age = metrics.EVENT_AGE_SECONDS.labels(group)
        self._repeats = metrics.REPEATS.labels(group)
        self._stalled = metrics.STALLED.labels(group)

    def claimed(self, held: Held, claim: Claim) -> None:
        """A call was got by a doorbell; its id tells when, by the server's clock, it was rung."""
        held.taken_over = claim.taken_over
        if not claim.taken_over and self._clock.now().timestamp() - _rung_at(held.token) > STALLED_AFTER_S:
            self._stalled.inc()

    def given(self, held: Held, known: Known, view: CallView) -> None:
        """A handler is about to be shown this.

        What this process has given before, and has not committed, is known to the event. Of another worker that died
        in the middle, or whose handler failed, it is known that there was one.
        """
        seen = len(view.events)
        if held.taken_over:  # a newer doorbell may have come in the meantime, and tells nothing of the wait
            oldest = min([_rung_at(held.token), *(event.time.timestamp() for event in view.new[:1])])
            if self._clock.now().timestamp() - oldest > STALLED_AFTER_S:
                self._stalled.inc()
        again = max(0, min(known.given, seen) - view.cursor)
        if not again and view.new and not known.given and (held.taken_over or held.attempts):
            again = 1
        if again:
            self._repeats.inc(again)
        held.taken_over = False
        known.given = seen

    def let_go(self, held: Held, known: Known) -> None:
        """A handler was cut short and its call is handed back: whoever is next is given the same again."""
        self._repeats.inc(max(0, known.given - held.cursor))
        known.given = 0

    def finished(self, known: Known, after: int, through: int, *, waits: bool) -> None:
        """An answer is in the log.

        In a backlog what the handler looked at is decoded no more (``growing``), and its time is all that is wanted.
        """
        self._answers["waits" if waits else "done"].inc()
        now = self._clock.now()
        for seq in range(after + 1, through + 1):
            if (found := peek(known.events.raw(seq))) is not None:
                self._age.observe(max(0.0, (now - found[1]).total_seconds()))

    def failed(self) -> None:
        """A handler raised something, and is asked again."""
        self._answers["failed"].inc()

    def put_off(self) -> None:
        """A call was not shown to the handler: its endpoint does not serve."""
        self._put_off.inc()

    def parked(self) -> None:
        """A call was put aside."""
        self._parked.inc()
        self._parked_calls.inc()


def _rung_at(token: str) -> float:
    """Seconds of the server's clock."""
    return int(token.partition("-")[0]) / 1000
