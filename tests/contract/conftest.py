"""Suites that several test modules share report failures as test modules do; and what many of them need of Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from worker.redisio.connection import connect

pytest.register_assert_rewrite("tests.contract.ledger_contract", "tests.contract.producers_contract")


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of an empty Redis."""
    with connect(redis_url) as connected:
        yield connected
