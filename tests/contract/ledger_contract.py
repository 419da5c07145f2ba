"""What every ledger promises: one suite for the one in memory and the one on Redis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.doubles import decisions
from tests.doubles.clocks import FakeClock
from tests.doubles.samples import account, application, expired, failed, job, placed, rejection
from worker.core.accounts import Account, Endpoint
from worker.core.events import Event
from worker.core.ports import Ledger
from worker.core.records import (
    Admission,
    Application,
    Due,
    Ending,
    Foreign,
    Known,
    Lease,
    Parked,
    Parking,
    Reason,
    Recorded,
    Seen,
    Source,
)
from worker.core.retry import Tally
from worker.errors import LeaseLost

LEASE_SECONDS = 30.0
BROKEN = '{"phone": "none"}'
"""What a job that is not valid says."""
SAME_SHARD = "account-34"
"""An account on the shard of "acme", where the order of service is defined."""
HOOKS = (
    Endpoint(url="https://hooks.example.com/all", secret_env=("A",)),
    Endpoint(url="https://hooks.example.com/failed", secret_env=("A",), events=("call.failed",)),
)


@dataclass
class Bench:
    """Two workers' ledgers on one store, its clock, and what the store holds for the way out."""

    ledger: Ledger
    other: Ledger
    clock: FakeClock
    events: Callable[[], list[str]]
    """Bodies in the outbox, account by account in order."""
    deliveries: Callable[[], list[tuple[str, str]]]
    """(job id, endpoint key) of every webhook that waits."""

    def admit(self, job_id: str, owner: Account, **fields: Any) -> Admission:
        return self.ledger.admit([application(job_id, owner, **fields)])[0]

    def reject(self, job_id: str, owner: Account, event: Event | None = None) -> Known | None:
        """Refuse a job that is not valid."""
        told = event or rejection(job_id, owner.name)
        return self.ledger.reject(job_id, owner.name, owner, told, BROKEN)

    def turn_away(self, job_id: str) -> Known | None:
        """Refuse a job of an account that does not exist."""
        return self.ledger.reject(job_id, "nosuch", None, rejection(job_id, "nosuch"), BROKEN)

    def go(self, job_id: str, owner: Account) -> Lease:
        """Admit a job that may go at once."""
        admission = self.admit(job_id, owner)
        assert isinstance(admission, Lease)
        return admission

    def come(self, job_id: str, **fields: Any) -> Admission:
        """Admit a job with fields of its own."""
        one = Application(job(job_id, **fields), account(), Source.CELERY, True)
        return self.ledger.admit([one])[0]

    def wait(self, job_id: str, owner: Account, **fields: Any) -> Parked:
        """Admit a job that must wait."""
        admission = self.admit(job_id, owner, **fields)
        assert isinstance(admission, Parked)
        return admission

    def release(self, most: int = 100, ledger: Ledger | None = None) -> list[Lease]:
        """The waiting jobs that are due."""
        asked = ledger or self.ledger
        return asked.lease_due(most).leases

    def released(self, most: int = 100) -> list[str]:
        return [lease.job.id for lease in self.release(most)]


class AdmissionContract:
    """Dedupe, go now or wait."""

    def test_a_job_that_may_go_is_leased(self, bench: Bench) -> None:
        """The first job of an idle account gets a slot that is open now, and a fresh tally."""
        lease = bench.go("job-1", account(ttl=60))
        assert lease.due is Due.DIAL and lease.tally == Tally() and not lease.probe
        assert lease.job == job("job-1")
        assert lease.accepted_at_us == bench.clock.now_us
        assert lease.expires_at_us == bench.clock.now_us + 60_000_000
        assert lease.slot.opens == bench.clock() < lease.slot.closes < lease.slot.lease_ends
        assert lease.slot.lease_ends == pytest.approx(bench.clock() + LEASE_SECONDS)
        assert lease.waited_for is None and lease.waited_seconds == 0.0

    def test_a_lease_tells_the_stores_time(self, bench: Bench) -> None:
        """The offset of a lease turns this process's clock into the store's."""
        lease = bench.go("job-1", account())
        bench.clock.advance(2.5)
        assert lease.now_us(bench.clock()) == bench.clock.now_us

    def test_a_repeated_id_changes_nothing(self, bench: Bench) -> None:
        """An id that was accepted before is answered with its state, at whichever worker it comes in."""
        bench.go("job-1", account())
        assert bench.admit("job-1", account()) == Seen("dialling")
        assert bench.other.admit([application("job-1", account())]) == [Seen("dialling")]

    def test_a_repeated_id_within_a_batch_is_one_job(self, bench: Bench) -> None:
        """Two applications of one id that come together are one call."""
        first, second = bench.ledger.admit([application("job-1", account()), application("job-1", account())])
        assert isinstance(first, Lease) and second == Seen("dialling")

    def test_a_repeated_id_under_another_account_is_one_call(self, bench: Bench) -> None:
        """The account that used an id first keeps it."""
        bench.go("job-1", account("acme"))
        assert bench.admit("job-1", account("globex")) == Foreign()
        assert bench.ledger.lease_due(0).wait_seconds == math.inf

    def test_an_ended_job_is_still_known(self, bench: Bench) -> None:
        """An id whose job has ended is answered with the outcome."""
        lease = bench.go("job-1", account())
        decisions.settle(bench.ledger, lease, account(), Tally(sent=1), placed(lease))
        assert bench.admit("job-1", account()) == Seen("placed")

    def test_a_batch_is_answered_in_order(self, bench: Bench) -> None:
        """Each application gets its own answer, at its own place."""
        one, two = account("acme", "1/s"), account("globex", "1/s")
        batch = [application(*given) for given in (("a", one), ("b", two), ("c", one), ("a", two))]
        admissions = bench.ledger.admit(batch)
        assert [type(admission) for admission in admissions] == [Lease, Lease, Parked, Foreign]
        assert bench.ledger.admit([]) == []

    def test_a_job_over_the_rate_waits_for_its_slot(self, bench: Bench) -> None:
        """What is over the limit is parked with the moment of its turn, counted in places of the lane."""
        owner = account(rate="1/s")
        bench.go("job-1", owner)
        start_us = bench.clock.now_us
        assert bench.wait("job-2", owner) == Parked(Reason.RATE_LIMIT, start_us + 1_006_000)
        assert bench.wait("job-3", owner) == Parked(Reason.RATE_LIMIT, start_us + 2_012_000)

    def test_a_burst_goes_back_to_back(self, bench: Bench) -> None:
        """As many as `burst` go at once, and no more."""
        owner = account(rate="1/s", burst=3)
        for name in ("a", "b", "c"):
            bench.go(name, owner)
        assert bench.wait("d", owner).reason is Reason.RATE_LIMIT

    def test_a_job_without_a_free_thread_waits_and_is_due(self, bench: Bench) -> None:
        """A worker without a thread parks the job; it may be released at once."""
        assert bench.wait("job-1", account(), may_dial=False).reason is Reason.CAPACITY
        assert bench.ledger.lease_due(0).wait_seconds == 0
        (lease,) = bench.release()
        assert lease.waited_for is Reason.CAPACITY and lease.job == job("job-1")

    def test_concurrency_bounds_jobs_in_flight(self, bench: Bench) -> None:
        """With `concurrency` jobs in flight the next waits until one has ended, over all workers."""
        owner = account(rate="100/s", burst=10, concurrency=2)
        first, _ = bench.go("a", owner), bench.go("b", owner)
        assert bench.wait("c", owner).reason is Reason.CAPACITY
        assert bench.released() == []
        decisions.settle(bench.other, first, owner, Tally(sent=1), placed(first))
        assert bench.released() == ["c"]

    def test_a_newcomer_overtakes_no_ready_job(self, bench: Bench) -> None:
        """While a ready job waits, a new one of its account joins the lane behind it."""
        owner = account(rate="1/s")
        bench.go("a", owner)
        bench.wait("b", owner)
        bench.clock.advance(5)
        bench.wait("c", owner)
        assert bench.released() == ["b"]

    def test_a_newcomer_passes_a_job_that_is_not_ready(self, bench: Bench) -> None:
        """A job in backoff does not hold up those that came after it."""
        owner = account(rate="1/s")
        decisions.park(bench.ledger, bench.go("a", owner), Tally(), Reason.BACKOFF, 60)
        bench.clock.advance(2)
        bench.go("b", owner)

    def test_an_account_does_not_feel_another(self, bench: Bench) -> None:
        """Rate, concurrency and hold of one account leave the next account's job alone."""
        busy = account("acme", "1/h", concurrency=1)
        decisions.hold(bench.ledger, bench.go("a", busy), Tally(), "NO_POINTS")
        for n in range(50):
            bench.wait(f"b{n}", busy)
        bench.go("c", account("globex"))

    def test_a_new_pace_counts_from_the_next_job_on(self, bench: Bench) -> None:
        """When the accounts file changed, the first job that brings the new limit makes it everyone's."""
        bench.go("a", account(rate="100/s", concurrency=1))
        bench.wait("b", account(rate="100/s", concurrency=1))
        bench.clock.advance(1)
        assert bench.released() == []
        bench.wait("c", account(rate="100/s", concurrency=2))
        assert bench.released() == ["b"]

    def test_a_declared_pace_reaches_the_backlog(self, bench: Bench) -> None:
        """A worker that starts with a changed accounts file does not need a new job for it to count."""
        bench.go("a", account(rate="1/h"))
        bench.wait("b", account(rate="1/h"))
        bench.wait("c", account(rate="1/h"))
        bench.clock.advance(2)
        assert bench.released() == []
        bench.other.declare([account(rate="100/s", burst=50)])
        bench.clock.advance(2)
        assert bench.released() == ["b", "c"]

    def test_a_job_that_came_too_late_is_never_dialled(self, bench: Bench) -> None:
        """A job whose `expires_at` had passed when it came ends as expired."""
        bench.wait("a", account(), expires_at_us=bench.clock.now_us - 1_000_000)
        assert bench.released() == []
        assert [lease.due for lease in bench.ledger.reclaim(10)] == [Due.EXPIRED]


class ReleaseContract:
    """When waiting jobs go."""

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
        """Without waiting jobs there is no moment to wake at."""
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
        """Where threads are short, an account with one job has its turn after one job of a flooded one."""
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
        """What people read, and what jobs expire by, is Redis' own time, which was set and stood still for nobody."""
        owner = account(rate="1/s", ttl=60)
        bench.clock.pass_unasked(30)
        bench.clock.set_store(-90)
        lease = bench.go("a", owner)
        assert lease.accepted_at_us == bench.clock.now_us == lease.now_us(bench.clock())
        assert lease.expires_at_us == bench.clock.now_us + 60_000_000
        assert bench.wait("b", owner).until_us == bench.clock.now_us + 1_006_000
        bench.clock.pass_unasked(60)
        assert [found.due for found in bench.ledger.reclaim(10)] == [Due.EXPIRED]


class InHandContract:
    """What a worker may do with a job it has leased."""

    def test_a_renewed_job_gets_a_fresh_slot(self, bench: Bench) -> None:
        """Once the next slot has come, a job in hand may have it, with its tally on record."""
        owner = account(rate="1/s")
        lease = bench.go("a", owner)
        bench.clock.advance(1.005)
        renewed = bench.ledger.renew(lease, owner, Tally(sent=1, not_rung=1))
        assert isinstance(renewed, Lease)
        assert renewed.job == lease.job and renewed.tally == Tally(sent=1, not_rung=1)
        assert renewed.slot.opens == pytest.approx(bench.clock(), abs=0.03)
        assert renewed.slot.lease_ends == pytest.approx(bench.clock() + LEASE_SECONDS)
        bench.wait("b", owner)

    def test_a_job_that_gets_no_slot_keeps_its_place(self, bench: Bench) -> None:
        """A job in hand for which no slot comes at once goes back to where its age puts it: before the newer ones."""
        owner = account(rate="1/s")
        lease = bench.go("a", owner)
        bench.clock.advance(0.1)
        bench.wait("b", owner)
        bench.clock.advance(0.1)
        parked = bench.ledger.renew(lease, owner, Tally())
        assert parked == Parked(Reason.RATE_LIMIT, bench.clock.now_us - 200_000 + 1_006_000)
        bench.clock.advance(1.005)
        assert bench.released() == ["a"]

    def test_a_parked_job_is_not_leased_before_its_time(self, bench: Bench) -> None:
        """A job in backoff is due when its wait is over; the lease then carries what was spent on it."""
        lease = bench.go("a", account())
        decisions.park(
            bench.ledger, lease, Tally(sent=2, not_rung=1, perhaps_rung=1), Reason.BACKOFF, 3.0, "503"
        )
        assert bench.ledger.lease_due(0).wait_seconds == pytest.approx(3.0, abs=0.025)
        bench.clock.advance(2.97)
        assert bench.released() == []
        bench.clock.advance(0.03)
        (again,) = bench.release()
        assert again.tally == Tally(sent=2, not_rung=1, perhaps_rung=1)
        assert again.waited_for is Reason.BACKOFF and again.fence > lease.fence

    def test_a_job_due_soon_is_leased_with_a_slot_that_opens_then(self, bench: Bench) -> None:
        """A lease may be given a little ahead, but its slot opens no sooner than the job's wait ends."""
        decisions.park(bench.ledger, bench.go("a", account()), Tally(), Reason.BACKOFF, 3.0)
        bench.clock.advance(2.99)
        (lease,) = bench.release()
        assert lease.slot.opens == pytest.approx(3.0)

    def test_a_parked_job_gives_back_its_place_in_flight(self, bench: Bench) -> None:
        """A job in its lane counts as in flight no more."""
        owner = account(concurrency=1)
        decisions.park(bench.ledger, bench.go("a", owner), Tally(), Reason.BACKOFF, 60)
        bench.clock.advance(1)
        bench.go("b", owner)

    def test_an_outcome_is_recorded_once(self, bench: Bench) -> None:
        """Settling writes event and deliveries; a second word on the job is refused and changes nothing."""
        owner = account(webhooks=HOOKS)
        lease = bench.go("a", owner)
        event = placed(lease)
        decisions.settle(bench.ledger, lease, owner, Tally(sent=1), event)
        for late in (bench.ledger, bench.other):
            with pytest.raises(LeaseLost):
                decisions.settle(late, lease, owner, Tally(sent=1), failed(lease))
        assert bench.events() == [event.body]
        assert bench.deliveries() == [("a", HOOKS[0].key)]

    def test_an_outcome_whose_reply_was_lost_is_recorded(self, bench: Bench) -> None:
        """The same decision given again is no lost lease, and nothing is written twice."""
        owner = account(webhooks=HOOKS)
        lease = bench.go("a", owner)
        ending = Ending(lease, owner, Tally(sent=1), placed(lease))
        assert bench.ledger.record([ending, ending]) == [Recorded.DONE, Recorded.DONE]
        assert len(bench.events()) == len(bench.deliveries()) == 1

    def test_several_decisions_are_each_their_own(self, bench: Bench) -> None:
        """One whose lease is lost changes nothing, and the others are recorded."""
        owner = account(burst=9)
        ends, lost, waits = (bench.go(name, owner) for name in "abc")
        decisions.settle(bench.ledger, lost, owner, Tally(sent=1), failed(lost))
        assert bench.ledger.record([
            Ending(ends, owner, Tally(sent=1), placed(ends)),
            Ending(lost, owner, Tally(sent=1), placed(lost)),
            Parking(waits, Tally(), Reason.BACKOFF, 5.0),
        ]) == [Recorded.DONE, Recorded.LOST, Recorded.DONE]  # fmt: skip

    def test_a_place_that_another_may_have_is_told(self, bench: Bench) -> None:
        """Only where the account had none left."""
        owner = account(concurrency=2, burst=9)
        first, second = bench.go("a", owner), bench.go("b", owner)
        bench.wait("c", owner)
        assert decisions.settle(bench.ledger, first, owner, Tally(sent=1), placed(first)) is Recorded.ROOM
        assert decisions.park(bench.ledger, second, Tally(), Reason.BACKOFF, 5.0) is Recorded.DONE
        assert bench.released() == ["c"]

    def test_each_endpoint_gets_what_it_wants(self, bench: Bench) -> None:
        """A delivery is recorded for every endpoint whose patterns match the event."""
        owner = account(webhooks=HOOKS)
        lease = bench.go("a", owner)
        decisions.settle(bench.ledger, lease, owner, Tally(sent=1), failed(lease))
        assert sorted(bench.deliveries()) == sorted(("a", hook.key) for hook in HOOKS)

    def test_an_account_that_this_worker_does_not_know_has_no_endpoints(self, bench: Bench) -> None:
        """A job can be settled without its account: the event goes to the results queue alone."""
        lease = bench.go("a", account(webhooks=HOOKS))
        decisions.settle(bench.ledger, lease, None, Tally(), expired(lease))
        assert len(bench.events()) == 1 and bench.deliveries() == []

    @pytest.mark.parametrize("word", ["settle", "park", "hold", "renew"])
    def test_an_ended_job_takes_no_further_word(self, bench: Bench, word: str) -> None:
        """Whatever a worker wants with a job that has ended, it has lost it."""
        lease = bench.go("a", account())
        decisions.settle(bench.ledger, lease, account(), Tally(sent=1), placed(lease))
        with pytest.raises(LeaseLost):
            speak(bench.ledger, word, lease)
        assert bench.admit("a", account()) == Seen("placed") and len(bench.events()) == 1


class HoldContract:
    """Accounts that the provider refused."""

    def test_a_held_account_waits_with_all_its_jobs(self, bench: Bench) -> None:
        """The job goes back into its lane, new ones join it, and nothing is leased until the first probe."""
        owner = account(rate="100/s")
        decisions.hold(bench.ledger, bench.go("a", owner), Tally(sent=1), "NO_POINTS")
        assert bench.wait("b", owner) == Parked(Reason.HELD, bench.clock.now_us + 5_000_000)
        bench.clock.advance(4.9)
        assert bench.released() == []
        assert bench.ledger.lease_due(0).wait_seconds == pytest.approx(0.1, abs=0.025)

    def test_one_probe_at_a_time(self, bench: Bench) -> None:
        """When the pause is over one job tries the account, and no second one while it does."""
        bench.clock.advance(1)
        probe = held_until_probe(bench, waiting=3)
        assert probe.probe and probe.waited_for is Reason.HELD
        assert bench.released() == []
        bench.wait("new", account())

    def test_a_probe_that_got_through_ends_the_hold(self, bench: Bench) -> None:
        """A ref for the probe, or a refusal of its job alone, frees the others."""
        probe = held_until_probe(bench, waiting=1)
        decisions.settle(bench.ledger, probe, account(), Tally(sent=1), failed(probe))
        bench.clock.advance(1)
        (lease,) = bench.release()
        assert not lease.probe

    def test_a_probe_that_never_got_through_ends_no_hold(self, bench: Bench) -> None:
        """A probe that expired says nothing of the account: the next job is the next probe."""
        probe = held_until_probe(bench, waiting=1)
        decisions.settle(bench.ledger, probe, account(), Tally(), expired(probe))
        bench.clock.advance(1)
        (lease,) = bench.release()
        assert lease.probe

    def test_pauses_between_probes_double(self, bench: Bench) -> None:
        """Each probe that is refused doubles the pause, up to a minute."""
        owner = account(ttl=3600)
        lease, pauses = bench.go("a", owner), []
        for _ in range(7):
            decisions.hold(bench.ledger, lease, Tally(), "NO_POINTS")
            pauses.append(round(bench.ledger.lease_due(0).wait_seconds))
            bench.clock.advance(bench.ledger.lease_due(0).wait_seconds + 0.03)
            (lease,) = bench.release()
        assert pauses == [5, 10, 20, 40, 60, 60, 60]

    def test_calls_in_flight_do_not_lengthen_the_pause(self, bench: Bench) -> None:
        """Many calls that are refused together are one finding, not many failed probes."""
        owner = account(rate="100/s", burst=20)
        for lease in [bench.go(f"job-{n}", owner) for n in range(10)]:
            bench.clock.advance(0.01)
            decisions.hold(bench.ledger, lease, Tally(sent=1), "NO_POINTS")
        assert bench.ledger.lease_due(0).wait_seconds == pytest.approx(4.9, abs=0.05)

    def test_a_probe_waits_for_the_calls_in_flight(self, bench: Bench) -> None:
        """While an older call of the account is under way nobody probes."""
        owner = account(rate="100/s", burst=5)
        first, second = bench.go("a", owner), bench.go("b", owner)
        decisions.hold(bench.ledger, first, Tally(sent=1), "NO_POINTS")
        bench.clock.advance(6)
        assert bench.released() == []
        decisions.settle(bench.ledger, second, owner, Tally(sent=1), placed(second))
        (lease,) = bench.release()
        assert lease.probe

    def test_a_probe_that_missed_its_slot_may_have_another(self, bench: Bench) -> None:
        """Renewed, a probe is still the probe."""
        probe = held_until_probe(bench)
        bench.clock.advance(1)
        renewed = bench.ledger.renew(probe, account(), Tally())
        assert isinstance(renewed, Lease) and renewed.probe

    def test_a_job_in_hand_is_not_renewed_under_a_hold(self, bench: Bench) -> None:
        """A job whose account was held meanwhile goes back to the lane."""
        owner = account(rate="100/s", burst=5)
        first, second = bench.go("a", owner), bench.go("b", owner)
        decisions.hold(bench.ledger, first, Tally(sent=1), "NO_POINTS")
        parked = bench.ledger.renew(second, owner, Tally())
        assert parked == Parked(Reason.HELD, bench.clock.now_us + 5_000_000)


class ReclaimContract:
    """Jobs that nobody else will end."""

    def test_a_job_whose_lease_runs_is_left_alone(self, bench: Bench) -> None:
        """Until its lease ends, a job belongs to its worker."""
        bench.go("a", account())
        bench.clock.advance(LEASE_SECONDS - 0.1)
        assert bench.other.reclaim(10) == []

    def test_a_lost_intent_counts_as_perhaps_rung(self, bench: Bench) -> None:
        """Of a worker that fell silent after its intent nobody knows whether it dialled."""
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
        """Nor does one last longer for it. (A1, B6)"""
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
            bench.ledger.keep([lease])
        assert bench.other.reclaim(10) == []
        bench.clock.advance(LEASE_SECONDS + 0.1)
        assert [found.due for found in bench.other.reclaim(10)] == [Due.LOST]

    def test_a_job_that_is_not_its_holders_is_not_kept(self, bench: Bench) -> None:
        """Once it waits, has ended or is in other hands, an old lease keeps nothing."""
        owner = account(burst=9)
        leases = waits, ends, judged = [bench.go(name, owner) for name in "abc"]
        decisions.park(bench.ledger, waits, Tally(), Reason.BACKOFF, 60.0)
        decisions.settle(bench.ledger, ends, owner, Tally(sent=1), placed(ends))
        bench.clock.advance(LEASE_SECONDS + 0.1)
        (found,) = bench.other.reclaim(10)
        bench.ledger.keep(leases)
        bench.ledger.keep([])
        assert found.job == judged.job
        bench.clock.advance(LEASE_SECONDS - 0.1)
        assert [found.job.id for found in bench.other.reclaim(10)] == ["c"]

    @pytest.mark.parametrize("word", ["settle", "park", "hold", "renew"])
    def test_a_worker_that_is_back_wins_over_its_judge(self, bench: Bench, word: str) -> None:
        """What the holder of a lease knows counts, though it was judged lost, and then the judge has no say. (A1)

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
        """The phone rang: until the job has ended, its first ref ends it, whoever has it in hand by now. (A1)"""
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
        """Parked, it is leased anew and keeps its tally."""
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
        assert bench.wait("c", owner).reason is Reason.CAPACITY

    def test_a_renewed_lease_lasts_longer(self, bench: Bench) -> None:
        """A worker that renewed in time is not lost."""
        lease = bench.go("a", account())
        bench.clock.advance(LEASE_SECONDS - 1)
        assert isinstance(bench.ledger.renew(lease, account(), Tally()), Lease)
        bench.clock.advance(LEASE_SECONDS - 1)
        assert bench.other.reclaim(10) == []

    def test_a_waiting_job_expires_when_its_time_has_come(self, bench: Bench) -> None:
        """Neither earlier nor when its turn would have come."""
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


class RejectContract:
    """Jobs that are not allowed."""

    def test_a_rejected_job_has_ended(self, bench: Bench) -> None:
        """Its event is recorded once, and its id is used up."""
        event = rejection("a", "acme")
        assert bench.reject("a", account(webhooks=HOOKS), event) is None
        assert bench.other.reject("a", "acme", account(), rejection("a", "acme"), BROKEN) == Seen("rejected")
        assert bench.admit("a", account()) == Seen("rejected", ("fields",))
        assert bench.events() == [event.body] and bench.deliveries() == [("a", HOOKS[0].key)]

    def test_a_known_id_is_not_rejected(self, bench: Bench) -> None:
        """A broken repeat of an accepted job does not end that job."""
        lease = bench.go("a", account())
        assert bench.reject("a", account()) == Seen("dialling", ("fields",))
        assert bench.reject("a", account("globex")) == Foreign()
        decisions.settle(bench.ledger, lease, account(), Tally(sent=1), placed(lease))
        assert len(bench.events()) == 1


class LedgerContract(
    AdmissionContract,
    ReleaseContract,
    InHandContract,
    HoldContract,
    ReclaimContract,
    RejectContract,
):
    """All promises of `ports.Ledger`. A subclass gives the fixture `bench`."""


def held_until_probe(bench: Bench, waiting: int = 0) -> Lease:
    """An account held for the first pause, with further jobs in its lane; the probe that follows."""
    owner = account()
    lease = bench.go("held", owner)
    decisions.hold(bench.ledger, lease, Tally(sent=1), "NO_POINTS")
    for n in range(waiting):
        bench.wait(f"waiting-{n}", owner)
    bench.clock.advance(5)
    (probe,) = bench.release()
    return probe


def speak(ledger: Ledger, word: str, lease: Lease) -> None:
    """Say one of the words that only the owner of a job may say."""
    owner, tally = account(), Tally(sent=1)
    match word:
        case "settle":
            decisions.settle(ledger, lease, owner, tally, failed(lease))
        case "park":
            decisions.park(ledger, lease, tally, Reason.BACKOFF, 1.0)
        case "hold":
            decisions.hold(ledger, lease, tally, "NO_POINTS")
        case _:
            ledger.renew(lease, owner, tally)
