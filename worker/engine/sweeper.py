"""Ends waiting jobs when they expire, and decides about jobs whose worker was lost."""

from __future__ import annotations

from collections.abc import Callable

from worker.core.ports import Ledger
from worker.core.records import Lease
from worker.engine.lookout import REST_SECONDS
from worker.engine.recorder import Recorder
from worker.errors import StoreUnavailable

BUSY_SECONDS = 0.25
"""The pause while too many decisions are not on record."""

MAX_BATCH = 200


class Sweeper:
    """One turn calls `decide` for each overdue job. The recorder puts the decisions on record.

    The lookout wakes it when a job is overdue.
    """

    def __init__(self, ledger: Ledger, decide: Callable[[Lease], None], recorder: Recorder) -> None:
        self._ledger, self._decide, self._recorder = ledger, decide, recorder

    def turn(self) -> float:
        """Decide about what is overdue; return the seconds until the next turn. Raises StoreUnavailable."""
        if self._recorder.unrecorded > MAX_BATCH:
            return BUSY_SECONDS
        leases = self._ledger.reclaim(MAX_BATCH)
        faults = [fault for lease in leases if (fault := self._fault_at(lease))]
        if faults:
            raise faults[0]
        return 0.0 if leases else REST_SECONDS

    def _fault_at(self, lease: Lease) -> Exception | None:
        """Decide about one job. Returns its error, so that a bad job does not stop the others of its batch."""
        try:
            self._decide(lease)
        except StoreUnavailable:
            raise
        except Exception as error:
            return error
        return None
