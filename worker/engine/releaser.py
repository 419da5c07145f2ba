"""Leases waiting jobs when their slots come, for as many calls as have a place free."""

from __future__ import annotations

import math

from worker.core.ports import Ledger
from worker.engine.dialler import Dialler
from worker.engine.standing import DeclaredLimits
from worker.failpoints import hit

POLL_SECONDS, IDLE_SECONDS = 0.05, 0.25
"""How often the lanes are looked at before the next slot is due, and when no job waits for any: another worker may have
filled them."""

MAX_BATCH = 100


class Releaser:
    """One turn leases and hands over what is due now. `limits` has the accounts' limits declared before."""

    def __init__(self, ledger: Ledger, dialler: Dialler, limits: DeclaredLimits | None = None) -> None:
        self._ledger, self._dialler, self._limits = ledger, dialler, limits

    def turn(self) -> float:
        """Seconds until the next slot is due, at most a poll interval. Raises StoreUnavailable."""
        if self._limits:
            self._limits.keep()
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
        return min(wait_seconds, POLL_SECONDS if wait_seconds < math.inf else IDLE_SECONDS)
