"""What operators do to the whole installation, on a state that is on several servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.cluster import Cluster
from tests.doubles import decisions
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, accounts, application, placed
from worker.core.records import Lease, Parked, Seen
from worker.core.retry import Tally
from worker.redisio.connection import connect
from worker.state import holds
from worker.state.decisions import Retention
from worker.state.drains import Left, RedisDrain, left
from worker.state.installation import Installation
from worker.state.lua import store_scripts
from worker.state.told_ends import ToldEnd, ToldEnds

NAMES = [f"account-{n}" for n in range(12)]
OWNERS = {name: account(name) for name in NAMES}


@pytest.fixture
def client(cluster: Cluster) -> Iterator[redis.Redis]:
    with connect(cluster.url) as connected:
        yield connected


def test_drain_is_one_for_all_servers_and_counts_what_all_have(client: redis.Redis) -> None:
    """Wherever its key lies, and in whatever shards the jobs are."""
    drain = RedisDrain(client)
    begun = drain.begin("move")
    assert drain.read() == begun == drain.begin("again")
    ledger = redis_ledger(client)
    ledger.admit([application(f"in-hand-{name}", owner) for name, owner in OWNERS.items()])
    ledger.admit([application(f"waits-{name}", owner, may_dial=False) for name, owner in OWNERS.items()])
    assert left(client) == Left(in_hand=len(NAMES), events=0, webhooks=0, waiting=len(NAMES))
    assert drain.end() and drain.read() is None


def test_all_accounts_are_held_on_all_servers(client: redis.Redis) -> None:
    """And all of them are resumed."""
    assert holds.hold_all(client, NAMES, "operator: move") == len(NAMES)
    assert holds.hold_all(client, NAMES, "operator: move") == 0
    assert holds.resume_all(client, NAMES, "operator: move") == len(NAMES)


def test_ends_are_put_back_on_all_servers(cluster: Cluster, client: redis.Redis) -> None:
    """Of jobs that wait and of jobs that come later; a repeat of either is known."""
    ledger, ends = redis_ledger(client), list[ToldEnd]()
    jobs = [application(f"job-{name}", owner, may_dial=False) for name, owner in OWNERS.items()]
    for job in jobs:
        (lease,) = ledger.admit([application(job.job.id, job.account)])
        assert isinstance(lease, Lease)
        event = placed(lease)
        decisions.settle(ledger, lease, job.account, Tally(sent=1), event)
        ends.append(ToldEnd(lease.job.id, lease.job.account, event))
    cluster.empty()
    waiting = ledger.admit(jobs[:6])
    assert all(isinstance(one, Parked) for one in waiting)
    put_back = ToldEnds(client, accounts(*OWNERS.values()), Retention.of(3600, None))
    assert put_back.put_back(ends) == {"ended": len(NAMES)}
    assert put_back.put_back(ends) == {"known": len(NAMES)}
    assert ledger.admit(jobs) == [Seen("placed")] * len(NAMES)
    assert (left(client).events, left(client).waiting) == (len(NAMES), 0)


def test_the_installation_has_one_id_on_all_servers(client: redis.Redis) -> None:
    assert Installation(store_scripts(client)).id() == Installation(store_scripts(client)).id()
