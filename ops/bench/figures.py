"""Computes figures from measurements: percentiles, and how well an account's requests kept to its limit."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

NEIGHBOURS = 20
"""The number of requests before and after one from which its slot is found."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that at least `share` (0 to 1) of all do not exceed. Raises ValueError without values."""
    if not values:
        raise ValueError("nothing was measured")
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def lateness(moments: Sequence[float], interval_seconds: float) -> list[float]:
    """Return how long each request (in order, seconds) came after its slot, as far as it can be seen from outside.

    Slots are `interval_seconds` apart; the earliest of a request's neighbours shows where they are. So a schedule that
    moved as a whole shows in `use`, not here, and two requests or fewer show little.
    """
    offsets = [moment - number * interval_seconds for number, moment in enumerate(moments)]
    return [
        offset - min(offsets[max(number - NEIGHBOURS, 0) : number + NEIGHBOURS + 1])
        for number, offset in enumerate(offsets)
    ]


def use(accounts: Sequence[Sequence[float]], per_second: float) -> float:
    """Return which share of their limit, `per_second` each, accounts used from each one's first request to its last."""
    requests = sum(len(moments) - 1 for moments in accounts if moments)
    seconds = sum(moments[-1] - moments[0] for moments in accounts if moments)
    return requests / (seconds * per_second) if seconds else 0.0


def most_in_window(moments: Sequence[float], window_seconds: float) -> int:
    """Return the largest number of requests (in order) in any window, including both ends."""
    return max((bisect_right(moments, m + window_seconds) - n for n, m in enumerate(moments)), default=0)
