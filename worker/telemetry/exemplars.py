"""Chooses the jobs that histograms name as examples of a time that was observed."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence

from worker.privacy.harmless import harmless_id

EVERY_SECONDS = 1.0
"""How often a bucket gets another example. A scrape reads the last one only, and each costs three times the rest."""


class Exemplars:
    """Chooses the examples of one histogram. An id that may quote a phone number or a PIN is never one. Thread-safe."""

    def __init__(self, buckets: Sequence[float], clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets, self._clock = buckets, clock
        self._again: dict[tuple[str, int], float] = {}

    def of(self, job_id: str, seconds: float, series: str = "") -> dict[str, str] | None:
        """Return the exemplar for an observation of `series`, or None if it is to have none."""
        bucket, now = (series, bisect_left(self._buckets, seconds)), self._clock()
        if now < self._again.get(bucket, now) or not harmless_id(job_id):
            return None
        self._again[bucket] = now + EVERY_SECONDS
        return {"job_id": job_id}
