"""Two workers on the Redis that three Sentinels name: its master is killed under load, and the next one freezes."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from callworker import BrokerUnavailable, Client
from tests.integration.outside import new_job
from tests.integration.stack import Stack
from tests.integration.stand_in import StandIn, gives_ref
from tests.processes import wait_until
from tests.sentinels import Installation
from worker.delivery.reader import read_results

ACCOUNTS = {f"account-{n}": {"rate": "20/s", "burst": 10, "redials": 1} for n in range(4)}
JOBS_AT_LEAST = 40
"""How many more jobs are to have ended before the next fault, and after the last."""


class Load:
    """Sends jobs until it is told to stop, each again until the broker has confirmed it. A context manager."""

    def __init__(self, url: str) -> None:
        self.sent: dict[str, str] = {}
        self._url, self._over = url, threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _send(self) -> None:
        with Client(self._url, replicas=1, timeout=1.0) as client:
            for number in itertools.count():
                job = new_job(f"job-{number}", f"account-{number % len(ACCOUNTS)}")
                while not _confirmed(client, job):
                    self._over.wait(0.05)
                self.sent[job["id"]] = job["phone"]
                if self._over.wait(0.02):
                    return


def _confirmed(client: Client, job: dict[str, str]) -> bool:
    with suppress(BrokerUnavailable):
        client.enqueue(job)
        return True
    return False


@contextmanager
def workers(folder: Path, url: str, provider: StandIn) -> Iterator[Stack]:
    """Two workers that wait for one replica."""
    stack = Stack(folder, "redis://127.0.0.1", "redis://127.0.0.1", provider.url, ACCOUNTS)
    stack.environ |= {"REDIS_URL": url, "BROKER_URL": url, "REDIS_REPLICAS": "1"}
    try:
        for _ in range(2):
            stack.launch("run")
        for worker in stack.workers:
            worker.wait_until_ready()
        yield stack
    finally:
        for worker in stack.workers:
            worker.terminate()
        for worker in stack.workers:
            worker.close()


@pytest.mark.endurance
def test_failovers_lose_nothing_and_tell_nothing_twice(tmp_path: Path) -> None:
    """Every job ends in one event, and no phone rings more often than 1 + redials."""
    (tmp_path / "machines").mkdir()
    with (
        ExitStack() as stack,
        StandIn(lambda asked: gives_ref(0.05)) as provider,
    ):
        machines = Installation(stack, tmp_path / "machines")
        with workers(tmp_path, machines.url, provider) as running:
            with Load(machines.url) as load:
                _until_more_calls(provider)
                killed = machines.master()
                killed.kill()
                machines.wait_for_another_than(killed)
                _until_more_calls(provider)
                machines.wait_until_whole()
                frozen = machines.master()
                frozen.freeze()
                try:
                    machines.wait_for_another_than(frozen)
                    _until_more_calls(provider)
                finally:
                    frozen.thaw()
            events = wait_for_events(machines.url, load.sent)
            assert all(worker.told("redis.another_master") for worker in running.workers)
    assert {job: len(bodies) for job, bodies in events.items() if len(bodies) != 1} == {}
    kinds = Counter(json.loads(body)["type"] for (body,) in events.values())
    assert kinds.keys() <= {"call.placed", "call.unknown"}
    rung = Counter(asked.phone for asked in provider.asked)
    assert {phone: times for phone, times in rung.items() if times > 2} == {}
    assert set(load.sent.values()) <= rung.keys()


def _until_more_calls(provider: StandIn) -> None:
    wanted = len(provider.asked) + JOBS_AT_LEAST
    wait_until(lambda: len(provider.asked) >= wanted, "more calls are made")


def wait_for_events(url: str, sent: dict[str, str]) -> dict[str, set[str]]:
    """Return the different events of each job, once each has one."""
    found: dict[str, set[str]] = {}

    def all_there() -> bool:
        for body in read_results(url):
            event = json.loads(body)
            found.setdefault(event["data"]["id"], set()).add(str(body))
        return found.keys() >= sent.keys()

    wait_until(all_there, "each job has an event")
    return found
