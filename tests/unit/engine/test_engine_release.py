"""Releaser and sweeper: what is due is leased for free threads; what is overdue is decided, one by one."""

from __future__ import annotations

import pytest

from tests.doubles.memory_ledger import MemoryLedger
from tests.doubles.samples import account, job
from tests.doubles.watchers import NotedFaults
from tests.doubles.world import World
from worker.core.records import Lease
from worker.engine.dialler import Dialler
from worker.engine.lookout import REST_SECONDS
from worker.engine.releaser import POLL_SECONDS, Releaser
from worker.engine.sweeper import Sweeper
from worker.errors import StoreUnavailable


class Idle(Dialler):
    """Notes what it should dial."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, lambda *_: None, NotedFaults())
        self.leases: list[str] = []

    def submit(self, lease: Lease) -> None:
        self.leases.append(lease.job.id)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch, account("acme", "1/s", burst=3))


class TestReleaser:
    """Waiting jobs into free threads."""

    def test_without_waiting_jobs_it_rests(self, world: World) -> None:
        """Another worker may fill the lanes; then the lookout wakes it."""
        dialler = Idle(4)
        assert Releaser(world.ledger, dialler).turn() == REST_SECONDS
        assert dialler.leases == [] and dialler.reserve(9) == 4

    def test_what_is_due_is_handed_over(self, world: World) -> None:
        """As many due jobs as the limit allows are handed over; unneeded threads are given back."""
        world.accept(*(job(f"job-{n}") for n in range(5)), places=0)
        dialler = Idle(4)
        assert Releaser(world.ledger, dialler).turn() == REST_SECONDS
        assert dialler.leases == ["job-0", "job-1", "job-2"]
        assert dialler.reserve(9) == 1

    def test_it_wakes_when_the_next_slot_comes(self, world: World) -> None:
        """A slot nearer than the poll interval is not overslept."""
        world.accept(*(job(f"job-{n}") for n in range(5)), places=0)
        releaser = Releaser(world.ledger, Idle(9))
        assert releaser.turn() == REST_SECONDS
        world.clock.advance(0.8)
        assert releaser.turn() == POLL_SECONDS
        world.clock.advance(0.165)
        assert 0 < releaser.turn() < POLL_SECONDS

    def test_nothing_is_leased_before_the_limits_are_declared(self, world: World) -> None:
        """A job would go by the limits of an earlier accounts file."""
        world.accept(job("a"), places=0)
        told = [False, True]
        dialler = Idle(4)
        releaser = Releaser(world.ledger, dialler, lambda: told.pop(0))
        assert releaser.turn() == POLL_SECONDS and dialler.leases == []
        assert releaser.turn() == REST_SECONDS and dialler.leases == ["a"]

    def test_no_job_is_leased_without_a_thread(self, world: World) -> None:
        """A lease that must wait for a thread would lose its slot."""
        world.accept(job("a"), places=0)
        dialler = Idle(1)
        dialler.reserve(1)
        assert Releaser(world.ledger, dialler).turn() == POLL_SECONDS
        assert world.store.records["a"].state == "waiting"

    def test_threads_are_given_back_when_the_store_fails(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """None is lost over an outage."""
        world.accept(job("a"), places=0)

        def away(*_: object) -> list[Lease]:
            raise StoreUnavailable("away")

        monkeypatch.setattr(MemoryLedger, "lease_due", away)
        dialler = Idle(4)
        with pytest.raises(StoreUnavailable):
            Releaser(world.ledger, dialler).turn()
        assert dialler.reserve(9) == 4


class TestSweeper:
    """Jobs that nobody else ends."""

    def sweeper(self, world: World) -> Sweeper:
        return Sweeper(world.ledger, world.overdue.decide, world.recorder)

    def test_without_overdue_jobs_it_rests(self, world: World) -> None:
        """The lookout wakes it when a job is overdue."""
        world.accept(job("a"), places=0)
        assert self.sweeper(world).turn() == REST_SECONDS

    def test_an_expired_job_ends(self, world: World) -> None:
        """An expired job ends even in the first seconds; after one, the next look follows at once."""
        sweeper = self.sweeper(world)
        world.accept(job("a", expires_at="2027-01-15T08:00:02Z"), places=0)
        world.clock.advance(2)
        assert sweeper.turn() == 0.0
        world.record()
        assert world.outcome("a") == ("call.expired", "EXPIRED", 0)

    def test_a_lost_job_is_decided(self, world: World) -> None:
        """A lost job gets its outcome once its lease has run out."""
        sweeper = self.sweeper(world)
        world.lease("a")
        world.clock.advance(31)
        assert sweeper.turn() == 0.0
        world.record()
        assert world.store.records["a"].state == "waiting"

    def test_after_an_outage_a_job_is_its_workers_still(self, world: World) -> None:
        """However long the store was away, what the call came to is on record before anyone judges it. (A1)"""
        sweeper = self.sweeper(world)
        leases = [world.lease("a")]
        world.store.away = True
        world.dial(leases)
        world.clock.pass_unasked(3600)
        with pytest.raises(StoreUnavailable):
            sweeper.turn()
        world.store.away = False
        world.clock.advance(20)
        sweeper.turn()
        assert world.store.records["a"].state == "dialling"
        world.record()
        assert world.outcome("a")[0] == "call.placed"

    def test_a_job_that_breaks_it_takes_no_other_along(self, world: World) -> None:
        """The others of its batch are decided; the error is raised afterwards, for the loop to tell."""

        def poisoned(lease: Lease) -> None:
            if lease.job.id == "a":
                raise ZeroDivisionError
            world.overdue.decide(lease)

        world.accept(*(job(name, expires_at="2027-01-15T08:00:02Z") for name in "abc"), places=0)
        world.clock.advance(2)
        with pytest.raises(ZeroDivisionError):
            Sweeper(world.ledger, poisoned, world.recorder).turn()
        world.record()
        assert [event["data"]["id"] for event in world.events()] == ["b", "c"]
