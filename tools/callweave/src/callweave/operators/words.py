"""Numbers as people read them. Pure."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_UNITS = ("B", "KB", "MB", "GB", "TB")


def span(seconds: float) -> str:
    """A length of time, to two figures or so: ``0.4 s``, ``42 s``, ``12 min``, ``3 h 04 min``, ``2 d 3 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < _DAY:
        return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:02.0f} min"
    return f"{seconds // _DAY:.0f} d {seconds % _DAY // _HOUR:.0f} h"


def size(count: int) -> str:
    """Bytes in powers of 1024."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def many(count: int, one: str, more: str = "") -> str:
    """``1 call``, ``2 calls``."""
    return f"{count} {one if count == 1 else more or one + 's'}"
