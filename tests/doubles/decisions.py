"""Records single decisions about leased jobs at once, and raises LeaseLost for a lost lease."""

from __future__ import annotations

from worker.core.accounts import Account
from worker.core.events import Event
from worker.core.ports import Ledger
from worker.core.records import Decision, Ending, Lease, Parking, Reason, Recorded
from worker.core.retry import Tally
from worker.errors import LeaseLost


def settle(ledger: Ledger, lease: Lease, account: Account | None, tally: Tally, event: Event) -> Recorded:
    return record(ledger, Ending(lease, account, tally, event))


def park(
    ledger: Ledger, lease: Lease, tally: Tally, reason: Reason, wait_seconds: float, detail: str = ""
) -> Recorded:
    return record(ledger, Parking(lease, tally, reason, wait_seconds, detail))


def hold(ledger: Ledger, lease: Lease, tally: Tally, code: str) -> Recorded:
    return record(ledger, Parking(lease, tally, Reason.HELD, detail=code, hold_code=code))


def record(ledger: Ledger, decision: Decision) -> Recorded:
    """Record a decision. Raises LeaseLost if the ledger recorded nothing."""
    (recorded,) = ledger.record([decision])
    if recorded is Recorded.LOST:
        raise LeaseLost(decision.lease.job.id)
    return recorded
