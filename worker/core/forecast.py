"""When Redis will be full, by how its memory has grown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

WINDOW_SECONDS = 6 * 3600.0
"""How far back growth is measured: one busy hour does not decide alone, and a change is noticed soon."""

MIN_SAMPLES = 3


class Sample(NamedTuple):
    """How much memory Redis used at one moment."""

    unix_seconds: float
    used_bytes: int


def full_in_seconds(samples: Sequence[Sample], limit_bytes: int) -> float | None:
    """Return after how many seconds `limit_bytes` are used, if memory goes on growing as in the last hours.

    `samples` are in the order of their times, the last one is of now. Infinite if memory does not grow; None without a
    limit, or with too few samples. Compared are the medians of the first and of the last third, so that one odd sample
    does not decide.
    """
    if not limit_bytes or not samples:
        return None
    recent = [one for one in samples if samples[-1].unix_seconds - one.unix_seconds <= WINDOW_SECONDS]
    if len(recent) < MIN_SAMPLES:
        return None
    left_bytes, per_second = limit_bytes - samples[-1].used_bytes, _growth(recent)
    if left_bytes <= 0:
        return 0.0
    return left_bytes / per_second if per_second > 0 else math.inf


def _growth(samples: Sequence[Sample]) -> float:
    """Return bytes per second. A restart of Redis, after which it uses less, counts as no growth."""
    third = len(samples) // 3
    first, last = _middle(samples[:third]), _middle(samples[-third:])
    passed = last.unix_seconds - first.unix_seconds
    return (last.used_bytes - first.used_bytes) / passed if passed > 0 else 0.0


def _middle(samples: Sequence[Sample]) -> Sample:
    times, used = zip(*samples, strict=True)
    return Sample(median(times), round(median(used)))
