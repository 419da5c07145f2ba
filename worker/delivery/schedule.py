"""How long an attempt at a webhook may take, and when a delivery that was not taken is tried again."""

from __future__ import annotations

from dataclasses import dataclass

CONNECT_SECONDS = 5.0
ATTEMPT_SECONDS = 15.0
"""The time of one attempt, from name resolution to the end of the answer, and the part of it for connecting."""

JITTER_SHARE = 0.2
MIN_RETRY_AFTER_SECONDS, MAX_RETRY_AFTER_SECONDS = 1.0, 12 * 3600.0
"""Shorter and longer waits that an endpoint asks for count as these."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The waits after the first attempt, the second and so on, in seconds; after the attempt that follows the last of
    them a delivery is given up.
    """

    waits_seconds: tuple[float, ...]

    @property
    def attempts(self) -> int:
        """The most attempts at a delivery."""
        return len(self.waits_seconds) + 1

    def wait_seconds(self, attempt: int, jitter: float) -> float:
        """Return how long to wait after attempt number `attempt` (from 1) failed; after a later one, the last wait.

        `jitter` is a random number from 0 to 1 that makes the wait up to a fifth longer, so that deliveries that failed
        together do not come back together.
        """
        return self.waits_seconds[min(attempt, len(self.waits_seconds)) - 1] * (1 + JITTER_SHARE * jitter)


def within_bounds(wish_seconds: float) -> float:
    """Return the wait that an endpoint asks for, but not below or above what an endpoint may ask for."""
    return min(max(wish_seconds, MIN_RETRY_AFTER_SECONDS), MAX_RETRY_AFTER_SECONDS)
