"""Counts the requests in each window: the rate limit as an outsider with a log of requests can judge it.

The rule is that of docs/reference/contract.md, "Accounts file": a window of the rate's period holds at most rate +
burst requests. Times are those at which the provider had read the whole request or, if the line to it is ill, those
at which the proxy before it had.

One case cannot be prevented: a process frozen between its last look at the clock and the write sends when it wakes.
So requests that come within `WAKING_SECONDS` of a waking, for jobs that were there when that worker froze, are not
counted against a window, at most one for each dial thread of the worker that woke.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

WAKING_SECONDS = 0.5


@dataclass(frozen=True)
class Waking:
    """The moment when a frozen worker went on, and since when it had been frozen (Unix seconds)."""

    unix: float
    since: float


def countable(
    requests: Sequence[tuple[float, float]], wakings: Sequence[Waking], threads: int
) -> list[float]:
    """Return when each request was sent, in order, without those that a frozen worker of `threads` dial threads may
    have sent as it woke.

    `requests` has for each request when it was sent and when its job was given to the broker (Unix seconds).
    """
    ordered = sorted(requests)
    excused: set[int] = set()
    for waking in wakings:
        first = bisect.bisect_left(ordered, (waking.unix,))
        last = bisect.bisect_right(ordered, (waking.unix + WAKING_SECONDS,))
        held = [n for n in range(first, last) if ordered[n][1] <= waking.since]
        excused |= set(held[:threads])
    return [sent for n, (sent, _) in enumerate(ordered) if n not in excused]


def too_many(ordered: Sequence[float], period_seconds: float, most: int) -> list[Sequence[float]]:
    """Return the windows that held more than `most` requests: one for each surplus request, with the `most` requests
    before it."""
    return [
        ordered[n - most : n + 1]
        for n in range(most, len(ordered))
        if ordered[n] - ordered[n - most] <= period_seconds
    ]
