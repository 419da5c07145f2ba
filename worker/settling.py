"""Writes a decision about a job into the ledger: until Redis takes it, or another worker has decided."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from tenacity import (
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_random_exponential,
)

from worker.accounts import Account
from worker.errors import LeaseLost, StoreUnavailable
from worker.events import Failure, Status, Subject, conclude
from worker.failpoints import hit
from worker.ports import Lease, Ledger, Parked, Reason, Watch
from worker.retry import Tally

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Settler:
    """Decisions about leased jobs. Thread-safe.

    What a call came to is known only to the thread that made it, so a decision is tried again while Redis is away.
    Once `closing` is set nothing waits any longer and StoreUnavailable is raised; the lease then runs out, and the
    job counts as lost. A lease that another worker has taken meanwhile is reported to the watch, not raised.
    """

    ledger: Ledger
    watch: Watch
    clock: Callable[[], float] = time.monotonic
    closing: threading.Event = field(default_factory=threading.Event)

    def settle(
        self, lease: Lease, account: Account | None, tally: Tally, status: Status, outcome: str | Failure
    ) -> None:
        """End the job: outcome, event and deliveries; `outcome` is the provider's ref or the failure."""
        finished_at_us = lease.now_us(self.clock())
        event = conclude(
            Subject.of(lease.job),
            outcome,
            status,
            attempts=tally.sent,
            accepted_at_us=lease.accepted_at_us,
            finished_at_us=finished_at_us,
        )
        hit("settle.before")
        if self._surely(lease, partial(self.ledger.settle, lease, account, tally, event)):
            code = outcome.code if isinstance(outcome, Failure) else ""
            seconds = (finished_at_us - lease.accepted_at_us) / 1_000_000
            hit("settle.after")
            self.watch.finished(lease.job.id, lease.job.account, status, code, seconds)

    def settle_expired(self, lease: Lease, account: Account | None, tally: Tally) -> None:
        """End a job whose time is up: expired, unless an earlier request may have rung the phone."""
        if tally.perhaps_rung:
            failure = Failure(
                "OUTCOME_UNKNOWN", "the phone may have rung, and the job expired before a redial"
            )
            self.settle(lease, account, tally, Status.UNKNOWN, failure)
        else:
            failure = Failure("EXPIRED", "expires_at passed before the phone could be rung")
            self.settle(lease, account, tally, Status.EXPIRED, failure)

    def park(self, lease: Lease, tally: Tally, reason: Reason, wait_seconds: float, detail: str) -> None:
        """Put the job back into its lane."""
        hit("park.before")
        self._surely(lease, partial(self.ledger.park, lease, tally, reason, wait_seconds, detail))
        hit("park.after")

    def hold(self, lease: Lease, tally: Tally, code: str) -> None:
        """Put the job back into its lane and hold its account."""
        self._surely(lease, partial(self.ledger.hold, lease, tally, code))

    def renew(self, lease: Lease, account: Account, tally: Tally) -> Lease | Parked:
        """A fresh slot and intent for the job, or the job back in its lane. Raises LeaseLost."""
        return self._patiently(partial(self.ledger.renew, lease, account, tally))

    def _surely(self, lease: Lease, write: Callable[[], None]) -> bool:
        try:
            self._patiently(write)
        except LeaseLost:
            self.watch.lease_lost(lease.job)
            return False
        return True

    def _patiently(self, action: Callable[[], Answer]) -> Answer:
        return Retrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            stop=stop_when_event_set(self.closing),
            sleep=sleep_using_event(self.closing),
            reraise=True,
        )(action)
