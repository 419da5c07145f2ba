"""The restorer asks for nothing while nothing is wrong, and tells of each time that the store went back once."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.core.making_good import Over, Step
from worker.engine.restorer import HELD_SECONDS, IDLE_SECONDS, SOON_SECONDS, Restorer


@dataclass
class Store:
    """Shards that take the given steps; so many are left alone after each."""

    steps: list[tuple[Step, int]] = field(default_factory=list)
    count: int = 0

    def step(self) -> Step:
        step, self.count = self.steps.pop(0)
        return step


@dataclass
class Told:
    """What the watch was told."""

    facts: list[object] = field(default_factory=list)

    def set_back(self, shards: int) -> None:
        self.facts.append(shards)

    def made_good(self, over: Over, shards: int) -> None:
        self.facts.append((over, shards))


def test_an_idle_restorer_leaves_the_store_alone() -> None:
    told = Told()
    assert Restorer(Store(), told).turn() == IDLE_SECONDS and told.facts == []


def test_all_shards_are_told_of_together_and_loops_are_woken() -> None:
    """They are held side by side, so it takes as long as the longest."""
    one, other = Over(3, 0, all_known=True, seconds=6.2), Over(4, 5, all_known=False, seconds=6.1)
    steps = [
        (Step(2, [], soon=False), 2),
        (Step(0, [one], soon=True), 1),
        (Step(0, [other], soon=False), 0),
    ]
    told, woken = Told(), list[str]()
    restorer = Restorer(Store(steps, count=2), told, over=lambda: woken.append("all"))
    assert restorer.turn() == HELD_SECONDS and told.facts == [2]
    assert restorer.turn() == SOON_SECONDS and woken == []
    assert restorer.turn() == IDLE_SECONDS and woken == ["all"]
    assert told.facts == [2, (Over(7, 5, all_known=False, seconds=6.2), 2)]
