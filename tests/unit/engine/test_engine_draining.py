"""While workers are drained they take nothing in and dial nothing, and say when nothing is in hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.watchers import CountedSuspects, NotedDeadLetters, NotedFaults
from worker.core.fleet import Drain
from worker.core.records import Pause
from worker.engine.dialler import Dialler
from worker.engine.draining import Draining
from worker.engine.intake import Intake
from worker.errors import StoreUnavailable


class Bench:
    """One worker; `says` sets what the store says of drains, or why it says nothing."""

    def __init__(self) -> None:
        self._drain: Drain | StoreUnavailable | None = None
        self.in_hand = 0
        self.facts: list[str] = []
        reception: Any = None
        self.dialler = Dialler(5, lambda *_: None, NotedFaults())
        self.intake = Intake(reception, NotedDeadLetters(), CountedSuspects(), self.dialler, NotedFaults())
        self.draining = Draining(self._read, self.dialler, self.intake, lambda: self.in_hand, self)

    def drain_began(self, reason: str) -> None:
        self.facts.append(reason)

    def drain_ended(self) -> None:
        self.facts.append("ended")

    def says(self, drain: Drain | StoreUnavailable | None) -> None:
        self._drain = drain

    def _read(self) -> Drain | None:
        if isinstance(self._drain, StoreUnavailable):
            raise self._drain
        return self._drain

    def dials(self) -> bool:
        taken = self.dialler.reserve(1)
        self.dialler.give_back(taken)
        return taken == 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_nothing_is_taken_in_or_dialled_before_the_first_look(bench: Bench) -> None:
    """A worker that starts while the others are drained obeys at once, even if the store is away at first."""
    bench.says(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        bench.draining.turn()
    assert not bench.dials() and bench.intake.room_bytes == 0
    bench.says(None)
    bench.draining.turn()
    assert bench.dials() and bench.intake.room_bytes > 0 and bench.facts == []


def test_drain_stops_intake_and_calls_until_it_ends(bench: Bench) -> None:
    """It is told once, and a store that is away changes nothing."""
    bench.says(Drain("one", "move"))
    for _ in range(2):
        bench.draining.turn()
    bench.says(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        bench.draining.turn()
    assert not bench.dials() and bench.intake.room_bytes == 0 and bench.draining.pauses == {Pause.DRAIN}
    bench.says(None)
    bench.draining.turn()
    assert bench.dials() and bench.intake.room_bytes > 0 and not bench.draining.pauses
    assert bench.facts == ["move", "ended"]


def test_drain_and_other_pauses_do_not_end_each_other(bench: Bench) -> None:
    """Each goes on for as long as its own cause does."""
    bench.draining.turn()
    bench.dialler.pause(True)
    bench.says(Drain("one"))
    bench.draining.turn()
    bench.dialler.pause(False)
    assert not bench.dials()
    bench.dialler.pause(True)
    bench.says(None)
    bench.draining.turn()
    assert not bench.dials()


def test_worker_is_drained_once_nothing_was_in_hand_twice(bench: Bench) -> None:
    """What a source fetched as the drain began is waited for; another drain begins from the start."""
    told = []
    bench.says(Drain("one"))
    for bench.in_hand in (3, 0, 0, 1, 0, 0):
        bench.draining.turn()
        told.append(bench.draining.drained)
    assert told == ["", "", "one", "", "", "one"]
    bench.says(Drain("two"))
    bench.draining.turn()
    assert bench.draining.drained == ""
    bench.says(None)
    bench.draining.turn()
    assert bench.draining.drained == ""
