"""Scripts that ran while their reply was lost: nothing may be granted twice, and nothing be taken for rung."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.doubles.ledgers import redis_ledger
from worker.core.accounts import Account, Accounts
from worker.core.jobs import Job
from worker.core.records import Application, Lease, Seen, Source
from worker.errors import StoreUnavailable
from worker.redisio.connection import connect
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state.ledger import RedisLedger
from worker.state.lua import source


class Deaf(Scripts):
    """Scripts that run; the reply to the next call of script `deaf_to` is lost on the way."""

    deaf_to = ""

    def run_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        replies = super().run_all(calls)
        if calls and calls[0].script == self.deaf_to:
            self.deaf_to = ""
            raise StoreUnavailable("the reply was lost")
        return replies


@pytest.fixture
def scripts(redis_url: str) -> Iterator[Deaf]:
    client = connect(redis_url)
    yield Deaf(client, source)
    client.close()


@pytest.fixture
def ledger(scripts: Deaf) -> RedisLedger:
    return redis_ledger(scripts)


@pytest.fixture
def account() -> Account:
    table = {"api_key_env": "KEY", "rate": "100/s", "burst": 50, "concurrency": 50}
    return Accounts.parse({"accounts": {"acme": table}})["acme"]


def application(account: Account, job_id: str, *, may_dial: bool, phone: str = "2125550123") -> Application:
    fields = {"id": job_id, "account": "acme", "country": "1", "phone": phone, "code": "4711"}
    return Application(Job.parse(fields), account, Source.CELERY, may_dial)


def test_admission_whose_reply_was_lost_is_given_again(
    ledger: RedisLedger, scripts: Deaf, account: Account
) -> None:
    """The same batch, given again, gets the leases of its first try: once each, with nothing counted as rung."""
    batch = [application(account, job_id, may_dial=True) for job_id in ("a", "b", "a")]
    scripts.deaf_to = "admit"
    with pytest.raises(StoreUnavailable):
        ledger.admit(batch)
    first, second, repeat = ledger.admit(batch)
    assert isinstance(first, Lease) and isinstance(second, Lease) and isinstance(repeat, Seen)
    assert (first.fence, second.fence) == (1, 1)
    assert first.tally.perhaps_rung == second.tally.perhaps_rung == 0


def test_the_lease_of_a_lost_reply_carries_the_job_on_record(
    ledger: RedisLedger, scripts: Deaf, account: Account
) -> None:
    """If another job of the same id comes before the first one is given again, its number is not dialled (D5)."""
    first = application(account, "a", may_dial=True)
    scripts.deaf_to = "admit"
    with pytest.raises(StoreUnavailable):
        ledger.admit([first])
    lease, _ = ledger.admit([application(account, "a", may_dial=True, phone="2125550199"), first])
    assert isinstance(lease, Lease) and lease.job == first.job


def test_admission_of_an_id_under_way_is_not_given_to_another_message(
    ledger: RedisLedger, account: Account
) -> None:
    """A second message for a job that is being dialled gets no lease, no matter who sends it."""
    (lease,) = ledger.admit([application(account, "a", may_dial=True)])
    (again,) = ledger.admit([application(account, "a", may_dial=True)])
    assert isinstance(lease, Lease) and again == Seen("dialling")


def test_leases_whose_reply_was_lost_are_regained(
    ledger: RedisLedger, scripts: Deaf, account: Account
) -> None:
    """The releaser's next round gets the jobs that nobody else knows to be leased."""
    ledger.admit([application(account, f"job-{n}", may_dial=False) for n in range(3)])
    scripts.deaf_to = "lease"
    with pytest.raises(StoreUnavailable):
        ledger.lease_due(3)
    regained = ledger.lease_due(3).leases
    assert [lease.job.id for lease in regained] == ["job-0", "job-1", "job-2"]
    assert {lease.fence for lease in regained} == {1}
    assert ledger.lease_due(3).leases == []
