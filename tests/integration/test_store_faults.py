"""A Redis that is up and takes no writes, or hangs: metrics, /readyz and log of a live worker name the same cause."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.integration.outside import new_job
from tests.integration.stack import Stack, Worker
from tests.integration.stand_in import StandIn
from tests.processes import wait_until
from tests.redis_server import RedisServer, redis_server

Change = Callable[[RedisServer], object]


def set_memory(server: RedisServer, most: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", most)


FAULTS: dict[str, tuple[Change, Change, str, str]] = {
    "memory": (
        lambda redis: set_memory(redis, "1"),
        lambda redis: set_memory(redis, "0"),
        "its memory is full",
        "maxmemory",
    ),
    "disk": (RedisServer.fill_disk, RedisServer.free_disk, "it cannot write its files", "free space"),
    "frozen": (RedisServer.freeze, RedisServer.thaw, "no answer in time", ""),
}


def is_logged(worker: Worker, remedy: str) -> bool:
    """Return whether the log has that remedy. A hang right after another fault has no line of its own."""
    return any(remedy in line.get("remedy", "") for line in worker.told("store.unavailable"))


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def worker(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("stack")
    with (
        StandIn() as provider,
        Stack(folder, server.url, server.url, provider.url, {"acme": {"rate": "9/s"}}) as stack,
    ):
        yield stack.start("run")


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Stack]:
    """A stack on a Redis of its own, with an account whose jobs wait for an hour."""
    with redis_server() as server, StandIn() as provider:
        accounts = {"slow": {"rate": "1/h", "burst": 1, "ttl": 7200}}
        with Stack(tmp_path, server.url, server.url, provider.url, accounts) as stack:
            yield stack


@pytest.mark.parametrize("ahead", [600, -600])
def test_worker_with_a_wrong_clock_tells_true_ages(lane: Stack, tmp_path: Path, ahead: int) -> None:
    """Ages go by Redis' clock; that the worker's is off is a metric of its own."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import time\nright = time.time\ntime.time = lambda: right() + {ahead}\n"
    )
    worker = lane.start("run", PYTHONPATH=str(tmp_path))
    began = time.monotonic()
    lane.outside.stream(*(new_job(f"slow-{n}", "slow") for n in range(3)))
    wait_until(lambda: worker.metric("oldest_waiting_seconds", account="slow") > 0, "a job waits")
    oldest = worker.metric("oldest_waiting_seconds", account="slow")
    assert oldest <= time.monotonic() - began
    assert worker.metric("clock_offset_seconds") == pytest.approx(ahead, abs=30)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_of_redis_is_named_everywhere(server: RedisServer, worker: Worker, fault: str) -> None:
    """A fault that stops everything shows in a metric, makes the worker unready, and is in the log with its remedy."""
    begin, end, cause, remedy = FAULTS[fault]
    begin(server)
    try:
        wait_until(lambda: "callworker_store_writable 0.0" in worker.get("/metrics")[1], "the metric is 0")
        wait_until(lambda: f"Redis cannot be used: {cause}" in worker.get("/readyz")[1], "/readyz names it")
        assert worker.get("/readyz")[0] == 503
        wait_until(lambda: is_logged(worker, remedy), "the log says what to do")
    finally:
        end(server)
    wait_until(lambda: "callworker_store_writable 1.0" in worker.get("/metrics")[1], "the metric is 1 again")
    worker.wait_until_ready()
