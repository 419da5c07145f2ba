"""Cancels on their way through a worker: what is put on record, told and reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.doubles.samples import account, accounts, job
from tests.doubles.world import World
from worker.core.canceling import MOST_LOOKS, Canceling
from worker.core.cancels import Cancel, Stays, Waiting, Withdrawal
from worker.core.events import Event, Failure
from worker.core.judging import Submission
from worker.core.records import Application, Lease, Source
from worker.core.retry import Tally
from worker.core.trace_context import Origin
from worker.errors import StoreUnavailable


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch, account("acme", "10/s"))


def cancel(job_id: str, **fields: str) -> Submission:
    return Submission({"cancel": job_id, **fields}, Source.QUEUE, cancels=True)


def sent(job_id: str) -> Submission:
    return Submission(job(job_id).model_dump(mode="json", exclude_none=True), Source.QUEUE)


@pytest.mark.parametrize("order", [("job", "cancel"), ("cancel", "job")])
def test_a_job_and_its_cancel_that_come_together_end_without_a_call(
    world: World, order: tuple[str, str]
) -> None:
    """Whichever comes first in the batch, the phone is not rung."""
    batch = [sent("a") if what == "job" else cancel("a") for what in order]
    assert world.reception.accept(batch, places=9).leases == []
    assert world.outcome("a") == ("call.expired", "CANCELED", 0)
    assert world.watch.named("cancel_noted") == ["a"]
    assert world.watch.named("finished") == [("a", "expired", "CANCELED")]
    assert world.watch.named("accepted") == [("acme", "a", Source.QUEUE)]


def test_a_waiting_job_is_taken_back_and_told_once(world: World) -> None:
    """The second cancel is silent."""
    world.accept(job("a"), places=0)
    world.reception.accept([cancel("a"), cancel("a")], places=9)
    world.reception.accept([cancel("a", account="acme")], places=9)
    assert world.outcome("a") == ("call.expired", "CANCELED", 0)
    assert world.watch.named("finished") == [("a", "expired", "CANCELED")] and world.store.notices == []


def test_a_cancel_that_changes_nothing_is_answered(world: World) -> None:
    """The event says where the job stands, with the same id for the same answer."""
    lease = world.lease("a")
    world.reception.accept([cancel("a")], places=9)
    world.reception.accept([cancel("a"), cancel("a", account="globex")], places=9)
    first, again, other = [notice.body for notice in world.store.notices]
    assert '"account":"acme","status":"dialling","error":{"code":"NOT_CANCELED"' in first
    assert first[:44] == again[:44] != other[:44] and '"account":"globex","status":"not_found"' in other
    assert world.watch.named("not_canceled") == [("a", "dialling"), ("a", "dialling"), ("a", "not_found")]
    world.dial([lease])
    assert world.outcome("a")[0] == "call.placed"


def test_an_answer_after_another_lease_has_another_id(world: World) -> None:
    """Who cancels once more after the job has waited gets an answer of its own."""
    for _ in range(2):
        (lease,) = world.accept(job("a")) or world.ledger.lease_due(1).leases
        world.reception.accept([cancel("a")], places=0)
        world.clock.advance(31)
        world.decide_overdue(*world.ledger.reclaim(9))
    first, second = [notice.body[:44] for notice in world.store.notices]
    assert first != second and lease.fence > 1


def test_cancels_are_given_again_while_the_store_is_away(world: World) -> None:
    """Nothing is acknowledged, and nothing is told."""
    world.accept(job("a"), places=0)
    world.store.away = True
    with pytest.raises(StoreUnavailable):
        world.reception.accept([cancel("a")], places=9)
    world.store.away = False
    world.reception.accept([cancel("a")], places=9)
    assert world.outcome("a")[1] == "CANCELED"


class Spans:
    """Implements the port `Traces`: a context for each job, and the ends that were told."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, str, str]] = []

    def context(self, origin: Origin) -> str:
        return f"context of {origin.job_id}"

    def waited(self, lease: Lease, seconds: float) -> None:
        """Nothing was dialled."""

    def ended(
        self, origin: Origin, event: Event, failure: Failure | None, accepted_at_us: int, finished_at_us: int
    ) -> None:
        assert failure is not None and accepted_at_us <= finished_at_us
        self.ends.append((origin.job_id, event.type, failure.code))


def test_a_canceled_job_ends_its_trace(world: World) -> None:
    """Whether it waited or came after its cancel: its span ends, and its event belongs to its trace."""
    spans = Spans()
    reception = replace(world.reception, traced=True, traces=spans)
    given: list[str] = []
    cancel_at, admit_at = world.ledger.cancel, world.ledger.admit

    def canceled(wishes: list[Cancel | Withdrawal]) -> Any:
        given.extend(wish.trace for wish in wishes if isinstance(wish, Withdrawal))
        return cancel_at(wishes)

    def admitted(applications: list[Application]) -> Any:
        given.extend(one.trace for one in applications)
        return admit_at(applications)

    world.ledger.cancel, world.ledger.admit = canceled, admitted  # type: ignore[assignment,method-assign]
    reception.accept([sent("a")], places=0)
    reception.accept([cancel("a"), cancel("b"), sent("b")], places=0)
    assert given == ["context of a", "context of a", "context of b"]
    assert spans.ends == [("a", "call.expired", "CANCELED"), ("b", "call.expired", "CANCELED")]


def test_a_job_that_moves_at_each_look_is_being_dialled() -> None:
    """A worker does not look for ever: whatever leases and parks the job again and again is at work on it."""

    class Restless:
        looks = 0

        def installation(self) -> str:
            return "here"

        def cancel(self, wishes: list[Cancel | Withdrawal]) -> list[Any]:
            self.looks += 1
            return [Waiting(job("a"), self.looks, Tally(), 0, 0) for _ in wishes]

    ledger: Any = Restless()
    assert Canceling(ledger, accounts(account())).take_back([Cancel("a")]) == [
        Stays("acme", "dialling", MOST_LOOKS)
    ]
    assert ledger.looks == MOST_LOOKS
