"""Ends waiting jobs when they expire, and decides about jobs whose worker was lost."""

from __future__ import annotations

from worker.errors import StoreUnavailable
from worker.ports import Lease, Ledger
from worker.verify import Verification

POLL_SECONDS = 0.1
BATCH_MOST = 50


class Sweeper:
    """One turn recovers what is overdue in every shard."""

    def __init__(self, ledger: Ledger, verification: Verification) -> None:
        self._ledger, self._verification = ledger, verification

    def turn(self) -> float:
        """Seconds until the next look. Raises StoreUnavailable."""
        leases = self._ledger.reclaim(BATCH_MOST)
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
