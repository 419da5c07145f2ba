"""Ends waiting jobs when they expire, and decides about jobs whose worker was lost."""

from __future__ import annotations

import time
from collections.abc import Callable

from worker.engine.recorder import Recorder
from worker.errors import StoreUnavailable
from worker.ports import Lease, Ledger
from worker.verify import Verification

POLL_SECONDS = 0.25
BATCH_MOST = 200
PATIENCE_SECONDS = 5.0


class Sweeper:
    """One turn recovers what is overdue; the recorder writes down what was decided.

    Leases run out while Redis is away, too. So for a while after an outage, and after the start, which may follow one,
    lost jobs are left to the workers that still have them in hand and are about to settle them.
    """

    def __init__(
        self,
        ledger: Ledger,
        verification: Verification,
        recorder: Recorder,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._verification, self._recorder, self._clock = ledger, verification, recorder, clock
        self._patient_until = clock() + PATIENCE_SECONDS

    def turn(self) -> float:
        """Seconds until the next look. Raises StoreUnavailable."""
        if self._recorder.backlog > BATCH_MOST:
            return POLL_SECONDS
        try:
            leases = self._ledger.reclaim(BATCH_MOST, lost=self._clock() >= self._patient_until)
        except StoreUnavailable:
            self._patient_until = self._clock() + PATIENCE_SECONDS
            raise
        faults = [fault for lease in leases if (fault := self._recovered(lease))]
        if faults:
            raise faults[0]
        return 0.0 if leases else POLL_SECONDS

    def _recovered(self, lease: Lease) -> Exception | None:
        """Decide about one job; one that breaks us must not take the others of its batch along."""
        try:
            self._verification.recover(lease)
        except StoreUnavailable:
            raise
        except Exception as fault:
            return fault
        return None
