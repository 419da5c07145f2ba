"""The dial threads: reserved before a lease is taken, given back whatever the call does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.conftest import wait_until
from tests.doubles.samples import account
from tests.doubles.watchers import NotedFaults
from tests.doubles.world import World
from worker.engine.dialler import STARTING_MOST, Dialler
from worker.ports import Lease


@pytest.fixture
def lease(monkeypatch: pytest.MonkeyPatch) -> Lease:
    return World(monkeypatch, account("acme", "10/s")).lease()


def test_no_more_threads_are_reserved_than_are_free() -> None:
    """What one has reserved another cannot, until it is given back."""
    dialler = Dialler(3, lambda *_: None, NotedFaults())
    assert [dialler.reserve(2), dialler.reserve(2), dialler.reserve(2)] == [2, 1, 0]
    dialler.give_back(2)
    assert dialler.reserve(9) == 2


def test_a_thread_that_someone_waits_for_is_told_of() -> None:
    """So that waiting jobs get it at once; as long as nobody went without there is nothing to tell."""
    freed: list[int] = []
    dialler = Dialler(3, lambda *_: None, NotedFaults())
    dialler.freed = lambda: freed.append(1)
    dialler.give_back(dialler.reserve(3))
    assert freed == []
    dialler.reserve(3)
    dialler.reserve(1)
    dialler.give_back(2)
    dialler.give_back(1)
    assert freed == [1]


def test_few_calls_start_at_a_time(lease: Lease) -> None:
    """However many threads are free: a call that waits for the network makes room for the next one to start."""
    let_go, freed = threading.Event(), threading.Event()

    def dial(_: Lease, started: Callable[[], None]) -> None:
        started()
        started()
        let_go.wait(30)

    dialler = Dialler(50, dial, NotedFaults())
    dialler.freed = freed.set
    assert dialler.reserve(50) == STARTING_MOST
    assert dialler.reserve(50) == 0
    dialler.submit(lease)
    assert freed.wait(30)
    assert dialler.reserve(50) == 1
    let_go.set()


def test_while_paused_no_thread_can_be_had() -> None:
    """Threads that are reserved already stay so."""
    dialler = Dialler(3, lambda *_: None, NotedFaults())
    dialler.reserve(1)
    dialler.paused = True
    assert dialler.reserve(9) == 0
    dialler.paused = False
    assert dialler.reserve(9) == 2


def test_calls_run_side_by_side(lease: Lease) -> None:
    """As many as there are threads, none waiting for another."""
    together = threading.Barrier(3, timeout=30)

    def dial(*_: object) -> None:
        together.wait()

    dialler = Dialler(3, dial, NotedFaults())
    for _ in range(dialler.reserve(3)):
        dialler.submit(lease)
    assert dialler.drain(30, threading.Event())
    assert dialler.reserve(9) == 3


def test_a_call_that_breaks_gives_its_thread_back(lease: Lease) -> None:
    """The error is told, and the thread serves the next call."""
    faults, seen = NotedFaults(), list[str]()

    def dial(leased: Lease, _: object) -> None:
        if leased.fence == lease.fence:
            raise ZeroDivisionError
        seen.append(leased.job.id)

    dialler = Dialler(1, dial, faults)
    for one in (lease, replace(lease, fence=lease.fence + 1)):
        wait_until(lambda: dialler.reserve(1) == 1, "the thread is free")
        dialler.submit(one)
    assert dialler.drain(30, threading.Event())
    assert seen == ["job-1"]
    assert [(loop, type(error)) for loop, error in faults.failed] == [("dial", ZeroDivisionError)]


def test_draining_ends_with_its_time_or_in_a_hurry(lease: Lease) -> None:
    """A call that does not end is not waited for longer than was said."""
    let_go, hurry = threading.Event(), threading.Event()

    def dial(*_: object) -> None:
        let_go.wait(30)

    dialler = Dialler(1, dial, NotedFaults())
    dialler.reserve(1)
    dialler.submit(lease)
    assert not dialler.drain(0.0, hurry)
    hurry.set()
    assert not dialler.drain(3600.0, hurry)
    let_go.set()
    assert dialler.drain(30, threading.Event())
