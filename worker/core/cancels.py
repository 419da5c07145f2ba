"""The values of canceling: what a producer asks for, and what the ledger says of it. See docs/decisions/0024.

Cancel ──ledger──> Noted                          no job has come under the id yet
                   Canceled                       the job was canceled before
                   Stays                          the job is in hand or has ended
                   Waiting ──> Withdrawal ──ledger──> Withdrawn, or again one of these if the job has moved on
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from worker.core.accounts import Account
from worker.core.events import CANCELED, OUTCOME_UNKNOWN, Event, Failure, Status, Subject, conclude, id_of_end
from worker.core.jobs import Job
from worker.core.retry import Tally

NOTED_SECONDS = 3600
"""How long a cancel is remembered that comes before its job."""

NOT_FOUND = "not_found"
"""The state of a job that is not on record under the account that a cancel names."""


def told_state(state: str) -> str:
    """Name a ledger's state for producers: a job that a worker decides about is in hand like one that it dials."""
    return "dialling" if state == "settling" else state


@dataclass(frozen=True, slots=True)
class Cancel:
    """A wish to take back the job `job_id`, if it is one of `account`; None is any account."""

    job_id: str
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The job waits. `fence` is the number of its last lease; the times are Redis' own (Unix µs)."""

    job: Job
    fence: int
    tally: Tally
    accepted_at_us: int
    now_us: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The job has ended with `event`, because it was canceled while it waited or before it came; times are Unix µs."""

    job: Job
    event: Event
    failure: Failure
    accepted_at_us: int
    finished_at_us: int

    @classmethod
    def after(
        cls,
        tally: Tally,
        job: Job,
        accepted_at_us: int,
        finished_at_us: int,
        *,
        fence: int,
        installation: str,
    ) -> Self:
        """Make the end of a job: it has expired, or is unknown if one of its requests may have rung the phone.

        `fence` is the number of its last lease, 0 without one; `installation` is as in `id_of_end`.
        """
        if tally.perhaps_rung:
            status, code = Status.UNKNOWN, OUTCOME_UNKNOWN
            message = "the phone may have rung, and the job was canceled before a redial"
        else:
            status, code = Status.EXPIRED, CANCELED
            message = "the job was canceled before the phone could be rung"
        failure = Failure(code, message)
        event = conclude(
            Subject.of(job),
            failure,
            status,
            attempts=tally.sent,
            accepted_at_us=accepted_at_us,
            finished_at_us=finished_at_us,
            event_id=id_of_end(installation, job.account, job.id, accepted_at_us, fence),
        )
        return cls(job, event, failure, accepted_at_us, finished_at_us)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Ends a job as `ended` says, if it still waits as it did when it was `found`.

    The event goes to the results queue and to the endpoints of `account`; `trace` is as in `Ending`.
    """

    found: Waiting
    account: Account | None
    ended: Withdrawn
    trace: str = ""

    @property
    def job_id(self) -> str:
        return self.found.job.id


@dataclass(frozen=True, slots=True)
class Canceled:
    """The job was canceled before."""


@dataclass(frozen=True, slots=True)
class Noted:
    """No job is on record under the id. If one comes within `NOTED_SECONDS`, it ends without a call."""


@dataclass(frozen=True, slots=True)
class Stays:
    """The job is not canceled: `state` is "dialling", its final status, or `NOT_FOUND`.

    `fence` is the number of its newest lease, 0 if it has ended or was not found.
    """

    account: str
    state: str
    fence: int = 0


Answer = Withdrawn | Canceled | Noted | Stays
