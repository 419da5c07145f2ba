"""The engine starts its stages in order, stops them in the reverse order, and tells what it leaves."""

from __future__ import annotations

import threading
from functools import partial

import gevent
import pytest

from tests.doubles.samples import account
from tests.doubles.watchers import CountedSuspects, NotedFaults
from tests.doubles.world import World
from worker.core.records import Lease, Reason
from worker.core.retry import Tally
from worker.engine.consumer_watch import ConsumerWatch
from worker.engine.dialler import Dialler
from worker.engine.engine import Deadline, Engine, Left
from worker.engine.intake import Intake
from worker.engine.parts import Grace, Hook, Part


class Noted(Part):
    """Notes each step of its life."""

    def __init__(self, name: str, told: list[str]) -> None:
        self._name, self._told = name, told

    def start(self) -> None:
        self._told.append(f"start {self._name}")

    def stop(self) -> None:
        self._told.append(f"stop {self._name}")

    def join(self, _: Grace, /) -> None:
        self._told.append(f"join {self._name}")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch, account("acme"))


def intake_of(world: World, dialler: Dialler) -> Intake:
    return Intake(world.reception, world.dead_letters, CountedSuspects(), dialler, NotedFaults())


def wait_for(event: threading.Event) -> None:
    """Wait as a call waits for the network."""
    with gevent.Timeout(30):
        while not event.is_set():
            gevent.sleep(0.005)


def test_stages_start_in_order_and_stop_in_reverse(world: World) -> None:
    """The parts of a stage are all told to stop before one of them is waited for."""
    told = list[str]()
    note = partial(Noted, told=told)
    dialler = Dialler(1, lambda *_: None, NotedFaults())
    intake = intake_of(world, dialler)
    deadline = Deadline(intake, dialler, world.recorder, threading.Event())
    end = Hook(lambda: told.append("begin"), at_end=lambda: told.append("end"))
    engine = Engine([[end], [note("a"), note("b")]], deadline, intake, dialler, ConsumerWatch(NotedFaults()))
    engine.start()
    assert told == ["begin", "start a", "start b"]
    engine.stop(1.0, threading.Event())
    assert told[3:] == ["stop a", "stop b", "join a", "join b", "end"]


def test_what_is_left_is_counted_before_those_that_wait_give_up(world: World) -> None:
    """A call that outlives the grace and an outcome that Redis did not take are reported; then the wait ends."""
    let_go, closing = threading.Event(), threading.Event()
    dialler = Dialler(1, lambda *_: wait_for(let_go), NotedFaults())
    intake = intake_of(world, dialler)
    lease: Lease = world.lease()
    world.settler.park(lease, Tally(), Reason.BACKOFF, 1.0, "")
    dialler.reserve(1)
    dialler.submit(lease)
    deadline = Deadline(intake, dialler, world.recorder, closing)
    engine = Engine(
        [[deadline], [world.recorder], [dialler]], deadline, intake, dialler, ConsumerWatch(NotedFaults())
    )
    hurry = threading.Event()
    hurry.set()
    assert engine.stop(3600.0, hurry) == Left(1, 0, calls_unfinished=1, outcomes_unrecorded=1)
    assert closing.is_set()
    let_go.set()
    dialler.join(Grace(30))
