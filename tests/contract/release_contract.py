"""What every ledger promises when a job leaves its lane."""

from __future__ import annotations

import math

import pytest

from tests.contract.ledger_bench import SAME_SHARD, Bench
from tests.doubles import decisions
from tests.doubles.samples import account
from worker.core.records import (
    Due,
    Parked,
    Reason,
)
from worker.core.retry import Tally


class ReleaseContract:
    """The order and time in which waiting jobs go."""

    def test_jobs_go_in_the_order_in_which_they_came(self, bench: Bench) -> None:
        """Within an account the lane is first in, first out."""
        owner = account(rate="1/s")
        bench.go("first", owner)
        for name in ("d", "a", "c", "b"):
            bench.clock.advance(0.001)
            bench.wait(name, owner)
        order: list[str] = []
        for _ in range(4):
            bench.clock.advance(1.005)
            order += bench.released()
        assert order == ["d", "a", "c", "b"]

    def test_nothing_is_due_where_nothing_waits(self, bench: Bench) -> None:
        """The ledger gives no moment to wake at if no job waits."""
        assert bench.ledger.lease_due(0).wait_seconds == math.inf
        bench.go("a", account())
        assert bench.ledger.lease_due(0).wait_seconds == math.inf
        assert bench.released() == []

    def test_the_next_slot_is_known_in_advance(self, bench: Bench) -> None:
        """The ledger says how long until a lease is worth asking for, a little ahead of the slot itself."""
        owner = account(rate="1/s")
        bench.go("a", owner)
        bench.wait("b", owner)
        assert bench.ledger.lease_due(0).wait_seconds == pytest.approx(1.006, abs=0.025)
        bench.clock.advance(bench.ledger.lease_due(0).wait_seconds)
        (lease,) = bench.release()
        assert lease.slot.opens == pytest.approx(1.006)

    def test_workers_share_one_limit(self, bench: Bench) -> None:
        """Two workers that ask in turn get together what one would have got."""
        owner = account(rate="10/s")
        for n in range(30):
            bench.admit(f"job-{n}", owner)
        taken = 1
        for turn in range(20):
            bench.clock.advance(0.0503)
            taken += len(bench.release(ledger=(bench.ledger, bench.other)[turn % 2]))
        assert taken == 11

    def test_no_more_are_leased_than_asked_for(self, bench: Bench) -> None:
        """A worker gets no more jobs than it has threads."""
        owner = account(rate="1000/s", burst=50)
        for n in range(10):
            bench.wait(f"job-{n}", owner, may_dial=False)
        assert len(bench.release(3)) == 3
        assert bench.release(0) == []
        assert len(bench.release(100)) == 7

    def test_a_backlog_with_a_burst_leaves_threads_to_others(self, bench: Bench) -> None:
        """With few threads, an account with one job has its turn after one job of a flooded account."""
        flooded, quiet = account("acme", "1000/s", burst=1000, concurrency=1000), account(SAME_SHARD)
        for n in range(100):
            bench.wait(f"flood-{n}", flooded, may_dial=False)
        bench.clock.advance(1)
        bench.wait("single", quiet, may_dial=False)
        order: list[str] = []
        while len(order) < 2:
            bench.clock.advance(0.01)
            order += bench.released(1)
        assert order == ["flood-0", "single"]

    def test_a_wait_is_told_with_the_lease(self, bench: Bench) -> None:
        """The lease that ends a wait says why and how long the job waited."""
        owner = account(rate="1/s")
        bench.go("a", owner)
        bench.wait("b", owner)
        bench.clock.advance(4)
        (lease,) = bench.release()
        assert lease.waited_for is Reason.RATE_LIMIT and lease.waited_seconds == pytest.approx(4)

    def test_no_slot_goes_to_a_job_that_expires_before_it(self, bench: Bench) -> None:
        """The head of a lane that has no time left does not use up the slot of the next job."""
        owner = account(rate="1/s")
        bench.go("a", owner)
        bench.wait("late", owner, expires_at_us=bench.clock.now_us + 900_000)
        bench.wait("next", owner)
        bench.clock.advance(1.005)
        assert bench.released() == ["next"]
        assert [(lease.job.id, lease.due) for lease in bench.ledger.reclaim(10)] == [("late", Due.EXPIRED)]

    @pytest.mark.parametrize("seconds", [-3600.0, -90.0, 90.0, 3600.0])
    def test_a_clock_that_is_set_changes_no_wait(self, bench: Bench, seconds: float) -> None:
        """However Redis' clock was set, jobs that wait keep their moments and places, and the rate holds. (B6)"""
        owner = account(rate="1/s", ttl=7200)
        first = bench.go("first", owner)
        decisions.park(bench.ledger, first, Tally(sent=1, not_rung=1), Reason.BACKOFF, 2.5)
        bench.wait("second", owner)
        bench.clock.set_store(seconds)
        assert bench.released() == []
        bench.wait("third", owner)
        order: list[str] = []
        for _ in range(3):
            bench.clock.advance(1.006)
            order += bench.released()
        assert order == ["second", "third", "first"]

    @pytest.mark.parametrize("seconds", [-90.0, 90.0])
    def test_a_clock_that_is_set_moves_no_probe(self, bench: Bench, seconds: float) -> None:
        """A held account is tried when its pause is over, however Redis' clock was set meanwhile. (B6)"""
        decisions.hold(bench.ledger, bench.go("a", account()), Tally(sent=1), "NO_POINTS")
        bench.clock.set_store(seconds)
        assert bench.released() == []
        bench.clock.advance(5)
        assert [lease.probe for lease in bench.release()] == [True]

    @pytest.mark.parametrize("seconds", [-90.0, 90.0])
    def test_a_job_that_goes_back_to_its_lane_is_not_put_off(self, bench: Bench, seconds: float) -> None:
        """A job whose slot lapsed goes back to where its age puts it, and never into the future. (B6)"""
        owner = account(rate="1/s")
        lease = bench.go("a", owner)
        bench.clock.set_store(seconds)
        assert isinstance(bench.ledger.renew(lease, owner, Tally()), Parked)
        bench.clock.advance(1.006)
        assert bench.released() == ["a"]

    def test_times_are_told_as_redis_tells_them(self, bench: Bench) -> None:
        """Times shown to people and times of expiry are Redis' own time, which moves on even if it was set."""
        owner = account(rate="1/s", ttl=60)
        bench.clock.pass_unasked(30)
        bench.clock.set_store(-90)
        lease = bench.go("a", owner)
        assert lease.accepted_at_us == bench.clock.now_us == lease.now_us(bench.clock())
        assert lease.expires_at_us == bench.clock.now_us + 60_000_000
        assert bench.wait("b", owner).until_us == bench.clock.now_us + 1_006_000
        bench.clock.pass_unasked(60)
        assert [found.due for found in bench.ledger.reclaim(10)] == [Due.EXPIRED]
