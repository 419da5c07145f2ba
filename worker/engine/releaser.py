"""Leases waiting jobs when their slots come, as many as there are free places for calls."""

from __future__ import annotations

from collections.abc import Callable

from worker.core.ports import Ledger
from worker.engine.dialler import Dialler
from worker.engine.lookout import LOOK_SECONDS, REST_SECONDS
from worker.failpoints import hit

POLL_SECONDS = 0.05
"""The longest pause between two looks at the lanes while a job is about to be due. Another worker may fill the lanes
meanwhile."""

MAX_BATCH = 100


class Releaser:
    """One turn leases the jobs that are due and hands them to the dialler.

    While no job is about to be due, it rests until it is woken: by this worker's own parts, or by the lookout.
    """

    def __init__(self, ledger: Ledger, dialler: Dialler, declared: Callable[[], bool] = lambda: True) -> None:
        """Until `declared` says that the store has the limits of the accounts file, nothing is leased."""
        self._ledger, self._dialler, self._declared = ledger, dialler, declared

    def turn(self) -> float:
        """Lease what is due; return the seconds until the next turn. Raises StoreUnavailable."""
        if not self._declared():
            return POLL_SECONDS
        places = self._dialler.reserve(MAX_BATCH)
        if not places:
            return POLL_SECONDS
        handed_over = 0
        try:
            hit("release.before")
            leases, wait_seconds = self._ledger.lease_due(places)
            hit("release.after")
            for lease in leases:
                self._dialler.submit(lease)
                handed_over += 1
        finally:
            self._dialler.give_back(places - handed_over)
        return min(wait_seconds, POLL_SECONDS) if wait_seconds <= LOOK_SECONDS else REST_SECONDS
