"""What every ledger promises when a job comes in."""

from __future__ import annotations

import math
from dataclasses import replace
from unittest.mock import ANY

import pytest

from tests.contract.ledger_bench import BROKEN, HOOKS, LEASE_SECONDS, Bench
from tests.doubles import decisions
from tests.doubles.samples import account, application, job, placed, rejection
from worker.core.records import (
    Due,
    Foreign,
    Lease,
    Parked,
    Reason,
    Seen,
)
from worker.core.retry import Tally


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
        """A job over the limit is parked with the moment of its turn, counted in places of the lane."""
        owner = account(rate="1/s")
        bench.go("job-1", owner)
        start_us = bench.clock.now_us
        assert bench.wait("job-2", owner) == Parked(Reason.RATE_LIMIT, start_us + 1_006_000)
        assert bench.wait("job-3", owner) == Parked(Reason.RATE_LIMIT, start_us + 2_012_000)

    def test_a_burst_goes_back_to_back(self, bench: Bench) -> None:
        """Exactly `burst` jobs go at once."""
        owner = account(rate="1/s", burst=3)
        for name in ("a", "b", "c"):
            bench.go(name, owner)
        assert bench.wait("d", owner).reason is Reason.RATE_LIMIT

    def test_a_job_without_a_free_thread_waits_and_is_due(self, bench: Bench) -> None:
        """A worker without a thread parks the job; it may be released at once."""
        assert bench.wait("job-1", account(), may_dial=False).reason is Reason.NO_PLACES
        assert bench.ledger.lease_due(0).wait_seconds == 0
        (lease,) = bench.release()
        assert lease.waited_for is Reason.NO_PLACES and lease.job == job("job-1")

    def test_a_job_that_had_no_place_may_wait_for_the_rate_after_all(self, bench: Bench) -> None:
        """What counts is why it could not go any earlier."""
        owner = account("acme", "1/s", concurrency=9)
        for name in ("a", "b"):
            assert bench.wait(name, owner, may_dial=False).reason in (Reason.NO_PLACES, Reason.RATE_LIMIT)
        (first,) = bench.release()
        bench.clock.advance(1.01)
        (second,) = bench.release()
        assert (first.waited_for, second.waited_for) == (Reason.NO_PLACES, Reason.RATE_LIMIT)

    def test_a_job_that_comes_while_nothing_is_dialled_waits_for_that(self, bench: Bench) -> None:
        """The worker says why it has no place; a full account or a rate that is used up counts before that."""
        waits = [
            bench.ledger.admit([replace(application(name, owner, may_dial=False), paused=True)])[0]
            for name, owner in (
                ("a", account()),
                ("b", account("globex", "1/h")),
                ("c", account("globex", "1/h")),
            )
        ]
        assert [wait.reason for wait in waits if isinstance(wait, Parked)] == [Reason.PAUSED] * 3
        (first, *_) = bench.release()
        assert first.waited_for is Reason.PAUSED
        late = replace(application("d", account("globex", "1/h"), may_dial=False), paused=True)
        assert bench.ledger.admit([late]) == [Parked(Reason.RATE_LIMIT, ANY)]

    def test_concurrency_bounds_jobs_in_flight(self, bench: Bench) -> None:
        """With `concurrency` jobs in flight the next waits until one has ended, over all workers."""
        owner = account(rate="100/s", burst=10, concurrency=2)
        first, _ = bench.go("a", owner), bench.go("b", owner)
        assert bench.wait("c", owner).reason is Reason.CONCURRENCY
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
        """After a change of the accounts file, the first job with the new limit makes it valid for all workers."""
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
