"""How long a webhook's attempt may take, and when one that was not taken is tried again."""

from __future__ import annotations

CONNECT_SECONDS = 5.0
ATTEMPT_SECONDS = 15.0
"""One attempt has so long, from the resolution of the name to the end of the answer, and so long of it to connect."""

WAITS_SECONDS = (5, 30, 2 * 60, 10 * 60, 30 * 60, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
JITTER_SHARE = 0.1
MAX_RETRY_AFTER_SECONDS = 12 * 3600.0


def next_wait_seconds(attempt: int, jitter: float) -> float | None:
    """How long to wait after attempt number `attempt` (from 1) failed; None: give up, after ten attempts
    and a day.

    `jitter` is a random number from 0 to 1, which lengthens the wait by up to a tenth, so that deliveries
    that failed together do not come back together.
    """
    if attempt > len(WAITS_SECONDS):
        return None
    return WAITS_SECONDS[attempt - 1] * (1 + JITTER_SHARE * jitter)
