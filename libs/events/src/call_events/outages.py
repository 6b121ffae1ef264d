"""Which errors of Redis pass by themselves, or after somebody has mended it: whoever asked may ask again."""

from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from call_events.errors import LogUnavailable

#: Answers of a server that cannot serve now but may soon; some have no class in redis-py, hence the texts below.
_PASSING_ERRORS = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    ClusterDownError,
    TryAgainError,
    ReadOnlyError,
    OSError,
)
_PASSING_TEXTS = (
    "LOADING",
    "NOREPLICAS",
    "MASTERDOWN",
    "BUSY ",
    "UNBLOCKED",
    "MISCONF",
    "OOM",
    "CLUSTERDOWN",
    "TRYAGAIN",
)


def passes(error: BaseException) -> bool:
    """Whether the same command may succeed later, by itself or after somebody has mended Redis."""
    return isinstance(error, _PASSING_ERRORS) or (
        isinstance(error, ResponseError) and str(error).startswith(_PASSING_TEXTS)
    )


def unavailable(error: BaseException) -> LogUnavailable:
    """The error of the package for an error that passes."""
    unavailable = LogUnavailable(f"Redis cannot serve now ({type(error).__name__}: {error})")
    unavailable.__cause__ = error
    return unavailable


def translated(error: RedisError | OSError) -> Exception:
    """An error of the driver as the error to raise: ours if it passes, else itself."""
    return unavailable(error) if passes(error) else error
