"""What CCM's answer means, and when to try again. Pure: the status decides, never the undocumented body.

| answer | reaction |
|---|---|
| 2xx | the message is CCM's; next |
| 400, 413, 422 and other 4xx about this one message | refused for ever: recorded, alarmed, next |
| 401 (after one new login), 403, 404, 405, redirects | our configuration is wrong: alarm, hold, slow retry |
| 408, 425, 429, 5xx, no answer in time, no connection | the same bytes again after a growing, jittered delay |
"""

import random
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class NoAnswer(StrEnum):
    """Why there is no status."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    #: The place where tokens are had does not serve; nothing was posted.
    LOGIN = "login"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one attempt."""

    status: int | NoAnswer
    #: What CCM asked for in ``Retry-After``, in seconds.
    retry_after_s: float | None = None
    #: The beginning of the body, for the person on call; may repeat the message.
    excerpt: str = ""


class Reaction(StrEnum):
    """What to do after a reply."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    MISCONFIGURED = "misconfigured"
    AGAIN = "again"


_AGAIN = frozenset({408, 425, 429})
_MISCONFIGURED = frozenset({401, 403, 404, 405, 406, 407, 410, 415})


def react(reply: Reply) -> Reaction:
    """The table above."""
    status = reply.status
    if isinstance(status, NoAnswer) or status in _AGAIN or status >= 500:
        return Reaction.AGAIN
    if 200 <= status < 300:
        return Reaction.DELIVERED
    if status in _MISCONFIGURED or status < 400:
        return Reaction.MISCONFIGURED
    return Reaction.REFUSED


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between attempts of one message."""

    first: timedelta = timedelta(milliseconds=250)
    factor: float = 2.0
    longest: timedelta = timedelta(seconds=15)
    #: Between attempts while our configuration is wrong.
    misconfigured: timedelta = timedelta(seconds=60)
    #: Longest ``Retry-After`` that is believed.
    longest_asked: timedelta = timedelta(minutes=5)

    def delay(self, reply: Reply, attempt: int, seed: str) -> timedelta:
        """How long to wait after failed attempt number ``attempt`` (1, 2, …) of the message ``seed``.

        Half of the delay is jitter, seeded by message and attempt: calls spread out, and a test can tell the time.
        """
        if react(reply) is Reaction.MISCONFIGURED:
            base = self.misconfigured
        else:
            base = min(self.longest, self.first * self.factor ** min(attempt - 1, 20))
        delay = base * (0.5 + random.Random(f"{seed}/{attempt}").random() / 2)  # noqa: S311 - jitter, not a secret
        if reply.retry_after_s is not None:
            delay = max(delay, min(timedelta(seconds=reply.retry_after_s), self.longest_asked))
        return delay
