"""Sample accounts, jobs and events for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from worker.core.accounts import Account, Accounts
from worker.core.events import Event, Failure, Status, Subject, conclude, id_of_end
from worker.core.fleet import Report
from worker.core.jobs import Job
from worker.core.records import Application, Lease, Source

REF = "97A677DD3E0A42B8EA58D93D05BAC89F"


def account(name: str = "acme", rate: str = "10/s", **fields: Any) -> Account:
    return Account(name=name, api_key_env="ACME_PROXSTOP_KEY", rate=rate, **fields)


def accounts(*given: Account) -> Accounts:
    return Accounts({one.name: one for one in given})


def job(job_id: str = "job-1", account_name: str = "acme", **fields: Any) -> Job:
    given = {"country": "1", "phone": "2125555555", "code": "4321"} | fields
    return Job.parse({"id": job_id, "account": account_name} | given)


def application(
    job_id: str, owner: Account, *, may_dial: bool = True, expires_at_us: int | None = None
) -> Application:
    fields = {} if expires_at_us is None else {"expires_at": moment(expires_at_us)}
    return Application(job(job_id, owner.name, **fields), owner, Source.CELERY, may_dial)


def moment(unix_us: int) -> datetime:
    return datetime.fromtimestamp(unix_us / 1_000_000, UTC)


def placed(lease: Lease) -> Event:
    return _event(lease, REF, Status.PLACED)


def failed(lease: Lease, code: str = "INVALID_TELEPHONE") -> Event:
    return _event(lease, Failure(code, "no"), Status.FAILED)


def expired(lease: Lease) -> Event:
    return _event(lease, Failure("EXPIRED", "too late"), Status.EXPIRED)


def rejection(job_id: str, account_name: str) -> Event:
    failure = Failure("INVALID_JOB", "the job is not valid", {"phone": "is required"})
    return conclude(
        Subject(job_id, account_name),
        failure,
        Status.REJECTED,
        attempts=0,
        accepted_at_us=0,
        finished_at_us=0,
        event_id=id_of_end("here", account_name, job_id, 0, 0),
    )


def _event(lease: Lease, outcome: str | Failure, status: Status) -> Event:
    return conclude(
        Subject.of(lease.job),
        outcome,
        status,
        attempts=lease.tally.sent,
        accepted_at_us=lease.accepted_at_us,
        finished_at_us=lease.accepted_at_us,
        event_id=id_of_end("here", lease.job.account, lease.job.id, lease.accepted_at_us, lease.fence),
    )


def report(host: str = "host", **changes: Any) -> Report:
    """What a worker with 50 places, three of them taken, tells of itself."""
    told = Report(places=50, used=3, paused=False, host=host, version="1.2", accounts="abc")
    return replace(told, **changes)
