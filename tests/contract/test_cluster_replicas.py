"""Each primary of a Redis Cluster answers for its own replicas."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import redis

from tests.cluster import Cluster, redis_cluster
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application
from tests.processes import wait_until
from worker.core.records import Admission, Later, Lease
from worker.core.shards import ON_ONE_SERVER, in_a_cluster
from worker.network.causes import Cause, cause_of
from worker.redisio import trips
from worker.redisio.cluster import slot_of
from worker.redisio.connection import connect
from worker.redisio.kept import try_wait
from worker.redisio.node import Node, Sent, packed
from worker.redisio.reach import Reach
from worker.state import keys
from worker.state.file_ids import shared_secret
from worker.state.lua import store_scripts
from worker.state.write_check import WriteCheck

OWNERS = [account(f"account-{n}", rate="100/s", burst=50, concurrency=50) for n in range(24)]


@pytest.fixture(scope="module")
def with_replicas() -> Iterator[Cluster]:
    with redis_cluster(3, 3) as started:
        yield started


@pytest.fixture
def cluster(with_replicas: Cluster, patience: None) -> Iterator[Cluster]:
    """Three primaries, each with a replica, and their layout for this process."""
    keys.use(in_a_cluster())
    yield with_replicas
    keys.use(ON_ONE_SERVER)


@pytest.fixture
def client(cluster: Cluster) -> Iterator[redis.Redis]:
    with connect(cluster.url, replicas=1) as connected:
        yield connected


def test_servers_wait_for_their_own_replicas(cluster: Cluster, client: redis.Redis) -> None:
    """Jobs of accounts on every server go on from what a replica has, and all checks are content."""
    try_wait(client)
    leases = redis_ledger(client).admit([application(f"go-{one.name}", one) for one in OWNERS])
    assert [lease for lease in leases if not isinstance(lease, Lease)] == []
    kept = [key for one in cluster.clients[3:] for key in one.keys("callworker:*job:go-*")]
    assert len(kept) == len(OWNERS)
    assert shared_secret(cluster.url, 1) and WriteCheck(client).ask().problem is None


def test_missing_replicas_are_told_before_a_server_is_taken_for_away(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server waits for them for less long than the worker waits for the server."""
    sent, send = list[bytes](), Node.send

    def noted(node: Node, content: bytes, *rest: Any) -> Sent:
        sent.append(content)
        return send(node, content, *rest)

    monkeypatch.setattr(Node, "send", noted)
    monkeypatch.setattr(trips, "Reach", partial(Reach, patience_seconds=1.0))
    store_scripts(client).commands_each([("GET", "key")])
    assert sent[0].endswith(packed([("WAIT", 1, 800)]))


def test_replica_that_stands_still_stops_the_accounts_of_its_primary_alone(
    cluster: Cluster, client: redis.Redis
) -> None:
    """Jobs whose claim and record are elsewhere go on; the others come later."""
    stopped = [
        cluster.owner_of(slot_of(keys.claim(f"b-{one.name}"))) == 0
        or cluster.owner_of(slot_of(keys.prefix_of(one.name))) == 0
        for one in OWNERS
    ]
    ledger, batch = redis_ledger(client), [application(f"b-{one.name}", one) for one in OWNERS]
    cluster.servers[3].freeze()
    try:
        said = ledger.admit(batch)
        check = WriteCheck(client)
        (problem,) = (told.problem for told in check.ask_each() if told.problem)
        assert check.ask().problem is None
    finally:
        cluster.servers[3].thaw()
    assert {type(each) for each, is_late in zip(said, stopped, strict=True) if is_late} == {Later}
    assert {type(each) for each, is_late in zip(said, stopped, strict=True) if not is_late} == {Lease}
    assert cause_of(problem) is Cause.REPLICAS
    late = [one for one, is_late in zip(batch, stopped, strict=True) if is_late]

    def admitted() -> bool:
        """Give again what is late. What is not any more must be a first lease, with nothing that counts as rung."""
        answers = zip(late, ledger.admit(late), strict=True)
        late[:] = [one for one, answer in answers if not _is_fresh(answer)]
        return not late

    wait_until(admitted, "the replica has caught up, and the jobs have come")


def _is_fresh(answer: Admission) -> bool:
    if isinstance(answer, Later):
        return False
    assert isinstance(answer, Lease) and answer.fence == 1 and not answer.tally.perhaps_rung
    return True
