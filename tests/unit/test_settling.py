"""Decisions about leased jobs: the right event, written until the store takes it, told once."""

from __future__ import annotations

import pytest

from tests.doubles.samples import REF, account, job
from tests.doubles.world import World
from worker.core.events import Failure, Status
from worker.core.records import Reason
from worker.core.retry import Tally

OWNER = account("acme", "10/s")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch, OWNER)


def test_an_event_tells_the_job_and_its_attempts(world: World) -> None:
    """Note, masked phone, country, requests sent, and the ref; never the PIN."""
    (lease,) = world.accept(job(ref="order 7"))
    world.settler.settle(lease, OWNER, Tally(sent=3, not_rung=2), Status.PLACED, REF)
    world.record()
    data = world.event()["data"]
    assert data["note"] == "order 7" and data["phone"] == "******5555" and data["country"] == "1"
    assert data["attempts"] == 3 and data["ref"] == REF
    assert "4321" not in str(world.event()).replace(data["accepted_at"], "")


def test_no_job_ends_before_it_was_accepted(world: World) -> None:
    """No negative duration reaches a metric, even if Redis' clock was set back while the job waited. (B6)"""
    world.accept(job("a"), places=0)
    world.clock.set_store(-90)
    (lease,) = world.ledger.lease_due(1).leases
    world.settler.settle(lease, OWNER, Tally(sent=1), Status.PLACED, REF)
    world.record()
    data = world.event("a")["data"]
    assert data["finished_at"] == data["accepted_at"]


def test_the_end_is_told_once_with_its_code(world: World) -> None:
    """The watch learns how the job ended; a second decision that comes too late is reported as a lost lease."""
    lease = world.lease()
    world.settler.settle(lease, OWNER, Tally(sent=1), Status.FAILED, Failure("INVALID_TELEPHONE", "no"))
    world.record()
    world.settler.settle(lease, OWNER, Tally(sent=1), Status.PLACED, REF)
    world.record()
    assert world.watch.named("finished") == [("job-1", "failed", "INVALID_TELEPHONE")]
    assert world.watch.named("lease_lost") == ["job-1"]


@pytest.mark.parametrize(
    ("tally", "end"),
    [
        (Tally(), ("call.expired", "EXPIRED", 0)),
        (Tally(sent=2, not_rung=2), ("call.expired", "EXPIRED", 2)),
        (Tally(sent=2, not_rung=1, perhaps_rung=1), ("call.unknown", "OUTCOME_UNKNOWN", 2)),
    ],
)
def test_only_a_job_that_certainly_did_not_ring_expires(
    world: World, tally: Tally, end: tuple[str, str, int]
) -> None:
    """After a request that may have rung the phone, the end is unknown."""
    world.settler.settle_expired(world.lease(), OWNER, tally)
    world.record()
    assert world.outcome() == end


def test_a_parked_job_that_was_lost_is_told(world: World) -> None:
    """Parking and holding with an old fence change nothing and raise nothing."""
    lease = world.lease()
    world.settler.settle(lease, OWNER, Tally(sent=1), Status.PLACED, REF)
    world.settler.park(lease, Tally(), Reason.BACKOFF, 1.0, "")
    world.settler.hold(lease, Tally(), "NO_POINTS")
    world.record()
    assert world.watch.named("lease_lost") == ["job-1", "job-1"] and len(world.events()) == 1
    assert world.store.limits["acme"].hold is None
