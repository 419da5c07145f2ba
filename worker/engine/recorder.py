"""Takes decisions about leased jobs to the ledger, as many in one round trip as have come together."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from worker.engine.batches import fill
from worker.engine.draining import drained
from worker.engine.keeper import Hands
from worker.errors import StoreUnavailable
from worker.failpoints import hit
from worker.logs import job_context
from worker.loops import Faults
from worker.ports import Decision, Ending, Ledger, Recorded, Watch

BATCH_MOST = 128
IDLE_SECONDS = 0.5
GATHER_SECONDS = 0.01
"""The pause after a batch, in which the next one gathers: many decisions cost little more than one."""


@dataclass(frozen=True, slots=True)
class _Entry:
    decision: Decision
    done: Callable[[], None]


class Recorder:
    """A queue of decisions and the turn that empties it. `put` may be called by any thread, `turn` by one.

    What a call came to is known to this process alone, so a decision is kept until Redis takes it or another worker has
    decided, which the watch hears of. `ended` is called when jobs have ended, `room` when one may go that waited for
    another's end, or will that waits again.
    """

    def __init__(self, ledger: Ledger, watch: Watch, faults: Faults, hands: Hands | None = None) -> None:
        """`hands`: where a job is noted from `put` until its decision is on record or given up."""
        self._ledger, self._watch, self._faults = ledger, watch, faults
        self._hands = hands or Hands()
        self._entries: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        self._batch: list[_Entry] = []
        self._lock = threading.Lock()
        self._open = 0
        self.ended: Callable[[], None] = lambda: None
        self.room: Callable[[], None] = lambda: None

    @property
    def backlog(self) -> int:
        """Decisions that are not on record yet."""
        return self._open

    def put(self, decision: Decision, done: Callable[[], None]) -> None:
        """Have `decision` recorded; `done` is called once it is."""
        with self._lock:
            self._open += 1
        self._hands.take(decision.lease)
        self._entries.put(_Entry(decision, done))

    def turn(self) -> float:
        """Record one batch. Raises StoreUnavailable; the batch is then kept for the next turn."""
        fill(self._batch, self._entries, BATCH_MOST, IDLE_SECONDS)
        if not self._batch:
            return 0.0
        self._record(self._batch)
        with self._lock:
            self._open -= len(self._batch)
        for entry in self._batch:
            self._hands.let_go(entry.decision.lease)
        self._batch = []
        return GATHER_SECONDS

    def drain(self, timeout_seconds: float, hurry: threading.Event) -> bool:
        """Wait until all is on record; False if that took too long, or when `hurry` is set."""
        return drained(lambda: self._open <= 0, timeout_seconds, hurry)

    def _record(self, batch: Sequence[_Entry]) -> None:
        kinds = {"settle" if isinstance(entry.decision, Ending) else "park" for entry in batch}
        for kind in kinds:
            hit(f"{kind}.before")
        try:
            verdicts = self._ledger.record([entry.decision for entry in batch])
        except StoreUnavailable:
            raise
        except Exception as fault:  # one decision that breaks us must not take the others along
            self._record_apart(batch, fault)
            return
        for kind in kinds:
            hit(f"{kind}.after")
        for entry, verdict in zip(batch, verdicts, strict=True):
            self._tell(entry, verdict)
        if "settle" in kinds:
            self.ended()
        if Recorded.ROOM in verdicts or "park" in kinds:
            self.room()

    def _record_apart(self, batch: Sequence[_Entry], fault: Exception) -> None:
        """Each on its own; one that fails alone is given up, and its lease runs out."""
        if len(batch) == 1:
            self._faults.loop_failed("recorder", fault)
            return
        for entry in batch:
            self._record([entry])

    def _tell(self, entry: _Entry, verdict: Recorded) -> None:
        lease = entry.decision.lease
        with job_context(lease.job.id, lease.job.account, lease.tally.sent + 1):
            if verdict is Recorded.LOST:
                self._watch.lease_lost(lease.job)
            else:
                entry.done()
