"""Three RabbitMQ nodes with quorum queues, all of them in BROKER_URL: a node that is lost stops nobody for long."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from callworker import AsyncClient, BrokerUnavailable, Client
from tests.integration.outside import new_job
from tests.integration.stack import Stack
from tests.integration.stand_in import StandIn
from tests.processes import wait_until
from tests.rabbit_cluster import RabbitCluster, rabbit_cluster
from tests.redis_server import RedisServer
from worker.cli.doctor import nodes
from worker.cli.doctor.finding import Grade

pytestmark = [pytest.mark.alone, pytest.mark.timeout(400)]

SECONDS = 120
ACCOUNTS = {"acme": {"rate": "200/s", "burst": 100, "concurrency": 100}}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def started() -> Iterator[RabbitCluster]:
    with rabbit_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(started: RabbitCluster) -> RabbitCluster:
    """The cluster, whatever an earlier test did to it."""
    started.heal()
    return started


class Sender:
    """Sends one job after the other in a thread, each again until the broker has it. A context manager."""

    def __init__(self, name: str, send: Callable[[Self], None]) -> None:
        self.sent: list[dict[str, Any]] = []
        self._name, self._leaving = name, threading.Event()
        self._thread = threading.Thread(target=send, args=(self,), name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join()

    def jobs(self) -> Iterator[dict[str, Any]]:
        """Yield jobs until the end, each of them again if it was not noted as sent."""
        while not self._leaving.wait(0.02):
            job = new_job(f"{self._name}-{next(_numbers)}")
            while job not in self.sent:
                yield job


def blocking(url: str) -> Sender:
    def send(sender: Sender) -> None:
        with Client(url) as client:
            for job in sender.jobs():
                with suppressed():
                    client.enqueue(job)
                    sender.sent.append(job)

    return Sender("blocking", send)


def with_asyncio(url: str) -> Sender:
    async def send_all(sender: Sender) -> None:
        async with AsyncClient(url) as client:
            for job in sender.jobs():
                with suppressed():
                    await client.enqueue(job)
                    sender.sent.append(job)

    return Sender("asyncio", lambda sender: asyncio.run(send_all(sender)))


@contextmanager
def suppressed() -> Iterator[None]:
    try:
        yield
    except BrokerUnavailable:
        return


@contextmanager
def under_load(
    folder: Path, redis: RedisServer, cluster: RabbitCluster, options: str = ""
) -> Iterator[tuple[Stack, StandIn, list[Sender]]]:
    """Two workers and two senders, which name the first node first. Once the context has ended without an error, each
    job has one event and one call."""
    url = cluster.url(options=options)
    with (
        StandIn() as provider,
        # The subscriber notices no node that hangs.
        Stack(folder, redis.url, cluster.url(1, 2, 0), provider.url, ACCOUNTS, BROKER_URL=url) as stack,
    ):
        stack.outside.redis.flushall()
        for _ in range(2):
            stack.launch("run")
        for worker in stack.workers:
            worker.wait_until_ready()
        with blocking(url) as one, with_asyncio(url) as other:
            wait_until(lambda: len(stack.outside.delivered) > 50, "jobs are placed")
            yield stack, provider, [one, other]
        jobs = [*one.sent, *other.sent]
        stack.outside.wait([job["id"] for job in jobs], SECONDS)
        assert provider.rung(*(job["phone"] for job in jobs)) == [1] * len(jobs)


def wait_until_more_are_placed(stack: Stack, senders: list[Sender], count: int = 25) -> None:
    """Wait until each sender has sent so many more jobs, and all jobs so far have their events."""
    before = [len(sender.sent) for sender in senders]
    wait_until(
        lambda: all(len(sender.sent) >= n + count for sender, n in zip(senders, before, strict=True)),
        "more jobs are sent",
        SECONDS,
    )
    sent = [job["id"] for sender in senders for job in list(sender.sent)]
    stack.outside.wait(sent, SECONDS)


def test_node_that_is_killed_is_replaced_by_the_next(
    tmp_path: Path, own_redis: RedisServer, cluster: RabbitCluster
) -> None:
    """While the first of three is away, jobs are sent, called once each and told of; `doctor` names what is missing."""
    with under_load(tmp_path, own_redis, cluster) as (stack, _, senders):
        cluster.kill(0)
        wait_until_more_are_placed(stack, senders)
        away, together = nodes.check(cluster.url())
        assert away.grade is Grade.WARN and str(cluster.nodes[0].port) in away.text
        assert (together.grade, together.text) == (Grade.OK, "2 of 3 answer, of one cluster")
        cluster.heal()
        wait_until_more_are_placed(stack, senders)
    (found,) = nodes.check(cluster.url())
    assert (found.grade, found.text) == (Grade.OK, "all answer, of one cluster")


def test_node_that_hangs_is_left(tmp_path: Path, own_redis: RedisServer, cluster: RabbitCluster) -> None:
    """Its connections stay open, and it accepts new ones without a word: heartbeats and bounded waits tell that."""
    with under_load(tmp_path, own_redis, cluster, "?heartbeat=4") as (stack, _, senders):
        cluster.freeze(0)
        wait_until_more_are_placed(stack, senders)
        # Workers that stop would wait long for its farewell.
        cluster.kill(0)
