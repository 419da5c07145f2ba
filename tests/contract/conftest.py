"""Suites that several test modules share report failures as test modules do; and what many of them need of Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.doubles.clocks import StoredClock, read_time_from_keys
from tests.doubles.ledgers import redis_ledger
from worker.redisio.connection import connect
from worker.state.ledger import RedisLedger

pytest.register_assert_rewrite("tests.contract.ledger_contract", "tests.contract.producers_contract")


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of an empty Redis."""
    with connect(redis_url) as connected:
        yield connected


@pytest.fixture
def clock(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> StoredClock:
    """The clock that the scripts read on this Redis; it moves only when a test says so."""
    read_time_from_keys(monkeypatch)
    return StoredClock(client)


@pytest.fixture
def ledger(client: redis.Redis, clock: StoredClock) -> RedisLedger:
    """A worker's ledger on this Redis and clock."""
    return redis_ledger(client, clock)
