"""The keeper: what a process has in hand for longer than most calls take stays its own, and nothing for ever. (A1)"""

from __future__ import annotations

import threading

import pytest

from tests.doubles.samples import account
from tests.doubles.watchers import NotedFaults
from tests.doubles.world import World
from worker.core.records import Lease, Parking, Reason
from worker.core.retry import Tally
from worker.engine.dialler import Dialler
from worker.engine.keeper import EXTEND_SECONDS, MAX_EXTENDED_SECONDS, YOUNG_SECONDS, Keeper, LeasesInHand
from worker.engine.loops import MAX_PAUSE_SECONDS
from worker.engine.recorder import Recorder
from worker.redisio.connection import SOCKET_SECONDS
from worker.wiring.store import MIN_LEASE_SECONDS


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch, account("acme", "100/s", burst=9))


@pytest.fixture
def in_hand(world: World) -> LeasesInHand:
    return LeasesInHand(world.clock)


def ids(leases: list[Lease]) -> list[str]:
    return [lease.job.id for lease in leases]


def test_a_lease_leaves_its_holder_time_to_speak() -> None:
    """A lease lasts for a loop's longest pause, a connection and an answer after Redis is back."""
    least_left_seconds = MIN_LEASE_SECONDS - YOUNG_SECONDS - EXTEND_SECONDS - SOCKET_SECONDS
    assert least_left_seconds > MAX_PAUSE_SECONDS + 2 * SOCKET_SECONDS


def test_what_is_in_hand_for_a_while_is_kept(world: World, in_hand: LeasesInHand) -> None:
    """A call of a moment costs nothing; a long one is nobody else's, however long it takes."""
    keeper, lease = Keeper(world.ledger, in_hand), world.lease("a")
    in_hand.take(lease)
    assert in_hand.to_extend() == []
    for _ in range(30):
        world.clock.advance(EXTEND_SECONDS)
        assert keeper.turn() == EXTEND_SECONDS
    assert world.ledger.reclaim(9) == []
    in_hand.let_go(lease)
    world.clock.advance(31)
    keeper.turn()
    assert ids(world.ledger.reclaim(9)) == ["a"]


def test_what_never_ends_is_given_up(world: World, in_hand: LeasesInHand) -> None:
    """A call that is stuck does not keep its job for ever."""
    in_hand.take(world.lease("a"))
    world.clock.advance(MAX_EXTENDED_SECONDS)
    assert in_hand.to_extend() == []


def test_a_job_is_in_hand_until_it_was_let_go_as_often_as_taken(world: World, in_hand: LeasesInHand) -> None:
    """Its call ends once the recorder has it; what was never taken is let go without an error."""
    lease = world.lease("a")
    in_hand.let_go(lease)
    in_hand.take(lease)
    world.clock.advance(YOUNG_SECONDS)
    in_hand.take(lease)
    in_hand.let_go(lease)
    assert ids(in_hand.to_extend()) == ["a"]
    in_hand.let_go(lease)
    assert in_hand.to_extend() == []


def test_a_decision_is_in_hand_until_it_is_on_record(world: World, in_hand: LeasesInHand) -> None:
    """A decision is in hand for exactly as long as the store does not take it. (A1)

    An earlier version gave it up after ten minutes: where a wrong key stood in the way of outcomes for that long, their
    jobs were taken for lost, and their phones rang again.
    """
    recorder = Recorder(world.ledger, world.watch, NotedFaults(), in_hand)
    lease = world.lease("a")
    in_hand.take(lease)
    recorder.put(Parking(lease, Tally(), Reason.BACKOFF, 60.0), lambda: None)
    in_hand.let_go(lease)
    for seconds in (YOUNG_SECONDS, MAX_EXTENDED_SECONDS, 100 * MAX_EXTENDED_SECONDS):
        world.clock.advance(seconds)
        assert ids(in_hand.to_extend()) == ["a"]
    recorder.turn()
    assert in_hand.to_extend() == []


def test_a_call_is_in_hand_until_it_is_over(world: World, in_hand: LeasesInHand) -> None:
    """A call is in hand from the moment it was handed over, even if it fails."""
    seen, over = list[list[str]](), threading.Event()

    def dial(_: Lease, started: object) -> None:
        world.clock.advance(YOUNG_SECONDS)
        seen.append(ids(in_hand.to_extend()))
        raise ZeroDivisionError

    dialler = Dialler(1, dial, NotedFaults(), in_hand, freed=over.set)
    assert [dialler.reserve(1), dialler.reserve(1)] == [1, 0]
    dialler.submit(world.lease("a"))
    assert over.wait(30)
    assert seen == [["a"]] and in_hand.to_extend() == []
