"""Reads the store's own clock, which the scripts keep, see `common.lua` and docs/decisions/0013.

It advances with Redis' clock while workers ask, and stands still while Redis' clock is set or nobody can ask. Lanes,
slots, probes and leases are timed by it.
"""

from __future__ import annotations

import re

MAX_PAUSE_US = 1_000_000
"""If Redis' clock has moved by more or backwards, it was set or nobody asked, so the store's clock stood still."""

_SAVED = re.compile(rb"(\d+) (\d+) \d+")


def steady_us(saved: bytes | None, redis_time: tuple[int, int]) -> int:
    """Return the store's clock (µs) at `redis_time`, a reply of TIME; `saved` is the value of its key.

    Without a readable value it is Redis' own time.
    """
    time_us = redis_time[0] * 1_000_000 + redis_time[1]
    found = _SAVED.fullmatch(saved or b"")
    if found is None:
        return time_us
    last_us, now_us = int(found[1]), int(found[2])
    passed_us = time_us - last_us
    return now_us + (passed_us if 0 <= passed_us <= MAX_PAUSE_US else 0)
