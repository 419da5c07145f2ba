"""The ledger of a worker that keeps a journal of what goes on record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from worker.core import repeats
from worker.core.accounts import Account
from worker.core.cancels import Answer, Cancel, Waiting, Withdrawal, Withdrawn
from worker.core.events import Event
from worker.core.records import (
    Admission,
    Application,
    Decision,
    Ending,
    Known,
    Later,
    Lease,
    Parked,
    Recorded,
    Released,
)
from worker.core.retry import Tally
from worker.state.journal import Ended, Fact, Journal, Open
from worker.state.ledger import RedisLedger
from worker.state.units import to_us


class RememberingLedger(RedisLedger):
    """A ledger that notes in `journal` what it has put on record and which leases it was given.

    `unix_clock` is Redis' own time, as far as is known (s).
    """

    def __init__(
        self,
        *args: Any,
        journal: Journal,
        unix_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        super().__init__(*args, clock=clock, **options)
        self._journal, self._unix_clock, self._clock = journal, unix_clock, clock

    def admit(self, applications: Sequence[Application]) -> list[Admission]:
        """See ports.Ledger."""
        admissions = super().admit(applications)
        self._journal.note(*_admitted(applications, admissions, to_us(self._unix_clock())))
        return admissions

    def lease_due(self, most: int) -> Released:
        """See ports.Ledger."""
        released = super().lease_due(most)
        self._journal.note(*map(_leased, released.leases))
        return released

    def renew(self, lease: Lease, account: Account, tally: Tally, *, lapsed: bool = False) -> Lease | Parked:
        """See ports.Ledger."""
        renewed = super().renew(lease, account, tally, lapsed=lapsed)
        if isinstance(renewed, Lease):
            self._journal.note(_leased(renewed))
        else:
            self._journal.note(_parked(lease, tally, renewed.reason, 0.0))
        return renewed

    def record(self, decisions: Sequence[Decision]) -> list[Recorded]:
        """See ports.Ledger."""
        results, now = super().record(decisions), self._clock()
        self._journal.note(
            *(
                _decided(decision, now)
                for decision, result in zip(decisions, results, strict=True)
                if result in (Recorded.DONE, Recorded.ROOM)
            )
        )
        for decision, result in zip(decisions, results, strict=True):
            if result is Recorded.LOST:
                self._journal.forget(decision.lease.job.account, decision.lease.job.id)
        return results

    def reject(
        self,
        job_id: str,
        account_name: str,
        account: Account | None,
        event: Event,
        content: str,
        trace: str = "",
    ) -> Known | None:
        """See ports.Ledger."""
        known = super().reject(job_id, account_name, account, event, content, trace)
        if known is None and account is not None:
            digest = repeats.digest(job_id, account_name, content)
            self._journal.note(Ended(account_name, job_id, digest, 0, 0, event, trace))
        return known

    def cancel(self, wishes: Sequence[Cancel | Withdrawal]) -> list[Answer | Waiting | Later]:
        """See ports.Ledger."""
        answers = super().cancel(wishes)
        self._journal.note(
            *(
                _withdrawn(answer, wish.trace, wish.found.fence, wish.found.tally.perhaps_rung)
                for wish, answer in zip(wishes, answers, strict=True)
                if isinstance(wish, Withdrawal) and isinstance(answer, Withdrawn)
            )
        )
        return answers

    def reclaim(self, most: int) -> list[Lease]:
        """See ports.Ledger."""
        leases = super().reclaim(most)
        self._journal.note(*map(_leased, leases))
        return leases


def _admitted(
    applications: Sequence[Application], admissions: Sequence[Admission], now_us: int
) -> Iterable[Fact]:
    for one, admission in zip(applications, admissions, strict=True):
        if isinstance(admission, Lease):
            yield _leased(admission)
        elif isinstance(admission, Withdrawn):
            yield _withdrawn(admission, one.trace, 0, 0)
        elif isinstance(admission, Parked):
            named = one.job.expires_at
            expires_us = now_us + to_us(one.account.ttl) if named is None else to_us(named.timestamp())
            yield Open(one.job, 0, Tally(), now_us, expires_us, why=admission.reason)


def _leased(lease: Lease) -> Open:
    return Open(lease.job, lease.fence, lease.tally, lease.accepted_at_us, lease.expires_at_us, lease.due)


def _parked(lease: Lease, tally: Tally, why: str, ready_at: float) -> Open:
    times = lease.accepted_at_us, lease.expires_at_us
    return Open(lease.job, lease.fence, tally, *times, ready_at=ready_at, why=why)


def _decided(decision: Decision, now: float) -> Fact:
    lease, job = decision.lease, decision.lease.job
    if isinstance(decision, Ending):
        perhaps_rung = decision.tally.perhaps_rung
        return Ended(job.account, job.id, job, lease.fence, perhaps_rung, decision.event, decision.trace)
    return _parked(lease, decision.tally, decision.reason, now + decision.wait_seconds)


def _withdrawn(ended: Withdrawn, trace: str, fence: int, perhaps_rung: int) -> Ended:
    job = ended.job
    return Ended(job.account, job.id, job, fence, perhaps_rung, ended.event, trace, canceled=True)
