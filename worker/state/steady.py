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
    now_us, passed_us = _last(saved, redis_time)
    return now_us + (passed_us if 0 <= passed_us <= MAX_PAUSE_US else 0)


def unpaused_us(saved: bytes | None, redis_time: tuple[int, int]) -> int:
    """Return what `steady_us` would be if the clock had not stood still since it was last written down.

    So the time in which no worker asked counts too: for those who want to know whether any worker lives.
    """
    now_us, passed_us = _last(saved, redis_time)
    return now_us + max(passed_us, 0)


def _last(saved: bytes | None, redis_time: tuple[int, int]) -> tuple[int, int]:
    """Return the store's clock when it was last written down, and by how much Redis' clock has moved since (µs)."""
    time_us = redis_time[0] * 1_000_000 + redis_time[1]
    found = _SAVED.fullmatch(saved or b"")
    return (int(found[2]), time_us - int(found[1])) if found else (time_us, 0)
