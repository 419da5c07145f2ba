"""How long an attempt at a webhook may take, and when a delivery that was not taken is tried again."""

from __future__ import annotations

CONNECT_SECONDS = 5.0
ATTEMPT_SECONDS = 15.0
"""The time of one attempt, from name resolution to the end of the answer, and the part of it for connecting."""

WAITS_SECONDS = (5, 30, 2 * 60, 10 * 60, 30 * 60, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
JITTER_SHARE = 0.1
MAX_RETRY_AFTER_SECONDS = 12 * 3600.0


def next_wait_seconds(attempt: int, jitter: float) -> float | None:
    """Return how long to wait after attempt number `attempt` (from 1) failed, or None to give up.

    The tenth attempt, about a day after the first, is the last. `jitter` is a random number from 0 to 1 that makes the
    wait up to a tenth longer, so that deliveries that failed together do not come back together.
    """
    if attempt > len(WAITS_SECONDS):
        return None
    return WAITS_SECONDS[attempt - 1] * (1 + JITTER_SHARE * jitter)
