"""The recorder: decisions go together, each is kept until it is on record, and one that breaks takes none along."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from tests.doubles.memory_ledger import MemoryLedger
from tests.doubles.samples import account
from tests.doubles.watchers import NotedFaults
from tests.doubles.world import World
from worker.core.records import Decision, Lease, Parking, Reason, Recorded
from worker.core.retry import Tally
from worker.engine.parts import Grace
from worker.engine.recorder import Recorder
from worker.errors import StoreUnavailable


class Bench:
    """A recorder on a ledger in memory whose round trips are counted, and what it told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(monkeypatch, account("acme", "100/s", burst=9, concurrency=2))
        self.faults, self.told = NotedFaults(), list[str]()
        self.batches: list[int] = []
        self.breaks_at = ""
        whole = MemoryLedger.record

        def record(ledger: MemoryLedger, decisions: Sequence[Decision]) -> list[Recorded]:
            self.batches.append(len(decisions))
            if self.breaks_at in [decision.lease.job.id for decision in decisions]:
                raise ZeroDivisionError
            return whole(ledger, decisions)

        monkeypatch.setattr(MemoryLedger, "record", record)
        self.recorder = Recorder(
            self.world.ledger,
            self.world.watch,
            self.faults,
            ended=lambda: self.told.append("ended"),
            room=lambda: self.told.append("room"),
            idle_seconds=0.001,
            blocked_seconds=0.0,
        )

    def lease(self, name: str) -> Lease:
        return self.world.lease(name)

    def park(self, lease: Lease) -> None:
        decision = Parking(lease, Tally(), Reason.BACKOFF, 60.0)
        self.recorder.put(decision, lambda: self.told.append(lease.job.id))

    def state(self, name: str) -> str:
        return self.world.store.records[name].state


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_what_came_together_goes_in_one_round_trip(bench: Bench) -> None:
    """Each decision is reported once it is on record, and so is that another job of the full account may go."""
    for lease in [bench.lease("a"), bench.lease("b")]:
        bench.park(lease)
    assert bench.recorder.unrecorded == 2
    bench.recorder.turn()
    assert bench.batches == [2] and bench.told == ["a", "b", "room"]
    assert bench.recorder.unrecorded == 0 and bench.state("a") == bench.state("b") == "waiting"


def test_while_the_store_is_away_decisions_are_kept(bench: Bench) -> None:
    """Nothing is reported before it is recorded; later decisions are recorded along with it."""
    bench.park(bench.lease("a"))
    late = bench.lease("b")
    bench.world.store.away = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            bench.recorder.turn()
    bench.park(late)
    assert bench.told == [] and bench.recorder.unrecorded == 2
    bench.world.store.away = False
    bench.recorder.turn()
    bench.recorder.join(Grace(30))
    assert bench.batches == [1, 1, 2] and bench.recorder.unrecorded == 0


def test_one_that_breaks_takes_no_other_along(bench: Bench) -> None:
    """It is given up, with the fault told; the others are recorded."""
    bench.breaks_at = "a"
    for lease in [bench.lease("a"), bench.lease("b")]:
        bench.park(lease)
    bench.recorder.turn()
    assert (bench.state("a"), bench.state("b")) == ("dialling", "waiting")
    assert [loop for loop, _ in bench.faults.failed] == ["recorder"] and bench.recorder.unrecorded == 0


def test_what_a_wrong_key_blocks_is_kept_and_given_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds up no other, is not reported before it is on record, and its job stays in hand (E12)."""
    blocked = {"a"}
    whole = MemoryLedger.record

    def record(ledger: MemoryLedger, decisions: Sequence[Decision]) -> list[Recorded]:
        return [
            Recorded.BLOCKED if decision.lease.job.id in blocked else whole(ledger, [decision])[0]
            for decision in decisions
        ]

    monkeypatch.setattr(MemoryLedger, "record", record)
    for lease in [bench.lease("a"), bench.lease("b")]:
        bench.park(lease)
    for _ in range(3):
        bench.recorder.turn()
    assert "a" not in bench.told and bench.told[0] == "b" and bench.recorder.unrecorded == 1
    blocked.clear()
    bench.recorder.turn()
    assert "a" in bench.told and bench.recorder.unrecorded == 0 and bench.state("a") == "waiting"


def test_a_lost_lease_is_told_instead(bench: Bench) -> None:
    """The job belongs to another worker now."""
    lease = bench.lease("a")
    for _ in range(2):
        bench.park(lease)
    bench.recorder.turn()
    assert bench.world.watch.named("lease_lost") == ["a"] and bench.told == ["a", "room"]


def test_draining_ends_in_a_hurry(bench: Bench) -> None:
    """A drain in a hurry ends at once, however long it might have waited."""
    hurry = threading.Event()
    hurry.set()
    bench.park(bench.lease("a"))
    bench.recorder.join(Grace(3600.0, hurry))
    assert bench.recorder.unrecorded == 1


def test_decisions_of_a_part_that_is_away_are_given_again(bench: Bench) -> None:
    """They hold up no other, are not reported before they are on record, and their jobs stay in hand."""
    leases = [bench.lease("a"), bench.lease("b")]
    bench.world.store.apart = {"acme"}
    bench.park(leases[0])
    for _ in range(3):
        bench.recorder.turn()
    assert bench.told == ["room"] * 3 and bench.recorder.unrecorded == 1 and not bench.faults.failed
    bench.world.store.apart = set()
    bench.park(leases[1])
    bench.recorder.turn()
    assert bench.told[3:] == ["b", "a", "room"] and bench.recorder.unrecorded == 0
