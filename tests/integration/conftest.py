"""Real workers, brokers and providers for end-to-end tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.integration.stand_in import StandIn
from tests.rabbit import empty_broker
from tests.redis_server import RedisServer, redis_server

BrokerUrl = Callable[[str], str]


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    """A Redis that only this module's tests empty or stop."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def broker_url(request: pytest.FixtureRequest, own_redis: RedisServer) -> BrokerUrl:
    """A function that gives the URL of a broker, "redis" or "amqp", with none of the project's queues in it."""

    def of(kind: str) -> str:
        if kind == "redis":
            return own_redis.url
        url: str = request.getfixturevalue("amqp_server")
        empty_broker(url)
        return url

    return of


@pytest.fixture
def provider() -> Iterator[StandIn]:
    """A provider that places every call."""
    with StandIn() as stand_in:
        yield stand_in


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    """What a test enters is left when it ends."""
    with ExitStack() as stack:
        yield stack
