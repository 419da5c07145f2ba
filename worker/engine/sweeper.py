"""Ends waiting jobs when they expire, and decides about jobs whose worker was lost."""

from __future__ import annotations

from worker.ports import Ledger
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
        for lease in leases:
            self._verification.recover(lease)
        return 0.0 if leases else POLL_SECONDS
