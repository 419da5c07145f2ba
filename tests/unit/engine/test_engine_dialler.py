"""Places for calls: reserved before a lease is taken, given back whatever the call does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import gevent
import pytest

from tests.doubles.samples import account
from tests.doubles.watchers import NotedFaults
from tests.doubles.world import World
from tests.processes import wait_until
from worker.core.records import Lease
from worker.engine.dialler import GATHERED_PART, MAX_STARTING, Dialler
from worker.engine.parts import Grace


@pytest.fixture
def lease(monkeypatch: pytest.MonkeyPatch) -> Lease:
    return World(monkeypatch, account("acme", "10/s")).lease()


def wait_for(event: threading.Event) -> None:
    """Wait as a call waits for the network, so that others go on."""
    with gevent.Timeout(30):
        while not event.is_set():
            gevent.sleep(0.005)


def test_no_more_places_are_reserved_than_are_free() -> None:
    """A reserved place is not given to another until it is given back."""
    dialler = Dialler(3, lambda *_: None, NotedFaults())
    assert [dialler.reserve(2), dialler.reserve(2), dialler.reserve(2)] == [2, 1, 0]
    dialler.give_back(2)
    assert dialler.reserve(9) == 2


def test_reserved_place_is_not_used_yet(lease: Lease) -> None:
    """A place is used from when a call has it until the call is over."""
    over = threading.Event()
    dialler = Dialler(5, lambda *_: wait_for(over), NotedFaults())
    dialler.reserve(4)
    assert (dialler.used, dialler.in_flight) == (0, 4)
    dialler.submit(lease)
    dialler.give_back(3)
    assert (dialler.used, dialler.in_flight) == (1, 1)
    over.set()
    dialler.join(Grace(30))
    assert dialler.used == 0


def test_a_place_that_someone_waits_for_is_told_of() -> None:
    """A place that someone waits for is reported, so that waiting jobs get it at once; otherwise nothing is."""
    freed: list[int] = []
    dialler = Dialler(3, lambda *_: None, NotedFaults(), freed=lambda: freed.append(1))
    dialler.give_back(dialler.reserve(3))
    assert freed == []
    dialler.reserve(3)
    dialler.reserve(1)
    dialler.give_back(2)
    dialler.give_back(1)
    assert freed == [1]


def test_few_calls_start_at_a_time(lease: Lease) -> None:
    """However many places are free: calls that wait for the network make room for the next ones to start."""
    let_go, freed = threading.Event(), threading.Event()

    def dial(_: Lease, started: Callable[[], None]) -> None:
        started()
        started()
        wait_for(let_go)

    dialler = Dialler(500, dial, NotedFaults(), freed=freed.set)
    assert dialler.reserve(500) == MAX_STARTING
    assert dialler.reserve(500) == 0
    for _ in range(MAX_STARTING // 2):
        assert not freed.is_set()
        dialler.submit(lease)
    assert freed.wait(30)
    assert dialler.reserve(500) == MAX_STARTING // 2
    let_go.set()


def test_the_last_call_to_start_makes_room_whatever_is_in_flight(lease: Lease) -> None:
    """A place that becomes free is reported at once, even if long calls take nearly all the others."""
    let_go, freed = threading.Event(), threading.Event()

    def dial(leased: Lease, started: Callable[[], None]) -> None:
        started()
        if leased.fence == lease.fence:
            wait_for(let_go)

    dialler = Dialler(2, dial, NotedFaults(), freed=freed.set)
    assert (dialler.reserve(9), dialler.reserve(9)) == (2, 0)
    dialler.submit(lease)
    dialler.submit(replace(lease, fence=lease.fence + 1))
    assert freed.wait(30)
    assert dialler.reserve(9) == 1
    let_go.set()


def test_places_gather_where_all_were_taken(lease: Lease) -> None:
    """One of many that is free again is not worth a turn of the releaser; a thirty-second of them is."""
    let_go, all_here = threading.Event(), threading.Event()
    begun, ended, told = list[None](), list[None](), list[int]()

    def dial(_: Lease, started: Callable[[], None]) -> None:
        started()
        begun.append(None)
        if len(begun) == MAX_STARTING:
            all_here.set()
        wait_for(let_go)
        ended.append(None)

    dialler = Dialler(MAX_STARTING, dial, NotedFaults(), freed=lambda: told.append(len(ended)))
    for _ in range(dialler.reserve(MAX_STARTING)):
        dialler.submit(lease)
    assert all_here.wait(30)
    assert dialler.reserve(1) == 0 and told == []
    let_go.set()
    dialler.join(Grace(30))
    assert dialler.in_flight == 0
    assert told == [MAX_STARTING // GATHERED_PART]


def test_while_paused_no_place_can_be_had() -> None:
    """While paused no new place is given, but reserved places stay reserved."""
    dialler = Dialler(3, lambda *_: None, NotedFaults())
    dialler.reserve(1)
    dialler.pause(True)
    assert dialler.reserve(9) == 0
    dialler.pause(False)
    assert dialler.reserve(9) == 2


def test_calls_run_side_by_side(lease: Lease) -> None:
    """Calls fill all places in one thread, and none waits for another."""
    faults, threads, all_here = NotedFaults(), list[int](), threading.Event()

    def dial(*_: object) -> None:
        threads.append(threading.get_ident())
        if len(threads) == 3:
            all_here.set()
        wait_for(all_here)

    dialler = Dialler(3, dial, faults)
    for _ in range(dialler.reserve(3)):
        dialler.submit(lease)
    dialler.join(Grace(30))
    assert dialler.in_flight == 0
    assert dialler.reserve(9) == 3
    assert len(threads) == 3 and len(set(threads)) == 1 and faults.failed == []


def test_a_call_that_breaks_gives_its_place_back(lease: Lease) -> None:
    """The error is reported, and the place serves the next call."""
    faults, seen = NotedFaults(), list[str]()

    def dial(leased: Lease, _: object) -> None:
        if leased.fence == lease.fence:
            raise ZeroDivisionError
        seen.append(leased.job.id)

    dialler = Dialler(1, dial, faults)
    for one in (lease, replace(lease, fence=lease.fence + 1)):
        wait_until(lambda: dialler.reserve(1) == 1, "the place is free")
        dialler.submit(one)
    dialler.join(Grace(30))
    assert dialler.in_flight == 0
    assert seen == ["job-1"]
    assert [(loop, type(error)) for loop, error in faults.failed] == [("dial", ZeroDivisionError)]


def test_draining_ends_with_its_time_or_in_a_hurry(lease: Lease) -> None:
    """A call that does not end is not waited for longer than was said."""
    let_go, hurry = threading.Event(), threading.Event()

    def dial(*_: object) -> None:
        wait_for(let_go)

    dialler = Dialler(1, dial, NotedFaults())
    dialler.reserve(1)
    dialler.submit(lease)
    dialler.join(Grace(0.0, hurry))
    assert dialler.in_flight == 1
    hurry.set()
    dialler.join(Grace(3600.0, hurry))
    assert dialler.in_flight == 1
    let_go.set()
    dialler.join(Grace(30))
    assert dialler.in_flight == 0


def test_a_stopped_dialler_gives_no_place_again() -> None:
    """The worker ends: that the backlog was cleared meanwhile makes no difference."""
    dialler = Dialler(3, lambda *_: None, NotedFaults())
    dialler.stop()
    dialler.pause(False)
    assert dialler.reserve(9) == 0
