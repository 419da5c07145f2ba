"""The store's own clock, as the scripts keep it in `common.lua`, for those who only read.

It goes on with Redis' clock while workers ask, and by nothing where Redis' clock was set, or nobody could ask. Lanes,
slots, probes and leases are timed by it.
"""

from __future__ import annotations

import re

MAX_PAUSE_US = 1_000_000
"""Redis' clock moved by more, or backwards: it was set, or nobody asked."""

_SAVED = re.compile(rb"(\d+) (\d+) \d+")


def steady_us(saved: bytes | None, redis_time: tuple[int, int]) -> int:
    """The store's clock at the moment of `TIME`; `saved` is what its key holds. Microseconds."""
    time_us = redis_time[0] * 1_000_000 + redis_time[1]
    found = _SAVED.fullmatch(saved or b"")
    if found is None:
        return time_us
    last_us, now_us = int(found[1]), int(found[2])
    passed_us = time_us - last_us
    return now_us + (passed_us if 0 <= passed_us <= MAX_PAUSE_US else 0)
