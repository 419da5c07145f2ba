"""Makes the decision about a leased job, and hands it over to be recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_when_event_set,
    wait_random_exponential,
)

from worker.core.accounts import Account
from worker.core.events import Event, Failure, Status, Subject, conclude, id_of_end
from worker.core.ports import Ledger, Traces, Waits, Watch
from worker.core.records import Decision, Ending, Lease, Parked, Parking, Reason
from worker.core.retry import Tally
from worker.core.untraced import UNTRACED
from worker.errors import StoreUnavailable, WrongKey

LOOK_SECONDS = 0.1
"""How often a call that waits for the store looks whether the worker ends."""


class DecisionSink(Protocol):
    """Records decisions later, and keeps each until the ledger takes it or another worker has decided."""

    def put(self, decision: Decision, done: Callable[[], None]) -> None:
        """Have `decision` recorded. `done` is called once it is on record. Must not raise."""


@dataclass(frozen=True)
class Settler:
    """Makes decisions about leased jobs. Thread-safe.

    Once `closing` is set, `renew` no longer waits for Redis but raises StoreUnavailable. The lease then runs out, and
    the job counts as lost.
    """

    ledger: Ledger
    recorder: DecisionSink
    watch: Watch
    clock: Callable[[], float] = time.monotonic
    closing: threading.Event = field(default_factory=threading.Event)
    traces: Traces = UNTRACED

    def settle(
        self, lease: Lease, account: Account | None, tally: Tally, status: Status, outcome: str | Failure
    ) -> None:
        """End the job, with its event and webhook deliveries. `outcome` is the provider's ref or the failure."""
        # Redis' clock may have been set back since the job was accepted.
        finished_at_us = max(lease.now_us(self.clock()), lease.accepted_at_us)
        job, accepted_at_us = lease.job, lease.accepted_at_us
        event_id = id_of_end(self.ledger.installation(), job.account, job.id, accepted_at_us, lease.fence)
        event = conclude(
            Subject.of(job),
            outcome,
            status,
            attempts=tally.sent,
            accepted_at_us=accepted_at_us,
            finished_at_us=finished_at_us,
            event_id=event_id,
        )
        failure = outcome if isinstance(outcome, Failure) else None
        trace = self.traces.context(job.origin)
        done = partial(self._ended, lease, event, failure, finished_at_us)
        self.recorder.put(Ending(lease, account, tally, event, trace), done)

    def _ended(self, lease: Lease, event: Event, failure: Failure | None, finished_at_us: int) -> None:
        """Report the end of a job once it is on record."""
        job, accepted_at_us = lease.job, lease.accepted_at_us
        code, seconds = failure.code if failure else "", (finished_at_us - accepted_at_us) / 1_000_000
        self.watch.finished(job.id, job.account, event, code, seconds)
        self.traces.ended(job.origin, event, failure, accepted_at_us, finished_at_us)

    def settle_expired(self, lease: Lease, account: Account | None, tally: Tally) -> None:
        """End a job whose time is up: as expired, or as unknown if an earlier request may have rung the phone."""
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
        self.recorder.put(Parking(lease, tally, reason, wait_seconds, detail), _nothing)

    def hold(self, lease: Lease, tally: Tally, code: str) -> None:
        """Put the job back into its lane and hold its account."""
        self.recorder.put(Parking(lease, tally, Reason.HELD, detail=code, hold_code=code), _nothing)

    def renew(
        self, lease: Lease, account: Account, tally: Tally, waits: Waits, *, lapsed: bool = False
    ) -> Lease | Parked:
        """Get a fresh slot and intent for the job, or put it back into its lane; see `Ledger.renew`.

        Repeats that while the store is away. Between two tries the call waits, and holds none of the threads in which
        `waits` runs what blocks. Raises LeaseLost.
        """
        renew = partial(self.ledger.renew, lease, account, tally, lapsed=lapsed)
        repeated = Retrying(
            retry=retry_if_exception_type((StoreUnavailable, WrongKey)),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            stop=stop_when_event_set(self.closing),
            sleep=partial(self._sleep, waits),
            reraise=True,
        )
        found: Lease | Parked = repeated(waits.aside, renew)
        return found

    def _sleep(self, waits: Waits, seconds: float) -> None:
        """Wait, but no longer than until `closing` is set."""
        while seconds > 0 and not self.closing.is_set():
            waits.sleep(min(seconds, LOOK_SECONDS))
            seconds -= LOOK_SECONDS


def _nothing() -> None:
    """Do nothing: that a job waits again need not be reported."""
