"""The dial threads: reserved before a lease is taken, given back whatever the call does."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tests.conftest import wait_until
from tests.doubles.samples import account
from tests.doubles.watchers import NotedFaults
from tests.doubles.world import World
from worker.engine.dialler import Dialler
from worker.ports import Lease


@pytest.fixture
def lease(monkeypatch: pytest.MonkeyPatch) -> Lease:
    return World(monkeypatch, account("acme", "10/s")).lease()


def test_no_more_threads_are_reserved_than_are_free() -> None:
    """What one has reserved another cannot, until it is given back."""
    dialler = Dialler(3, lambda _: None, NotedFaults())
    assert [dialler.reserve(2), dialler.reserve(2), dialler.reserve(2)] == [2, 1, 0]
    dialler.give_back(2)
    assert dialler.reserve(9) == 2


def test_giving_threads_back_is_told() -> None:
    """So that waiting jobs get them at once; giving none back is not worth a word."""
    freed: list[int] = []
    dialler = Dialler(3, lambda _: None, NotedFaults())
    dialler.freed = lambda: freed.append(1)
    dialler.give_back(dialler.reserve(2))
    dialler.give_back(0)
    assert len(freed) == 1


def test_while_paused_no_thread_can_be_had() -> None:
    """Threads that are reserved already stay so."""
    dialler = Dialler(3, lambda _: None, NotedFaults())
    dialler.reserve(1)
    dialler.paused = True
    assert dialler.reserve(9) == 0
    dialler.paused = False
    assert dialler.reserve(9) == 2


def test_calls_run_side_by_side(lease: Lease) -> None:
    """As many as there are threads, none waiting for another."""
    together = threading.Barrier(3, timeout=30)

    def dial(_: Lease) -> None:
        together.wait()

    dialler = Dialler(3, dial, NotedFaults())
    for _ in range(dialler.reserve(3)):
        dialler.submit(lease)
    assert dialler.drain(30, threading.Event())
    assert dialler.reserve(9) == 3


def test_a_call_that_breaks_gives_its_thread_back(lease: Lease) -> None:
    """The error is told, and the thread serves the next call."""
    faults, seen = NotedFaults(), list[str]()

    def dial(leased: Lease) -> None:
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

    def dial(_: Lease) -> None:
        let_go.wait(30)

    dialler = Dialler(1, dial, NotedFaults())
    dialler.reserve(1)
    dialler.submit(lease)
    assert not dialler.drain(0.0, hurry)
    hurry.set()
    assert not dialler.drain(3600.0, hurry)
    let_go.set()
    assert dialler.drain(30, threading.Event())
