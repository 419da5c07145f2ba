"""Notes now and then how much memory Redis uses, at the worker that serves the metrics of all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from worker.core.figures import StoreFacts
from worker.core.forecast import Sample, full_in_seconds
from worker.errors import StoreUnavailable, WrongKey

LOOK_SECONDS = 60.0
"""How often the store is asked whether a sample is due. Another worker may have taken the last one."""


class Samples(Protocol):
    """Keeps samples of the memory that the store uses."""

    def note(self, sample: Sample, /) -> Sequence[Sample]:
        """Add a sample if one is due; return all, oldest first. Raises StoreUnavailable or WrongKey."""


class MemoryLog:
    """One thread takes the turns; any thread may ask for the forecast."""

    def __init__(
        self,
        samples: Samples,
        facts: Callable[[], StoreFacts | None],
        redis_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`facts` are what the store told last, `redis_clock` its time (Unix seconds)."""
        self._samples, self._facts, self._redis_clock, self._clock = samples, facts, redis_clock, clock
        self._known: Sequence[Sample] = ()
        self._due = float("-inf")

    def turn(self) -> None:
        """Note a sample if one is due. What the store refuses is left out: others tell of that."""
        sample = self._now()
        if sample is None or self._clock() < self._due:
            return
        self._due = self._clock() + LOOK_SECONDS
        with suppress(StoreUnavailable, WrongKey):
            self._known = self._samples.note(sample)

    def full_in_seconds(self) -> float | None:
        """Return after how many seconds the store is full, see `core.forecast`."""
        facts, sample = self._facts(), self._now()
        if facts is None or sample is None:
            return None
        return full_in_seconds([*self._known, sample], facts.memory_limit_bytes or 0)

    def _now(self) -> Sample | None:
        facts = self._facts()
        if facts is None or facts.memory_used_bytes is None:
            return None
        return Sample(self._redis_clock(), facts.memory_used_bytes)
