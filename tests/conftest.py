"""Real servers for tests: a Redis and a RabbitMQ on loopback that belong to this test run and end with it."""

from __future__ import annotations

import fcntl
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path

import pytest
import redis
from hypothesis import settings

from tests import depth
from tests.processes import SERVERS_ARE_REQUIRED
from tests.rabbit import GuardedNode, empty_broker, guarded_rabbitmq, need_rabbitmq, rabbitmq
from tests.redis_server import RedisServer
from worker import failpoints
from worker.core.shards import ON_ONE_SERVER
from worker.privacy.redaction import redactor
from worker.state import keys

# Other load on the machine must not fail a test: the tests that measure the cost of an example check it.
settings.register_profile("callworker", max_examples=depth.examples(20), deadline=None)
settings.load_profile("callworker")


OPEN_FILES = 8192
"""Both ends of many hundred connections are in one process; a shell often allows 1,024 files."""

IN_TURN_SECONDS = 900
"""For a test that uses `usual_ports`: it waits until all others that do have ended, and that time counts as its own."""

ENDURANCE = pytest.mark.skip(
    reason="takes long: name its file, or set CALLWORKER_REQUIRE_SERVERS=1 as CI does"
)


def pytest_configure() -> None:
    """Let each process that runs tests have as many open files as it needs, if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES:
        wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give tests that wait for each other more time, and leave out those marked `endurance`.

    These run in CI, with `-m endurance`, or if their file is named.
    """
    for item in items:
        if "usual_ports" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(IN_TURN_SECONDS), append=False)
    if SERVERS_ARE_REQUIRED or "endurance" in config.option.markexpr:
        return
    named = {Path(config.invocation_params.dir, word.partition("::")[0]).resolve() for word in config.args}
    for item in items:
        if item.get_closest_marker("endurance") and item.path not in named:
            item.add_marker(ENDURANCE)


@pytest.fixture
def armed() -> Iterator[Callable[[str], None]]:
    """Arm failpoints in this process, and disarm all of them when the test has ended."""
    yield failpoints.arm
    failpoints.arm("")


@pytest.fixture(autouse=True)
def secrets_of_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process forget after each test which secrets that test had it hide: a command may be run in it."""
    for name, value in vars(redactor).items():
        monkeypatch.setattr(redactor, name, copy(value))


@pytest.fixture(autouse=True)
def layout_of_one_test() -> Iterator[None]:
    """Have this process divide the state as usual after each test: a command or a worker may have chosen otherwise."""
    yield
    keys.use(ON_ONE_SERVER)


@pytest.fixture
def usual_ports() -> Iterator[None]:
    """Keep other tests from starting `callworker dev` or `demo`, which look for free ports and take them later."""
    with Path(tempfile.gettempdir(), f"callworker-tests-dev-{os.getuid()}").open("w") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis (or Valkey) for the whole test run. Tests use `redis_url` instead."""
    with (
        tempfile.TemporaryDirectory(prefix="cw-redis-") as name,
        RedisServer(Path(name), "--unixsocket", f"{name}/sock", "--appendonly", "no") as server,
    ):
        yield server.url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a real Redis that is empty when the test begins."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def amqp_server() -> Iterator[str]:
    """The URL of a RabbitMQ: CALLWORKER_TEST_AMQP_URL, or else a node started for this test run."""
    given = os.environ.get("CALLWORKER_TEST_AMQP_URL")
    if given:
        yield given
        return
    need_rabbitmq("a RabbitMQ, or its address in CALLWORKER_TEST_AMQP_URL")
    with rabbitmq() as node:
        yield node.url()


@pytest.fixture
def amqp_url(amqp_server: str) -> str:
    """The URL of a real RabbitMQ that has none of the project's queues and exchanges when the test begins."""
    empty_broker(amqp_server)
    return amqp_server


@pytest.fixture(scope="session")
def node() -> Iterator[GuardedNode]:
    """A RabbitMQ for this test run, with users of fewer rights and TLS."""
    with guarded_rabbitmq() as node:
        yield node
