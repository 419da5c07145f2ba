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
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from worker.core.accounts import Accounts
from worker.core.calling import Call
from worker.core.canceling import Canceling
from worker.core.cancels import Answer, Cancel, Noted, Stays, Withdrawn
from worker.core.current import CurrentAccounts
from worker.core.events import OUTCOME_UNKNOWN, Event, Failure, Status, conclude, event_id_from, id_of_end
from worker.core.judging import Broken, Rejected, Submission, Valid, judge
from worker.core.notices import not_canceled
from worker.core.ports import DeadLetters, Ledger, Provider, Traces, Waits, Watch
from worker.core.records import Application, Foreign, Later, Lease, Parked, Reason, Seen
from worker.core.retry import Backoff, backoff_seconds
from worker.core.settling import Settler
from worker.core.untraced import UNTRACED
from worker.errors import StoreUnavailable
from worker.failpoints import hit

FOREIGN_ACCOUNT_WAIT_SECONDS = 5.0


class Accepted(NamedTuple):
    """What became of submissions: the leases to dial, and the places of those to give again later.

    `later` has for each of these the account whose jobs all wait for the same part of the store; empty if it waits
    alone.
    """

    leases: list[Lease]
    later: dict[int, str]


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

    def accept(
        self,
        submissions: Sequence[Submission],
        places: int,
        *,
        paused: bool = False,
        waiting: Collection[str] = (),
    ) -> Accepted:
        """Put every submission on record. Returns at most `places` leases, which the caller must dial.

        Cancels go before jobs: a job and its cancel that come together end without a call. `paused` says that there
        are no more places because nothing is dialled. `waiting` are accounts with earlier jobs that are to be given
        again later: their jobs come later too. One version of the accounts file applies to all of them.
        Raises StoreUnavailable. Any of the submissions may then be on record, and all may be given again.
        """
        applications: dict[int, Application] = {}
        cancels: dict[int, Cancel] = {}
        later: dict[int, str] = {}
        accounts = self.accounts.now
        for place, submission in enumerate(submissions):
            match judge(submission, accounts, extended=self.extended, traced=self.traced):
                case Valid(job, account) if job.account in waiting:
                    later[place] = account.name
                case Valid(job, account):
                    may_dial = len(applications) < places
                    trace = self.traces.context(job.origin) if self.traced else ""
                    applications[place] = Application(
                        job, account, submission.source, may_dial, paused, trace
                    )
                case Cancel() as cancel:
                    cancels[place] = cancel
                case (Rejected() | Broken()) as refused:
                    if not self._refuse(refused, submission, accounts):
                        later[place] = ""
        put_off = self._take_back(cancels, accounts)
        later |= dict.fromkeys(put_off, "")
        ids = {cancels[place].job_id for place in put_off}
        later |= {n: one.account.name for n, one in applications.items() if one.job.id in ids}
        leases, put_off = self._admit({n: one for n, one in applications.items() if n not in later})
        return Accepted(leases, later | put_off)

    def _refuse(self, refused: Rejected | Broken, submission: Submission, accounts: Accounts) -> bool:
        """Answer a message that is no job. Returns False if the part of the store for that cannot be reached."""
        try:
            if isinstance(refused, Rejected):
                self._reject(refused, submission, accounts)
            else:
                job_id = submission.default_id
                self.dead_letters.bury(refused.reason, submission.source, submission.fields, job_id=job_id)
        except StoreUnavailable as error:
            if not self.ledger.is_apart(error):
                raise
            return False
        return True

    def _take_back(self, cancels: Mapping[int, Cancel], accounts: Accounts) -> Collection[int]:
        """Take jobs back. Returns the places of the cancels that are to be given again later."""
        found = Canceling(self.ledger, accounts, self.traces).take_back(list(cancels.values()))
        answers = dict(zip(cancels, found, strict=True))
        stay = {place: answer for place, answer in answers.items() if isinstance(answer, Stays)}
        answers |= self._tell_of({place: (cancels[place], answer) for place, answer in stay.items()})
        for place, answer in answers.items():
            self._tell(cancels[place], answer)
        return [place for place, answer in answers.items() if isinstance(answer, Later)]

    def _tell_of(self, stay: Mapping[int, tuple[Cancel, Stays]]) -> dict[int, Later]:
        """Publish that cancels changed nothing. Returns Later for the places of those to be told again."""
        if not stay:
            return {}
        try:
            installation = self.ledger.installation()
        except StoreUnavailable as error:
            if not self.ledger.is_apart(error):
                raise
            return dict.fromkeys(stay, Later(error, account_waits=False))
        told = self.ledger.tell([not_canceled(*one, installation) for one in stay.values()])
        return {place: later for place, later in zip(stay, told, strict=True) if later}

    def _tell(self, cancel: Cancel, answer: Answer | Later) -> None:
        match answer:
            case Withdrawn():
                self._finished(answer)
            case Noted():
                self.watch.cancel_noted(cancel.job_id)
            case Stays():
                self.watch.not_canceled(cancel.job_id, answer)

    def _admit(self, applications: Mapping[int, Application]) -> Accepted:
        leases: list[Lease] = []
        later: dict[int, str] = {}
        hit("admit.before")
        admissions = self.ledger.admit(list(applications.values()))
        hit("admit.after")
        for (place, application), admission in zip(applications.items(), admissions, strict=True):
            job = application.job
            match admission:
                case Later(account_waits=waits):
                    later[place] = job.account if waits else ""
                    continue
                case Seen() | Foreign():
                    self.watch.repeated(job.account, job.id, admission)
                    continue
            self.watch.accepted(job.account, job.id, application.source)
            match admission:
                case Withdrawn():
                    self._finished(admission)
                case Parked(reason, until_us):
                    self.watch.parked(job, reason, until_us)
                case Lease():
                    leases.append(admission)
        return Accepted(leases, later)

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
