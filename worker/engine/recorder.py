"""Takes decisions about leased jobs to the ledger. All that have collected go in one round trip."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from worker.core.ports import Ledger, Watch
from worker.core.records import Decision, Ending, Recorded
from worker.engine.batches import fill
from worker.engine.keeper import LeasesInHand
from worker.engine.loops import Faults
from worker.engine.parts import Grace, Part
from worker.errors import StoreUnavailable
from worker.failpoints import hit
from worker.telemetry.logs import job_context

MAX_BATCH = 128
IDLE_SECONDS = 0.5
BLOCKED_SECONDS = 1.0
"""The pause before decisions that a wrong key in the store has blocked are given again."""

LATER_SECONDS = 0.25
"""The same for decisions whose part of the store cannot be reached."""

RECORD_SECONDS = 1.0
"""The time for the last outcomes to get on record if the calls have used up the grace."""

GATHER_SECONDS = 0.01
"""The pause after a batch, in which the next one collects: many decisions cost little more than one."""


_AGAIN = (Recorded.BLOCKED, Recorded.LATER)


@dataclass(frozen=True, slots=True)
class _Entry:
    decision: Decision
    done: Callable[[], None]


class Recorder(Part):
    """A queue of decisions, and the turn that empties it. Any thread may call `put`; one thread calls `turn`.

    Only this process knows the outcome of a call, so a decision is kept until Redis takes it, or until another worker
    has decided, which is reported to the watch. A decision that a wrong key in Redis blocks, or whose part of the store
    is away while others answer, is set aside and given again, and holds up no other. `ended` is called when jobs have
    ended. `room` is called when a waiting job may go, because another one has ended or is back in its lane.
    """

    def __init__(
        self,
        ledger: Ledger,
        watch: Watch,
        faults: Faults,
        in_hand: LeasesInHand | None = None,
        *,
        ended: Callable[[], None] = lambda: None,
        room: Callable[[], None] = lambda: None,
        idle_seconds: float = IDLE_SECONDS,
        blocked_seconds: float = BLOCKED_SECONDS,
    ) -> None:
        """`in_hand` notes each job from `put` until its decision is on record or given up."""
        self._ledger, self._watch, self._faults = ledger, watch, faults
        self._in_hand = in_hand or LeasesInHand()
        self._entries: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        self._batch: list[_Entry] = []
        self._aside: list[_Entry] = []
        self._again_at = 0.0
        self._lock = threading.Lock()
        self._open = 0
        self._ended, self._room = ended, room
        self._idle_seconds, self._blocked_seconds = idle_seconds, blocked_seconds

    @property
    def unrecorded(self) -> int:
        """The number of decisions that are not on record yet."""
        return self._open

    def put(self, decision: Decision, done: Callable[[], None]) -> None:
        """Have `decision` recorded; `done` is called once it is."""
        with self._lock:
            self._open += 1
        self._in_hand.take(decision.lease, decided=True)
        self._entries.put(_Entry(decision, done))

    def turn(self) -> float:
        """Record one batch; return the seconds until the next turn.

        Raises StoreUnavailable; the batch is then kept for the next turn.
        """
        fill(self._batch, self._entries, MAX_BATCH, self._idle)
        again = self._due_again()
        self._batch += again
        if not self._batch:
            return 0.0
        aside = self._record(self._batch)
        left = set(map(id, aside))
        done = [entry for entry in self._batch if id(entry) not in left]
        with self._lock:
            self._open -= len(done)
        for entry in done:
            self._in_hand.let_go(entry.decision.lease)
        if again and not aside:
            self._again_at = 0.0
        self._aside += aside
        self._batch = []
        return GATHER_SECONDS

    @property
    def _idle(self) -> float:
        """How long to wait for a first decision: less while others are to be given again."""
        if not self._aside:
            return self._idle_seconds
        return min(self._idle_seconds, max(self._again_at - time.monotonic(), 0.0))

    def _due_again(self) -> list[_Entry]:
        now = time.monotonic()
        if now < self._again_at:
            return []
        self._again_at = now + self._blocked_seconds
        again, self._aside = self._aside[:MAX_BATCH], self._aside[MAX_BATCH:]
        return again

    def join(self, grace: Grace, /) -> None:
        """Wait until all is on record: at least for `RECORD_SECONDS`, even if the calls have used up the grace."""
        grace.wait(lambda: self._open <= 0, RECORD_SECONDS)

    def _record(self, batch: Sequence[_Entry]) -> list[_Entry]:
        """Record a batch. Returns the entries to give again: a wrong key or an absent shard has stopped them."""
        kinds = {"settle" if isinstance(entry.decision, Ending) else "park" for entry in batch}
        for kind in kinds:
            hit(f"{kind}.before")
        try:
            results = self._ledger.record([entry.decision for entry in batch])
        except StoreUnavailable:
            raise
        except Exception as error:  # one bad decision must not stop the others
            return self._record_apart(batch, error)
        for kind in kinds:
            hit(f"{kind}.after")
        recorded = list(zip(batch, results, strict=True))
        for entry, result in recorded:
            self._tell(entry, result)
        if "settle" in kinds:
            self._ended()
        if Recorded.ROOM in results or "park" in kinds:
            self._room()
        if Recorded.LATER in results:
            self._again_at = min(self._again_at, time.monotonic() + LATER_SECONDS)
        return [entry for entry, result in recorded if result in _AGAIN]

    def _record_apart(self, batch: Sequence[_Entry], fault: Exception) -> list[_Entry]:
        """Record each decision alone. One that fails alone is given up, and its lease runs out."""
        if len(batch) == 1:
            self._faults.loop_failed("recorder", fault)
            return []
        return [again for entry in batch for again in self._record([entry])]

    def _tell(self, entry: _Entry, result: Recorded) -> None:
        lease = entry.decision.lease
        with job_context(lease.job.id, lease.job.account, lease.tally.sent + 1):
            if result is Recorded.LOST:
                self._watch.lease_lost(lease.job)
            elif result not in _AGAIN:
                entry.done()
