"""Cancels on a real Redis: what comes in between, what is lost on the way, and who wins a race."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.clocks import StoredClock
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, accounts, application, job
from worker.core.canceling import Canceling
from worker.core.cancels import NOTED_SECONDS, Answer, Cancel, Canceled, Noted, Stays, Withdrawn
from worker.core.records import Application, Later, Lease, Reason, Seen, Source
from worker.core.retry import Tally
from worker.errors import StoreUnavailable
from worker.redisio.connection import connect
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.ledger import RedisLedger
from worker.state.lua import source
from worker.state.views import JobViews

OWNER = account(rate="100000/s", burst=1000, concurrency=1000)
SHARD = keys.prefix_of("acme")


class Meddled(Scripts):
    """Scripts around whose calls a test can do something: `before` a call of a script, or `lost`, its reply."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client, source)
        self.before: dict[str, Callable[[], object]] = {}
        self.lost = ""

    def run_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        names = {call.script for call in calls}
        for name in names & self.before.keys():
            self.before.pop(name)()
        replies = super().run_all(calls)
        if self.lost in names:
            self.lost = ""
            raise StoreUnavailable("the reply was lost")
        return replies


@pytest.fixture
def scripts(client: redis.Redis) -> Meddled:
    return Meddled(client)


@pytest.fixture
def worker(scripts: Meddled) -> RedisLedger:
    """The ledger of the worker whose calls are meddled with."""
    return redis_ledger(scripts)


@pytest.fixture
def other(client: redis.Redis) -> RedisLedger:
    return redis_ledger(client)


def take_back(ledger: RedisLedger, *job_ids: str) -> list[Answer | Later]:
    return Canceling(ledger, accounts(OWNER)).take_back([Cancel(job_id) for job_id in job_ids])


def endings(client: redis.Redis) -> list[str]:
    rows: Any = client.lrange(f"{SHARD}outbox", 0, -1)
    return [row.decode().partition(" ")[0] for row in rows]


def test_a_cancel_between_claim_and_admission_counts(
    client: redis.Redis, scripts: Meddled, worker: RedisLedger, other: RedisLedger
) -> None:
    """The id has an owner already and the job is not on record yet: it ends without a lease, and so does its repeat."""
    answers: list[Answer | Later] = []
    scripts.before["admit"] = lambda: answers.extend(take_back(other, "a"))
    first, second = worker.admit([application("a", OWNER), application("b", OWNER)])
    assert answers == [Noted()] and isinstance(first, Withdrawn) and isinstance(second, Lease)
    assert worker.admit([application("a", OWNER)]) == [Seen("expired")] and endings(client) == [
        "call.expired"
    ]
    assert client.pttl(f"{SHARD}job:a") > 0


def test_a_worker_that_is_lost_between_claim_and_admission_keeps_the_cancel(
    client: redis.Redis, scripts: Meddled, worker: RedisLedger, other: RedisLedger
) -> None:
    """Its message comes again to another worker, which finds the note; until then people can see it."""

    def killed() -> None:
        raise KeyboardInterrupt

    scripts.before["admit"] = killed
    with pytest.raises(KeyboardInterrupt):
        worker.admit([application("a", OWNER)])
    assert take_back(other, "a") == [Noted()]
    view = JobViews(client).find("a")
    assert view is not None and (view.state, view.account, view.ended) == ("canceled", "acme", False)
    (admission,) = other.admit([application("a", OWNER)])
    assert isinstance(admission, Withdrawn)


def test_a_note_lasts_for_an_hour(client: redis.Redis, other: RedisLedger) -> None:
    """After that, the id is free."""
    take_back(other, "a")
    assert 0 < client.pttl(keys.claim("a")) <= NOTED_SECONDS * 1000
    view = JobViews(client).find("a")
    assert view is not None and view.state == "canceled"
    client.delete(keys.claim("a"))
    assert isinstance(other.admit([application("a", OWNER)])[0], Lease)


def test_a_job_that_was_leased_while_it_was_looked_at_is_not_canceled(
    scripts: Meddled, worker: RedisLedger, other: RedisLedger
) -> None:
    """Between the look and the end another worker leases it."""
    other.admit([application("a", OWNER, may_dial=False)])

    def lease() -> None:
        scripts.before["withdraw"] = lambda: other.lease_due(1)

    scripts.before["withdraw"] = lease
    assert take_back(worker, "a") == [Stays("acme", "dialling", 1)]


@pytest.mark.parametrize("script", ["claim", "withdraw"])
def test_a_cancel_whose_reply_was_lost_is_given_again(
    client: redis.Redis, scripts: Meddled, worker: RedisLedger, script: str
) -> None:
    """It changes nothing twice: one event, whatever reply was lost."""
    worker.admit([application("a", OWNER, may_dial=False)])
    scripts.lost = script
    with pytest.raises(StoreUnavailable):
        take_back(worker, "a", "b")
    for _ in range(2):
        first, second = take_back(worker, "a", "b")
        assert isinstance(first, Withdrawn | Canceled) and second == Noted()
    assert endings(client) == ["call.expired"]


def test_an_end_whose_reply_was_lost_is_not_told_twice(
    client: redis.Redis, scripts: Meddled, worker: RedisLedger
) -> None:
    """The reply to the withdrawal itself is lost: the job is canceled, and its cancel finds that."""
    worker.admit([application("a", OWNER, may_dial=False)])

    def look() -> None:
        scripts.lost = ""
        scripts.before["withdraw"] = lambda: setattr(scripts, "lost", "withdraw")

    scripts.before["withdraw"] = look
    with pytest.raises(StoreUnavailable):
        take_back(worker, "a")
    assert endings(client) == ["call.expired"] and take_back(worker, "a") == [Canceled()]


def test_a_job_that_was_canceled_early_and_whose_reply_was_lost_ends_once(
    client: redis.Redis, scripts: Meddled, worker: RedisLedger
) -> None:
    """The lease of another job of the batch is not lost with the reply."""
    take_back(worker, "a")
    batch = [application("a", OWNER), application("b", OWNER)]
    scripts.lost = "reject"
    with pytest.raises(StoreUnavailable):
        worker.admit(batch)
    first, second = worker.admit(batch)
    assert first == Seen("expired") and isinstance(second, Lease) and second.fence == 1
    assert endings(client) == ["call.expired"]


def test_a_long_job_leaves_nothing_behind(
    client: redis.Redis, clock: StoredClock, ledger: RedisLedger
) -> None:
    """Its payload goes, and its places in the lane, the ages and the expiry."""
    owner = account()
    (lease,) = ledger.admit([Application(job("a", ref="é" * 255), owner, Source.CELERY, True)])
    assert isinstance(lease, Lease)
    decisions.park(ledger, lease, Tally(1, 1, 0), Reason.BACKOFF, 60.0)
    assert client.exists(f"{SHARD}payload:a", f"{SHARD}aged:acme", f"{SHARD}expiry") == 3
    take_back(ledger, "a")
    left = {key.decode().removeprefix(SHARD) for key in client.scan_iter(f"{SHARD}*")}
    assert left == {"job:a", "limit:acme", "outbox", "turn"}
    assert 0 < client.pttl(f"{SHARD}job:a") <= 3600 * 1000


def test_a_job_is_dialled_or_canceled_and_never_both(
    redis_url: str, client: redis.Redis, other: RedisLedger
) -> None:
    """Workers lease while others cancel in any order, each job twice, some before they come: one outcome for each."""
    names = [f"job-{n}" for n in range(200)]
    first, late = names[:150], names[150:]
    other.admit([application(name, OWNER, may_dial=False) for name in first])
    start = threading.Barrier(5)

    def at_once(work: Callable[[RedisLedger], list[Any]]) -> list[Any]:
        with connect(redis_url) as own:
            ledger = redis_ledger(own)
            start.wait(60)
            return work(ledger)

    def admitting(ledger: RedisLedger) -> list[Any]:
        return [found for name in late for found in ledger.admit([application(name, OWNER, may_dial=False)])]

    def leasing(ledger: RedisLedger) -> list[Any]:
        return [lease for _ in range(50) for lease in ledger.lease_due(1).leases]

    def canceling(ledger: RedisLedger) -> list[Any]:
        wishes = random.sample(names, len(names))
        return [answer for n in range(0, len(wishes), 8) for answer in take_back(ledger, *wishes[n : n + 8])]

    with ThreadPoolExecutor(5) as pool:
        work = (admitting, leasing, leasing, canceling, canceling)
        some = [future.result(120) for future in [pool.submit(at_once, one) for one in work]]
    outcomes = [found for each in some for found in each]
    leased = {one.job.id for one in outcomes if isinstance(one, Lease)}
    canceled = [one.job.id for one in outcomes if isinstance(one, Withdrawn)]
    assert leased.isdisjoint(canceled) and len(canceled) == len(set(canceled)) == len(endings(client))
    # Each job was canceled, so none waits: it was leased before, or it ended, or the cancel came first.
    assert leased | set(canceled) == set(names)
    assert len(leased) == client.zcard(f"{SHARD}leases")
    assert not client.exists(f"{SHARD}lane:acme", f"{SHARD}expiry", f"{SHARD}due")
