"""Real workers, brokers and providers for end-to-end tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from kombu import Connection

from tests.conftest import EXCHANGES, QUEUES
from tests.integration.stack import RedisServer, redis_server

BrokerUrl = Callable[[str], str]


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    """A Redis that nobody but this module's tests empties or stops."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def broker_url(request: pytest.FixtureRequest, own_redis: RedisServer) -> BrokerUrl:
    """Gives the URL of a broker of a kind, "redis" or "amqp", with none of the project's queues in it."""

    def of(kind: str) -> str:
        return own_redis.url if kind == "redis" else _emptied(str(request.getfixturevalue("amqp_server")))

    return of


def _emptied(amqp_url: str) -> str:
    with Connection(amqp_url) as connection, connection.channel() as channel:
        for name in QUEUES:
            channel.queue_delete(name)
        for name in EXCHANGES:
            channel.exchange_delete(name)
    return amqp_url
