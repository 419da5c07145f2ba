"""What every ledger promises of jobs that were taken for lost."""

from __future__ import annotations

import math

import pytest

from tests.contract.ledger_bench import LEASE_SECONDS, Bench, speak
from tests.doubles import decisions
from tests.doubles.samples import account, failed, placed
from worker.core.records import (
    Due,
    Lease,
    Reason,
    Seen,
)
from worker.core.retry import Tally
from worker.errors import LeaseLost


class ReclaimContract:
    """Jobs that nobody else will end."""

    def test_a_job_whose_lease_runs_is_left_alone(self, bench: Bench) -> None:
        """Until its lease ends, a job belongs to its worker."""
        bench.go("a", account())
        bench.clock.advance(LEASE_SECONDS - 0.1)
        assert bench.other.reclaim(10) == []

    def test_a_lost_intent_counts_as_perhaps_rung(self, bench: Bench) -> None:
        """A worker that fell silent after its intent may have dialled, so its job counts as perhaps rung."""
        lease = bench.go("a", account())
        bench.clock.advance(LEASE_SECONDS + 0.1)
        (found,) = bench.other.reclaim(10)
        assert found.due is Due.LOST and found.job == lease.job and found.fence > lease.fence
        assert found.tally == Tally(sent=1, perhaps_rung=1)
        assert bench.ledger.reclaim(10) == []

    @pytest.mark.parametrize("seconds", [40.0, 86_400.0])
    def test_no_lease_runs_out_while_nobody_can_ask(self, bench: Bench, seconds: float) -> None:
        """However long Redis was away, a lease lasts as long afterwards, so that its holder can speak. (A1)"""
        bench.go("a", account(ttl=999_999))
        bench.clock.advance(5)
        bench.clock.pass_unasked(seconds)
        assert bench.other.reclaim(10) == []
        bench.clock.advance(LEASE_SECONDS - 5.1)
        assert bench.other.reclaim(10) == []
        bench.clock.advance(0.2)
        assert [found.due for found in bench.other.reclaim(10)] == [Due.LOST]

    @pytest.mark.parametrize("seconds", [-90.0, 90.0])
    def test_no_lease_runs_out_because_a_clock_was_set(self, bench: Bench, seconds: float) -> None:
        """A lease ends neither sooner nor later because Redis' clock was set. (A1, B6)"""
        bench.go("a", account())
        bench.clock.set_store(seconds)
        bench.clock.advance(LEASE_SECONDS - 0.1)
        assert bench.other.reclaim(10) == []
        bench.clock.advance(0.2)
        assert [found.due for found in bench.other.reclaim(10)] == [Due.LOST]

    def test_a_lease_that_is_kept_lasts_longer(self, bench: Bench) -> None:
        """A worker that lives says what it has in hand, and nobody takes that for lost. (A1)"""
        lease = bench.go("a", account())
        for _ in range(5):
            bench.clock.advance(LEASE_SECONDS - 1)
            bench.ledger.extend([lease])
        assert bench.other.reclaim(10) == []
        bench.clock.advance(LEASE_SECONDS + 0.1)
        assert [found.due for found in bench.other.reclaim(10)] == [Due.LOST]

    def test_a_job_that_is_not_its_holders_is_not_kept(self, bench: Bench) -> None:
        """An old lease keeps nothing once its job waits, has ended or belongs to another worker."""
        owner = account(burst=9)
        leases = waits, ends, judged = [bench.go(name, owner) for name in "abc"]
        decisions.park(bench.ledger, waits, Tally(), Reason.BACKOFF, 60.0)
        decisions.settle(bench.ledger, ends, owner, Tally(sent=1), placed(ends))
        bench.clock.advance(LEASE_SECONDS + 0.1)
        (found,) = bench.other.reclaim(10)
        bench.ledger.extend(leases)
        bench.ledger.extend([])
        assert found.job == judged.job
        bench.clock.advance(LEASE_SECONDS - 0.1)
        assert [found.job.id for found in bench.other.reclaim(10)] == ["c"]

    @pytest.mark.parametrize("word", ["settle", "park", "hold", "renew"])
    def test_a_worker_that_is_back_wins_over_its_judge(self, bench: Bench, word: str) -> None:
        """The holder's result counts even if its lease was judged lost, and then the judge's result does not. (A1)

        An earlier version refused the holder, and so told what it knew as unknown.
        """
        lease = bench.go("a", account())
        bench.clock.advance(LEASE_SECONDS + 0.1)
        (found,) = bench.other.reclaim(10)
        speak(bench.ledger, word, lease)
        for late in ("settle", "park", "renew"):
            with pytest.raises(LeaseLost):
                speak(bench.other, late, found)
        with pytest.raises(LeaseLost):
            speak(bench.ledger, "renew", lease)
        assert len(bench.events()) == (word == "settle")

    @pytest.mark.parametrize("word", ["settle", "park", "hold", "renew"])
    def test_a_worker_that_is_back_wins_until_the_job_is_dialled_again(self, bench: Bench, word: str) -> None:
        """A job that waits for its redial is its lost holder's still; and what that one counted stays counted. (A1)"""
        owner = account(rate="100/s")
        lease = bench.go("a", owner)
        bench.clock.advance(LEASE_SECONDS + 0.1)
        (found,) = bench.other.reclaim(10)
        decisions.park(bench.other, found, found.tally, Reason.BACKOFF, 0.0)
        speak(bench.ledger, word, lease)
        bench.clock.advance(5)
        tallies = [again.tally for again in bench.release()]
        assert tallies == ([] if word == "settle" else [Tally(sent=1)])

    @pytest.mark.parametrize("word", ["settle", "park", "hold", "renew"])
    def test_a_worker_that_is_back_too_late_has_no_say(self, bench: Bench, word: str) -> None:
        """Once the job is being dialled again, the old lease can neither fail nor park it; nor once it has ended."""
        owner = account(rate="100/s")
        lease = bench.go("a", owner)
        bench.clock.advance(LEASE_SECONDS + 0.1)
        (found,) = bench.other.reclaim(10)
        decisions.park(bench.other, found, found.tally, Reason.BACKOFF, 0.0)
        (again,) = bench.release(ledger=bench.other)
        with pytest.raises(LeaseLost):
            speak(bench.ledger, word, lease)
        decisions.settle(bench.other, again, account(), again.tally, failed(again))
        with pytest.raises(LeaseLost):
            speak(bench.ledger, word, lease)
        assert len(bench.events()) == 1

    @pytest.mark.parametrize("stage", ["judged", "waiting", "dialling", "waiting again"])
    def test_a_ref_is_taken_from_whoever_has_it(self, bench: Bench, stage: str) -> None:
        """The phone rang: until the job has ended, its first ref ends it, no matter which worker has it now. (A1)"""
        owner = account(rate="100/s", concurrency=1)
        lease = bench.go("a", owner)
        bench.clock.advance(LEASE_SECONDS + 0.1)
        (holder,) = bench.other.reclaim(10)
        if stage != "judged":
            decisions.park(bench.other, holder, holder.tally, Reason.BACKOFF, 0.0)
        if stage in ("dialling", "waiting again"):
            (holder,) = bench.release(ledger=bench.other)
        if stage == "waiting again":
            decisions.park(bench.other, holder, holder.tally, Reason.BACKOFF, 9.0)
        event = placed(lease)
        for _ in range(2):
            decisions.settle(bench.ledger, lease, owner, Tally(sent=1), event)
        with pytest.raises(LeaseLost):
            decisions.settle(bench.other, holder, owner, holder.tally, failed(holder))
        assert bench.events() == [event.body] and bench.admit("a", owner) == Seen("placed")
        bench.clock.advance(600)
        assert bench.released() == [] and bench.ledger.reclaim(10) == []
        bench.go("b", owner)

    def test_a_decision_gives_no_right_to_dial(self, bench: Bench) -> None:
        """A reclaimed job cannot be renewed, only parked or ended."""
        bench.go("a", account())
        bench.clock.advance(LEASE_SECONDS + 0.1)
        (found,) = bench.ledger.reclaim(10)
        with pytest.raises(LeaseLost):
            bench.ledger.renew(found, account(), found.tally)

    def test_a_lost_job_may_be_parked_for_a_redial(self, bench: Bench) -> None:
        """A lost job that is parked gets a new lease and keeps its tally."""
        bench.go("a", account())
        bench.clock.advance(LEASE_SECONDS + 0.1)
        (found,) = bench.ledger.reclaim(10)
        decisions.park(bench.ledger, found, found.tally, Reason.BACKOFF, 0.0)
        (again,) = bench.release()
        assert again.due is Due.DIAL and again.fence > found.fence and again.tally.perhaps_rung == 1

    def test_a_lost_job_gives_back_its_place_in_flight_once(self, bench: Bench) -> None:
        """Reclaiming frees the place; settling the reclaimed job does not free another."""
        owner = account(rate="100/s", burst=5, concurrency=1, ttl=3600)
        bench.go("a", owner)
        bench.clock.advance(LEASE_SECONDS + 0.1)
        (found,) = bench.ledger.reclaim(10)
        bench.go("b", owner)
        decisions.settle(bench.ledger, found, owner, found.tally, failed(found))
        assert bench.wait("c", owner).reason is Reason.CONCURRENCY

    def test_a_renewed_lease_lasts_longer(self, bench: Bench) -> None:
        """A worker that renewed in time is not lost."""
        lease = bench.go("a", account())
        bench.clock.advance(LEASE_SECONDS - 1)
        assert isinstance(bench.ledger.renew(lease, account(), Tally()), Lease)
        bench.clock.advance(LEASE_SECONDS - 1)
        assert bench.other.reclaim(10) == []

    def test_a_waiting_job_expires_when_its_time_has_come(self, bench: Bench) -> None:
        """A waiting job expires neither before its time nor only at its turn."""
        owner = account(rate="1/h", ttl=60)
        bench.go("a", owner)
        bench.wait("b", owner)
        bench.clock.advance(59)
        assert [lease.job.id for lease in bench.ledger.reclaim(10)] == ["a"]
        bench.clock.advance(1)
        (found,) = bench.ledger.reclaim(10)
        assert found.due is Due.EXPIRED and found.job.id == "b" and found.tally == Tally()
        assert bench.ledger.lease_due(0).wait_seconds == math.inf

    def test_a_decider_that_is_lost_is_replaced(self, bench: Bench) -> None:
        """A reclaimed job that nobody decided about is reclaimed again, and not counted twice."""
        bench.go("a", account())
        bench.clock.advance(LEASE_SECONDS + 0.1)
        bench.ledger.reclaim(10)
        bench.clock.advance(LEASE_SECONDS + 0.1)
        (found,) = bench.other.reclaim(10)
        assert found.tally == Tally(sent=1, perhaps_rung=1)

    def test_expired_jobs_come_in_portions(self, bench: Bench) -> None:
        """Reclaiming takes no more at once than asked, and in the end all."""
        owner = account(rate="1/h", ttl=5)
        for n in range(7):
            bench.wait(f"job-{n}", owner, may_dial=False)
        bench.clock.advance(6)
        assert [len(bench.ledger.reclaim(3)) for _ in range(4)] == [3, 3, 1, 0]
