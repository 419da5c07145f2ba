"""The use case: a job comes in, is admitted under its account's limits, dialled, and settled.

    submission ─> judge ─┬─> admit ─┬─────────> dial ─┬─> settle ─> outbox
                         │          └─> lane ──────^  └─> lane
                         ├─> reject ─────────────────────────────> outbox
                         ├─> take back (a job that waits) ───────> outbox
                         └─> bury (dead letters)

    Reception   takes a submission to a lease, or to the lane, the outbox or the dead letters
    Calls       takes a lease through the provider to its decision
    Overdue     decides without a call: about jobs that expired while they waited, and jobs whose worker was lost

Nothing here knows Celery, Redis or requests; `worker.wiring` puts the adapters behind the ports.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from worker.core.accounts import Accounts
from worker.core.calling import Call
from worker.core.canceling import Canceling
from worker.core.cancels import Cancel, Noted, Stays, Withdrawn
from worker.core.current import CurrentAccounts
from worker.core.events import OUTCOME_UNKNOWN, Event, Failure, Status, conclude, event_id_from, id_of_end
from worker.core.judging import Broken, Rejected, Submission, Valid, judge
from worker.core.notices import not_canceled
from worker.core.ports import DeadLetters, Ledger, Provider, Traces, Waits, Watch
from worker.core.records import Application, Known, Lease, Parked, Reason
from worker.core.retry import Backoff, backoff_seconds
from worker.core.settling import Settler
from worker.core.untraced import UNTRACED
from worker.failpoints import hit

FOREIGN_ACCOUNT_WAIT_SECONDS = 5.0


@dataclass(frozen=True)
class Reception:
    """Puts submissions on record. Thread-safe.

    `extended` also accepts the fields of the provider's older page. `traced` keeps the trace context of each job, for
    `traces`.
    """

    ledger: Ledger
    accounts: CurrentAccounts
    dead_letters: DeadLetters
    watch: Watch
    extended: bool = False
    traced: bool = False
    traces: Traces = UNTRACED

    def accept(self, submissions: Sequence[Submission], places: int, *, paused: bool = False) -> list[Lease]:
        """Put every submission on record. Returns at most `places` leases, which the caller must dial.

        Cancels go before jobs: a job and its cancel that come together end without a call. `paused` says that there
        are no more places because nothing is dialled. One version of the accounts file applies to all of them.
        Raises StoreUnavailable. Any of the submissions may then be on record, and all may be given again.
        """
        applications: list[Application] = []
        cancels: list[Cancel] = []
        accounts = self.accounts.now
        for submission in submissions:
            match judge(submission, accounts, extended=self.extended, traced=self.traced):
                case Valid(job, account):
                    may_dial = len(applications) < places
                    trace = self.traces.context(job.origin) if self.traced else ""
                    applications.append(Application(job, account, submission.source, may_dial, paused, trace))
                case Rejected() as rejected:
                    self._reject(rejected, submission, accounts)
                case Cancel() as cancel:
                    cancels.append(cancel)
                case Broken(reason):
                    job_id = submission.default_id
                    self.dead_letters.bury(reason, submission.source, submission.fields, job_id=job_id)
        self._take_back(cancels, accounts)
        return self._admit(applications)

    def _take_back(self, cancels: Sequence[Cancel], accounts: Accounts) -> None:
        answers = Canceling(self.ledger, accounts, self.traces).take_back(cancels)
        stay = [
            (cancel, answer)
            for cancel, answer in zip(cancels, answers, strict=True)
            if isinstance(answer, Stays)
        ]
        if stay:
            installation = self.ledger.installation()
            self.ledger.tell([not_canceled(cancel, answer, installation) for cancel, answer in stay])
        for cancel, answer in zip(cancels, answers, strict=True):
            match answer:
                case Withdrawn():
                    self._finished(answer)
                case Noted():
                    self.watch.cancel_noted(cancel.job_id)
                case Stays():
                    self.watch.not_canceled(cancel.job_id, answer)

    def _admit(self, applications: Sequence[Application]) -> list[Lease]:
        leases: list[Lease] = []
        hit("admit.before")
        admissions = self.ledger.admit(applications)
        hit("admit.after")
        for application, admission in zip(applications, admissions, strict=True):
            job = application.job
            if isinstance(admission, Known):
                self.watch.repeated(job.account, job.id, admission)
                continue
            self.watch.accepted(job.account, job.id, application.source)
            if isinstance(admission, Withdrawn):
                self._finished(admission)
            elif isinstance(admission, Parked):
                self.watch.parked(job, admission.reason, admission.until_us)
            else:
                leases.append(admission)
        return leases

    def _finished(self, ended: Withdrawn) -> None:
        job, accepted_at_us, finished_at_us = ended.job, ended.accepted_at_us, ended.finished_at_us
        seconds = (finished_at_us - accepted_at_us) / 1_000_000
        self.watch.finished(job.id, job.account, ended.event, ended.failure.code, seconds)
        self.traces.ended(job.origin, ended.event, ended.failure, accepted_at_us, finished_at_us)

    def _reject(self, rejected: Rejected, submission: Submission, accounts: Accounts) -> None:
        subject, account = rejected.subject, accounts.get(rejected.subject.account)
        now_us = time.time_ns() // 1000
        installation = self.ledger.installation()
        event_id = (
            _strangers_id(installation, rejected)
            if account is None
            else id_of_end(installation, account.name, subject.id, now_us, 0)
        )
        event = _rejection(rejected, now_us, event_id)
        trace = self.traces.context(rejected.origin)
        seen = self.ledger.reject(subject.id, subject.account, account, event, rejected.content, trace)
        if seen is not None:
            self.watch.repeated(subject.account, subject.id, seen)
            return
        self.watch.accepted(subject.account, subject.id, submission.source)
        self.watch.finished(subject.id, subject.account, event, rejected.failure.code, 0.0)
        self.traces.ended(rejected.origin, event, rejected.failure, now_us, now_us)


@dataclass(frozen=True)
class Calls:
    """Places the calls of leased jobs. Thread-safe.

    `request_seconds` is the provider client's deadline for one request. `wait` returns how long to wait between two.
    """

    accounts: CurrentAccounts
    provider: Provider
    settler: Settler
    waits: Waits
    request_seconds: float
    wait: Backoff = backoff_seconds

    def dial(self, lease: Lease, started: Callable[[], None] = lambda: None) -> None:
        """Place the call of a leased job. The job ends, or goes back into its lane. `started`: see `Call`."""
        hit("dial.before")
        account = self.accounts.now.get(lease.job.account)
        if account is None:
            # Another worker's accounts file has the account, so this worker must not decide about its jobs.
            wait_seconds = FOREIGN_ACCOUNT_WAIT_SECONDS
            self.settler.park(lease, lease.tally, Reason.HELD, wait_seconds, "account unknown to this worker")
            return
        self.settler.watch.leased(lease)
        Call(
            lease,
            account,
            provider=self.provider,
            settler=self.settler,
            waits=self.waits,
            request_seconds=self.request_seconds,
            started=started,
            wait=self.wait,
        ).run()
        hit("dial.after")


@dataclass(frozen=True)
class Overdue:
    """Decides about jobs that have expired or whose worker was lost. Thread-safe."""

    accounts: CurrentAccounts
    settler: Settler

    def decide(self, lease: Lease) -> None:
        """End the job, or put it back into its lane if it may be dialled again."""
        account, tally = self.accounts.now.get(lease.job.account), lease.tally
        if lease.now_us(self.settler.clock()) >= lease.expires_at_us:
            self.settler.settle_expired(lease, account, tally)
        elif account is not None and account.budget.spent(tally):
            failure = Failure(OUTCOME_UNKNOWN, "the worker was lost after it had begun to dial")
            self.settler.settle(lease, account, tally, Status.UNKNOWN, failure)
        else:
            self.settler.park(lease, tally, Reason.BACKOFF, 0.0, "the worker was lost")


def _strangers_id(installation: str, rejected: Rejected) -> str:
    """Return the event's id for a job that the ledger soon forgets. It is the same if the message comes again."""
    subject, failure = rejected.subject, rejected.failure
    fields = sorted((failure.fields or {}).items())
    return event_id_from(repr((installation, subject.id, subject.account, failure.code, fields)))


def _rejection(rejected: Rejected, now_us: int, event_id: str) -> Event:
    return conclude(
        rejected.subject,
        rejected.failure,
        Status.REJECTED,
        attempts=0,
        accepted_at_us=now_us,
        finished_at_us=now_us,
        event_id=event_id,
    )
