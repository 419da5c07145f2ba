"""How many requests one window held: the rate limit as an outsider with a log of requests can judge it.

The rule is CONTRACT.md's: a window of the rate's period holds at most rate + burst requests. Times are those at which
the provider had read a request whole or, where the line to it is ill, those at which the proxy before it had.

One thing cannot be had: a process that is frozen between its last look at the clock and the write sends when it wakes.
So requests that come within `WAKING_SECONDS` of a waking are not counted against a window, at most one for each dial
thread of the worker that woke.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

WAKING_SECONDS = 0.5


def countable(times: Sequence[float], wakings: Sequence[float], threads: int) -> list[float]:
    """`times` in order, without those that a frozen worker of `threads` dial threads may have sent as it woke."""
    ordered = sorted(times)
    excused: set[int] = set()
    for waking in wakings:
        first, last = (
            bisect.bisect_left(ordered, waking),
            bisect.bisect_right(ordered, waking + WAKING_SECONDS),
        )
        excused |= set(range(first, min(last, first + threads)))
    return [moment for n, moment in enumerate(ordered) if n not in excused]


def too_many(ordered: Sequence[float], period_seconds: float, most: int) -> int:
    """How many of the requests came when the window that ends with them held `most` already."""
    return sum(1 for n in range(most, len(ordered)) if ordered[n] - ordered[n - most] <= period_seconds)
