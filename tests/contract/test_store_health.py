"""What a worker and `doctor` learn of a Redis that answers and takes no writes, or hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from unittest.mock import MagicMock

import pytest
import redis

from tests.processes import wait_until
from tests.redis_server import RedisServer, redis_server
from worker.cli.doctor import servers, writes
from worker.cli.doctor.finding import Finding, Grade
from worker.core.figures import StoreFacts
from worker.engine.server_health import ServerHealth
from worker.network.causes import Cause, cause_of
from worker.redisio.connection import connect
from worker.settings import Settings
from worker.state import keys
from worker.state.write_check import WriteCheck
from worker.telemetry.readiness import Readiness, Server

QUICKLY = 0.2
"""Seconds after which a client of these tests takes a Redis for one that hangs."""


class Bench:
    """A Redis of the test's own, a worker's view of its health, and a client to change it."""

    def __init__(self, server: RedisServer, client: redis.Redis) -> None:
        self.server, self.client = server, client
        self.asked = connect(server.url, seconds=5)
        self.settings = Settings.from_env({"REDIS_URL": server.url})

    def cause(self) -> Cause | None:
        """Return why a write is refused, or None if it is taken."""
        problem = WriteCheck(self.asked).ask().problem
        return cause_of(problem) if problem else None

    def ready(self) -> list[str]:
        """Return what /readyz says of a worker whose threads and broker are well."""
        health = ServerHealth(WriteCheck(self.asked).ask, StoreFacts())
        try:
            health.turn()
        except Exception:  # the answer is what `latest` keeps
            assert health.latest()
        threads = MagicMock()
        threads.troubles.return_value = threads.blocking_keys.return_value = []
        store = Server("Redis", "REDIS_URL", self.asked.ping, health.problem)
        return Readiness(threads, lambda: None, [store]).problems()

    def failures(self) -> list[Finding]:
        """Return what `doctor` finds wrong with Redis."""
        return [finding for finding in servers.store(self.settings) if finding.grade is Grade.FAIL]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with redis_server() as server, connect(server.url) as client:
        yield Bench(server, client)


def check_all_agree(bench: Bench, cause: Cause, remedy: str) -> None:
    (line,), (finding,) = bench.ready(), bench.failures()
    assert bench.cause() is cause
    assert cause in line and remedy in line
    assert remedy in finding.remedy


def check_all_is_well(bench: Bench) -> None:
    assert bench.cause() is None
    assert (bench.ready(), bench.failures()) == ([], [])


def test_full_memory_is_named_by_readyz_and_doctor_alike(bench: Bench) -> None:
    """A Redis at `maxmemory` answers a ping and refuses writes: both say so, with what to do."""
    check_all_is_well(bench)
    bench.client.config_set("maxmemory", "1")
    check_all_agree(bench, Cause.MEMORY, "raise `maxmemory`")
    facts = WriteCheck(bench.asked).ask()
    assert facts.memory_limit_bytes == 1 and (facts.memory_used_bytes or 0) > 1000
    bench.client.config_set("maxmemory", "0")
    check_all_is_well(bench)


def test_full_disk_is_named_by_readyz_and_doctor_alike(bench: Bench) -> None:
    """A Redis that cannot write its append-only file refuses writes: both say so, and advise no start."""
    bench.server.fill_disk()
    wait_until(lambda: bench.cause() is Cause.DISK, "Redis refuses writes")
    check_all_agree(bench, Cause.DISK, "free space on the disk")
    bench.server.free_disk()
    wait_until(lambda: bench.cause() is None, "Redis writes again")
    check_all_is_well(bench)


def test_redis_that_hangs_is_named_as_such(bench: Bench) -> None:
    """A Redis that is stopped keeps its connections and answers nothing: the check ends by its own limit."""
    bench.asked = connect(bench.server.url, seconds=QUICKLY)
    bench.asked.ping()
    bench.server.freeze()
    try:
        assert bench.cause() is Cause.SLOW
        assert [line.partition(";")[0] for line in bench.ready()] == [
            "Redis cannot be used: no answer in time"
        ]
    finally:
        bench.server.thaw()


@pytest.mark.parametrize(
    ("facts", "name", "grade"),
    [
        (StoreFacts(None, 0.0, 79, 100), "Redis memory", Grade.OK),
        (StoreFacts(None, 0.0, 80, 100), "Redis memory", Grade.WARN),
        (StoreFacts(None, 0.0, 900, 0), "Redis memory", Grade.OK),
        (StoreFacts(None, 4.0, 1, 0), "clock", Grade.OK),
        (StoreFacts(None, 600.0, 1, 0), "clock", Grade.WARN),
        (StoreFacts(None, -180.0, 1, 0), "clock", Grade.WARN),
    ],
)
def test_what_will_be_trouble_is_a_warning_of_doctor(facts: StoreFacts, name: str, grade: Grade) -> None:
    """Memory from 80 % of `maxmemory` on, and a clock that is more than 5 s off, either way."""
    assert next(one.grade for one in writes.check(facts) if one.name == name) is grade


def test_user_without_info_still_checks_writes(client: redis.Redis, redis_url: str) -> None:
    """INFO is optional: then memory is not known, and the rest is."""
    client.acl_setuser("plain", enabled=True, nopass=True, keys=["callworker:*"], commands=["+@all", "-info"])
    try:
        with connect(redis_url.replace("//", "//plain:any@")) as plain:
            facts = WriteCheck(plain).ask()
    finally:
        client.acl_deluser("plain")
    assert facts.problem is None and facts.clock_ahead_seconds is not None
    assert (facts.memory_used_bytes, facts.memory_limit_bytes) == (None, None)


def test_user_without_the_key_is_refused(client: redis.Redis, redis_url: str) -> None:
    """A right that is missing is a write that is not taken, and says that it is a right."""
    client.acl_setuser("other", enabled=True, nopass=True, keys=["other:*"], commands=["+@all"])
    try:
        with connect(redis_url.replace("//", "//other:any@")) as other:
            problem = WriteCheck(other).ask().problem
    finally:
        client.acl_deluser("other")
    assert problem is not None and cause_of(problem) is Cause.RIGHTS


@pytest.mark.parametrize("ahead", [-180, 0, 600])
def test_clock_is_compared_with_that_of_redis(client: redis.Redis, ahead: int) -> None:
    """The difference is told with its sign, to within the round trip."""
    facts = WriteCheck(client, lambda: time.time() + ahead).ask()
    assert facts.clock_ahead_seconds == pytest.approx(ahead, abs=30)


def test_check_leaves_one_small_key_that_ends(client: redis.Redis) -> None:
    """Nothing collects in Redis, however long and however many workers check."""
    for _ in range(3):
        assert WriteCheck(client).ask().problem is None
    assert client.keys() == [keys.WRITE_CHECK.encode()]
    assert client.ttl(keys.WRITE_CHECK) > 0 and (client.memory_usage(keys.WRITE_CHECK) or 0) < 200
