"""What the suites of the ledger contract work with: two workers on one store, and its clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.doubles import decisions
from tests.doubles.clocks import FakeClock
from tests.doubles.samples import account, application, failed, job, rejection
from worker.core.accounts import Account
from worker.core.endpoints import Endpoint
from worker.core.events import Event
from worker.core.ports import Ledger
from worker.core.records import (
    Admission,
    Application,
    Known,
    Lease,
    Parked,
    Reason,
    Source,
)
from worker.core.retry import Tally

LEASE_SECONDS = 30.0


BROKEN = '{"phone": "none"}'


"""What a job that is not valid says."""


SAME_SHARD = "account-34"


"""An account on the shard of "acme", where the order of service is defined."""


HOOKS = (
    Endpoint(url="https://hooks.example.com/all", secret_env=("A",)),
    Endpoint(url="https://hooks.example.com/failed", secret_env=("A",), events=("call.failed",)),
)


@dataclass
class Bench:
    """Two workers' ledgers on one store, its clock, and what the store holds for the way out."""

    ledger: Ledger
    other: Ledger
    clock: FakeClock
    events: Callable[[], list[str]]
    """Bodies in the outbox, account by account in order."""
    deliveries: Callable[[], list[tuple[str, str]]]
    """(job id, endpoint key) of every webhook that waits."""

    def admit(self, job_id: str, owner: Account, **fields: Any) -> Admission:
        return self.ledger.admit([application(job_id, owner, **fields)])[0]

    def reject(self, job_id: str, owner: Account, event: Event | None = None) -> Known | None:
        """Refuse a job that is not valid."""
        told = event or rejection(job_id, owner.name)
        return self.ledger.reject(job_id, owner.name, owner, told, BROKEN)

    def turn_away(self, job_id: str) -> Known | None:
        """Refuse a job of an account that does not exist."""
        return self.ledger.reject(job_id, "nosuch", None, rejection(job_id, "nosuch"), BROKEN)

    def go(self, job_id: str, owner: Account) -> Lease:
        """Admit a job that may go at once."""
        admission = self.admit(job_id, owner)
        assert isinstance(admission, Lease)
        return admission

    def come(self, job_id: str, **fields: Any) -> Admission:
        """Admit a job with fields of its own."""
        one = Application(job(job_id, **fields), account(), Source.CELERY, True)
        return self.ledger.admit([one])[0]

    def wait(self, job_id: str, owner: Account, **fields: Any) -> Parked:
        """Admit a job that must wait."""
        admission = self.admit(job_id, owner, **fields)
        assert isinstance(admission, Parked)
        return admission

    def release(self, most: int = 100, ledger: Ledger | None = None) -> list[Lease]:
        """The waiting jobs that are due."""
        asked = ledger or self.ledger
        return asked.lease_due(most).leases

    def released(self, most: int = 100) -> list[str]:
        return [lease.job.id for lease in self.release(most)]


def held_until_probe(bench: Bench, waiting: int = 0) -> Lease:
    """An account held for the first pause, with further jobs in its lane; the probe that follows."""
    owner = account()
    lease = bench.go("held", owner)
    decisions.hold(bench.ledger, lease, Tally(sent=1), "NO_POINTS")
    for n in range(waiting):
        bench.wait(f"waiting-{n}", owner)
    bench.clock.advance(5)
    (probe,) = bench.release()
    return probe


def speak(ledger: Ledger, word: str, lease: Lease) -> None:
    """Say one of the words that only the owner of a job may say."""
    owner, tally = account(), Tally(sent=1)
    match word:
        case "settle":
            decisions.settle(ledger, lease, owner, tally, failed(lease))
        case "park":
            decisions.park(ledger, lease, tally, Reason.BACKOFF, 1.0)
        case "hold":
            decisions.hold(ledger, lease, tally, "NO_POINTS")
        case _:
            ledger.renew(lease, owner, tally)
