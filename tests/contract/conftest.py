"""Suites that several test modules share report failures as test modules do; and what many of them need of Redis."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import redis

from tests.cluster import Cluster, redis_cluster
from tests.contract.streamed import worker_on
from tests.doubles.clocks import FakeClock, StoredClock, read_time_from_keys
from tests.doubles.ledgers import redis_ledger
from tests.doubles.takers import Taker
from tests.several_servers import PATIENCE_SECONDS
from worker.core.shards import in_a_cluster
from worker.inbound.redis_lists import RedisLists
from worker.inbound.stream import StreamSource
from worker.redisio import trips
from worker.redisio.connection import connect
from worker.redisio.reach import Reach
from worker.state import keys
from worker.state.ledger import RedisLedger

pytest.register_assert_rewrite(
    "tests.contract.admission_contract",
    "tests.contract.cancel_contract",
    "tests.contract.in_hand_contract",
    "tests.contract.reclaim_contract",
    "tests.contract.release_contract",
    "tests.contract.producers_contract",
    "tests.contract.ledger_bench",
)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of an empty Redis."""
    with connect(redis_url) as connected:
        yield connected


@pytest.fixture(scope="session")
def cluster_servers() -> Iterator[Cluster]:
    """A cluster of three for the whole test run. Tests use `cluster` instead."""
    with redis_cluster() as servers:
        yield servers


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers of a cluster that work take their time: the machine may be busy."""
    monkeypatch.setattr(trips, "Reach", partial(Reach, patience_seconds=PATIENCE_SECONDS))


@pytest.fixture
def cluster(cluster_servers: Cluster, patience: None) -> Cluster:
    """An empty cluster of three, and its layout for this process."""
    cluster_servers.empty()
    keys.use(in_a_cluster())
    return cluster_servers


@pytest.fixture
def clock(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> StoredClock:
    """The clock that the scripts read on this Redis; it moves only when a test says so."""
    read_time_from_keys(monkeypatch)
    return StoredClock(client)


@pytest.fixture
def ledger(client: redis.Redis, clock: StoredClock) -> RedisLedger:
    """A worker's ledger on this Redis and clock."""
    return redis_ledger(client, clock)


@pytest.fixture
def lists(client: redis.Redis) -> RedisLists:
    """The list of one queue on this Redis."""
    return RedisLists(client, ["calls"], "calls")


@pytest.fixture
def taker() -> Taker:
    """A taker of messages in place of an intake."""
    return Taker()


@pytest.fixture
def own_clock() -> FakeClock:
    """A worker's own clock, which does not go by Redis."""
    return FakeClock()


@pytest.fixture
def intake(client: redis.Redis, taker: Taker, own_clock: FakeClock) -> StreamSource:
    """A worker that reads the stream on this Redis."""
    return worker_on(client, taker, own_clock)
