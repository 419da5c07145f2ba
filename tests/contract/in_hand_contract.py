"""What every ledger promises of jobs that a worker has in hand, and of accounts on hold."""

from __future__ import annotations

import pytest

from tests.contract.ledger_bench import HOOKS, LEASE_SECONDS, Bench, held_until_probe, speak
from tests.doubles import decisions
from tests.doubles.samples import account, expired, failed, placed
from worker.core.records import (
    Ending,
    Lease,
    Parked,
    Parking,
    Reason,
    Recorded,
    Seen,
)
from worker.core.retry import Tally
from worker.errors import LeaseLost


class InHandContract:
    """What a worker may do with a job it has leased."""

    def test_a_renewed_job_gets_a_fresh_slot(self, bench: Bench) -> None:
        """A job in hand may take the next slot once it has come, with its tally on record."""
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
        """A freed place is told only where the account had none left."""
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
        """After the pause one job tries the account, and no second one until it has ended."""
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
        """No job probes the account while an older call of it is under way."""
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
