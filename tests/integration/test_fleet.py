"""Real workers count themselves: one is killed, one is frozen, one follows, and all stop."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stack import Stack, Worker
from tests.integration.stand_in import StandIn
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.state import keys

SHARED = ("results_unpublished ", "queue_depth{", "workers ")
ALWAYS = ("store_up 1.0", "broker_up 1.0", "places 7.0", "places_used 0.0")


@pytest.fixture
def stack(tmp_path: Path, own_redis: RedisServer) -> Iterator[Stack]:
    with StandIn() as provider:
        url = own_redis.url
        with Stack(tmp_path, url, url, provider.url, {"acme": {"rate": "10/s"}}, CONCURRENCY="7") as stack:
            stack.outside.redis.flushall()
            yield stack


def held(worker: Worker, names: tuple[str, ...]) -> list[str]:
    """Return those of `names` with which a line of this worker's metrics begins."""
    text = worker.get("/metrics")[1]
    return [name for name in names if f"\ncallworker_{name}" in text]


def check_serves(worker: Worker, serves: bool) -> None:
    """Check that a scrape has all that tells of all workers, or none of it; and what tells of this one always.

    It may have to be asked again: a busy server's answer can come too late for a scrape.
    """
    wanted = (list(SHARED) if serves else [], list(ALWAYS), float(serves))
    wait_until(
        lambda: (held(worker, SHARED), held(worker, ALWAYS), worker.metric("shared_state_served")) == wanted,
        f"a scrape {'with' if serves else 'without'} what tells of all workers",
    )


def wait_until_lost(worker: Worker, living: int, lost: int) -> None:
    wait_until(
        lambda: (worker.metric("workers"), worker.metric("workers_lost")) == (living, lost),
        f"{living} workers live and {lost} are lost",
    )


def wait_until_all_report_again(stack: Stack) -> None:
    """From then on, none of them fell silent before another one started."""

    def heard() -> list[int]:
        return [json.loads(entry)["heard_ms"] for entry in stack.outside.redis.hvals(keys.WORKERS)]

    before = max(heard())
    wait_until(lambda: min(heard()) > before, "all have reported again")


def test_killed_worker_counts_as_lost_until_another_starts(stack: Stack) -> None:
    """The first to start serves what tells of all workers; the other one takes over; a clean stop leaves nothing."""
    first = stack.start("run")
    check_serves(first, serves=True)
    second = stack.start("celery")
    check_serves(second, serves=False)
    wait_until_lost(first, living=2, lost=0)
    wait_until_all_report_again(stack)
    first.kill()
    wait_until(lambda: second.metric("shared_state_served") == 1, "the other one takes over")
    check_serves(second, serves=True)
    wait_until_lost(second, living=1, lost=1)
    third = stack.start("run")
    wait_until_lost(second, living=2, lost=0)
    for worker in (second, third):
        worker.terminate()
        assert worker.exit_status() == 0
    assert not stack.outside.redis.exists(keys.WORKERS, keys.ELECTED)


def test_frozen_worker_serves_nothing_when_it_wakes(stack: Stack) -> None:
    """Its election ended meanwhile: it knows by its own clock, before it has asked."""
    frozen, other = stack.start("run"), stack.start("run")
    frozen.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: other.metric("shared_state_served") == 1, "the other one takes over")
    finally:
        frozen.process.send_signal(signal.SIGCONT)
    assert held(frozen, SHARED) == []
    check_serves(frozen, serves=False)
    check_serves(other, serves=True)
