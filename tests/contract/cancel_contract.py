"""What every ledger promises about cancels."""

from __future__ import annotations

import json

import pytest

from tests.contract.ledger_bench import BROKEN, HOOKS, Bench, held_until_probe
from tests.doubles import decisions
from tests.doubles.samples import account, accounts, application, failed, job, placed, rejection
from worker.core.accounts import Account
from worker.core.canceling import Canceling
from worker.core.cancels import (
    NOT_FOUND,
    Answer,
    Cancel,
    Canceled,
    Noted,
    Stays,
    Waiting,
    Withdrawal,
    Withdrawn,
)
from worker.core.records import Ending, Foreign, Later, Lease, Reason, Recorded, Seen
from worker.core.retry import Tally


def take_back(
    bench: Bench, job_id: str, owner: Account | None = None, named: str | None = None
) -> Answer | Later:
    """Cancel one job, at the other worker."""
    known = accounts(owner or account())
    (answer,) = Canceling(bench.other, known).take_back([Cancel(job_id, named)])
    return answer


def told(bench: Bench) -> list[tuple[str, str, str, int]]:
    """Type, job, error code and attempts of each event that was published."""
    events = [json.loads(body) for body in bench.events()]
    return [
        (one["type"], one["data"]["id"], one["data"]["error"]["code"], one["data"]["attempts"])
        for one in events
    ]


class CancelContract:
    """A cancel takes back what waits, and nothing else."""

    def test_a_waiting_job_ends_as_canceled(self, bench: Bench) -> None:
        """Its event goes to the queue and to webhooks, once, and it is not leased any more."""
        owner = account(webhooks=HOOKS)
        bench.wait("a", owner, may_dial=False)
        assert isinstance(take_back(bench, "a", owner), Withdrawn)
        assert take_back(bench, "a", owner) == Canceled()
        assert told(bench) == [("call.expired", "a", "CANCELED", 0)]
        assert bench.deliveries() == [("a", HOOKS[0].key)]
        bench.clock.advance(700)
        assert bench.released() == [] and bench.ledger.reclaim(9) == []

    def test_a_job_in_hand_stays(self, bench: Bench) -> None:
        """A job that is leased is being dialled, whether or not its request has left, and its outcome counts."""
        lease = bench.go("a", account())
        assert take_back(bench, "a") == Stays("acme", "dialling", 1)
        decisions.settle(bench.ledger, lease, None, Tally(sent=1), placed(lease))
        assert take_back(bench, "a") == Stays("acme", "placed")

    def test_a_job_that_expires_stays(self, bench: Bench) -> None:
        """Once the sweeper has it, it ends as expired."""
        bench.wait("a", account(), may_dial=False, expires_at_us=bench.clock.now_us + 1_000_000)
        bench.clock.advance(1)
        (lease,) = bench.ledger.reclaim(1)
        assert take_back(bench, "a") == Stays("acme", "dialling", lease.fence)

    def test_a_rejected_job_stays(self, bench: Bench) -> None:
        """It has ended already."""
        bench.reject("a", account())
        assert take_back(bench, "a") == Stays("acme", "rejected")

    @pytest.mark.parametrize(
        ("tally", "end"),
        [(Tally(sent=1, not_rung=1), ("call.expired", "a", "CANCELED", 1)),
         (Tally(sent=2, not_rung=1, perhaps_rung=1), ("call.unknown", "a", "OUTCOME_UNKNOWN", 2))],
    )  # fmt: skip
    def test_a_job_between_two_attempts_ends_by_its_tally(
        self, bench: Bench, tally: Tally, end: tuple[str, str, str, int]
    ) -> None:
        """The event never claims that a phone did not ring that may have rung."""
        lease = bench.go("a", account())
        decisions.park(bench.ledger, lease, tally, Reason.BACKOFF, 60.0)
        assert isinstance(take_back(bench, "a"), Withdrawn)
        assert told(bench) == [end] and take_back(bench, "a") == Canceled()

    def test_a_job_of_a_held_account_ends(self, bench: Bench) -> None:
        """The others wait for the probe as before."""
        probe = held_until_probe(bench, waiting=2)
        assert isinstance(take_back(bench, "waiting-0"), Withdrawn)
        decisions.settle(bench.ledger, probe, None, Tally(sent=2), failed(probe))
        bench.clock.advance(0.2)
        assert bench.released() == ["waiting-1"]

    def test_a_job_that_was_judged_lost_ends(self, bench: Bench) -> None:
        """It waits for its redial; the worker that lost it can no longer decide, not even with a ref."""
        lost = bench.go("a", account())
        bench.clock.advance(31)
        (found,) = bench.other.reclaim(1)
        decisions.park(bench.other, found, found.tally, Reason.BACKOFF, 60.0)
        assert isinstance(take_back(bench, "a"), Withdrawn)
        assert told(bench) == [("call.unknown", "a", "OUTCOME_UNKNOWN", 1)]
        ending = Ending(lost, None, Tally(sent=1), placed(lost))
        assert bench.ledger.record([ending]) == [Recorded.LOST]

    def test_the_next_job_takes_the_place_in_the_lane(self, bench: Bench) -> None:
        """Who waits behind a canceled job goes when it would have gone."""
        owner = account(rate="1/s")
        bench.go("first", owner)
        for name in ("a", "b"):
            bench.wait(name, owner)
        take_back(bench, "a", owner)
        bench.clock.advance(1.005)
        assert bench.released() == ["b"]

    def test_a_job_that_moves_on_is_not_ended_by_what_was_seen_before(self, bench: Bench) -> None:
        """An event tells the attempts as they are when the job ends."""
        bench.wait("a", account(), may_dial=False)
        (found,) = bench.other.cancel([Cancel("a")])
        assert isinstance(found, Waiting) and found.tally == Tally()
        (lease,) = bench.release()
        withdrawal = Withdrawal(
            found, None, Withdrawn.after(found.tally, found.job, 0, 0, fence=0, installation="")
        )
        assert bench.other.cancel([withdrawal]) == [Stays("acme", "dialling", 1)]
        decisions.park(bench.ledger, lease, Tally(1, 0, 1), Reason.BACKOFF, 60.0)
        (again,) = bench.other.cancel([withdrawal])
        assert isinstance(again, Waiting) and (again.fence, again.tally) == (1, Tally(1, 0, 1))
        assert bench.events() == []

    def test_an_account_that_does_not_match_is_not_found(self, bench: Bench) -> None:
        """A cancel that names an account takes back only a job of that account."""
        bench.wait("a", account(), may_dial=False)
        assert take_back(bench, "a", named="globex") == Stays("globex", NOT_FOUND)
        assert isinstance(take_back(bench, "a", named="acme"), Withdrawn)

    def test_a_cancel_that_comes_first_is_remembered(self, bench: Bench) -> None:
        """The job ends as it comes, with its webhooks, once; the cancel may come again at any time."""
        owner = account(webhooks=HOOKS)
        assert take_back(bench, "a", owner) == take_back(bench, "a", owner) == Noted()
        assert isinstance(bench.admit("a", owner), Withdrawn)
        assert bench.admit("a", owner) == Seen("expired") and take_back(bench, "a", owner) == Canceled()
        assert told(bench) == [("call.expired", "a", "CANCELED", 0)]
        assert bench.deliveries() == [("a", HOOKS[0].key)]
        assert bench.admit("a", account("globex")) == Foreign()

    def test_jobs_that_come_together_are_told_apart(self, bench: Bench) -> None:
        """In one batch a canceled job ends and the others go, each with its own answer."""
        take_back(bench, "b")
        batch = [application(name, account(burst=9)) for name in ("a", "b", "b", "c")]
        first, second, again, third = bench.ledger.admit(batch)
        assert isinstance(first, Lease) and isinstance(third, Lease)
        assert isinstance(second, Withdrawn) and again == Seen("expired")

    @pytest.mark.parametrize("names", [("globex",), ("globex", "initech")])
    def test_an_early_cancel_of_another_account_is_no_obstacle(
        self, bench: Bench, names: tuple[str, ...]
    ) -> None:
        """It counts for jobs of the accounts that were named; where several were, for all."""
        for name in names:
            assert take_back(bench, "a", named=name) == Noted()
        assert isinstance(bench.admit("a", account()), Lease if len(names) == 1 else Withdrawn)

    def test_an_invalid_job_that_was_canceled_is_rejected(self, bench: Bench) -> None:
        """Its producer learns what is wrong with it; the phone does not ring either way."""
        take_back(bench, "a")
        assert bench.reject("a", account()) is None
        assert [kind for kind, *_ in told(bench)] == ["call.rejected"]
        assert take_back(bench, "a") == Stays("acme", "rejected")

    def test_a_cancel_does_not_hold_up_a_rejection_of_a_stranger(self, bench: Bench) -> None:
        """An account that does not exist leaves the id and the cancel as they are."""
        take_back(bench, "a")
        assert bench.turn_away("a") is None
        assert bench.ledger.reject("a", "nosuch", None, rejection("a", "nosuch"), BROKEN) == Seen("rejected")
        assert isinstance(bench.admit("a", account()), Withdrawn)

    def test_a_conflict_with_a_canceled_job_is_noticed(self, bench: Bench) -> None:
        """One id is one call, also if the call was taken back."""
        bench.wait("a", account(), may_dial=False)
        take_back(bench, "a")
        other = job("a", phone="2125550199")
        (admission,) = bench.ledger.admit([application("a", account())])
        assert admission == Seen("expired")
        assert bench.come("a", phone=other.phone) == Seen("expired", ("fields",))
