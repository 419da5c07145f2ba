"""Converts between seconds, in which Python counts time, and microseconds, in which the scripts do."""

from __future__ import annotations

_US_PER_SECOND = 1_000_000


def to_us(seconds: float) -> int:
    """Convert seconds to whole microseconds; a fraction of a microsecond is cut off."""
    return int(seconds * _US_PER_SECOND)


def to_seconds(us: float) -> float:
    """Convert microseconds to seconds."""
    return us / _US_PER_SECOND
