"""What this worker knows of the jobs of the last minutes, in case the store forgets it. See docs/decisions/0030."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from worker.core.events import Event
from worker.core.jobs import Job
from worker.core.records import Due
from worker.core.retry import Tally

KEPT_SECONDS = 120.0
"""How long a job is kept after the last news of it. This time stands still while there is no news of any job."""

MAX_BYTES = 32 * 1024 * 1024
"""The most that all jobs may take; beyond it the oldest go."""

OWN_BYTES = 2500
"""What a job takes without the texts of its event, at most."""


class Open(NamedTuple):
    """A job that has not ended: it waits, or is in hand if `due` says why.

    `fence` is the number of its newest lease, 0 without one. It may go from `ready_at` on (monotonic s).
    """

    job: Job
    fence: int
    tally: Tally
    accepted_us: int
    expires_us: int
    due: Due | None = None
    ready_at: float = 0.0
    why: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.job.account, self.job.id

    @property
    def bytes(self) -> int:
        return OWN_BYTES


class Ended(NamedTuple):
    """A job that has ended with `event`. `content` is the job, or the digest of one that was not valid."""

    account: str
    job_id: str
    content: Job | str
    fence: int
    perhaps_rung: int
    event: Event
    trace: str
    canceled: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.account, self.job_id

    @property
    def bytes(self) -> int:
        return OWN_BYTES + 2 * len(self.event.body)


Fact = Open | Ended


class Journal:
    """The last fact of each job, the oldest first. Thread-safe."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        kept_seconds: float = KEPT_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._clock, self._kept_seconds, self._max_bytes = clock, kept_seconds, max_bytes
        self._lock = threading.Lock()
        self._facts: OrderedDict[tuple[str, str], tuple[float, Fact]] = OrderedDict()
        self._bytes = 0
        self._whole_since = -math.inf

    def note(self, *facts: Fact) -> None:
        """Take note of facts on record. Each takes the place of what was known of its job."""
        if not facts:
            return
        now = self._clock()
        with self._lock:
            for fact in facts:
                self._drop(fact.key)
                self._facts[fact.key] = now, fact
                self._bytes += fact.bytes
            while self._facts:
                oldest, (at, _) = next(iter(self._facts.items()))
                if now - at <= self._kept_seconds and self._bytes <= self._max_bytes:
                    break
                self._whole_since = at
                self._drop(oldest)

    def forget(self, account: str, job_id: str) -> None:
        """Forget a job about which another worker has decided."""
        with self._lock:
            self._drop((account, job_id))

    def facts(self) -> list[Fact]:
        """Return all facts, the oldest first."""
        with self._lock:
            return [fact for _, fact in self._facts.values()]

    def whole_before(self, moment: float) -> float:
        """Return for how many seconds before `moment` (monotonic s) all that happened is known; may be infinite."""
        return max(moment - self._whole_since, 0.0)

    def _drop(self, key: tuple[str, str]) -> None:
        _, fact = self._facts.pop(key, (0.0, None))
        if fact is not None:
            self._bytes -= fact.bytes
