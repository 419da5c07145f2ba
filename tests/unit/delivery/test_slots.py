"""The gate of a webhook's request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from worker.core.records import Slot
from worker.delivery.slots import SlotGate
from worker.errors import SlotLapsed

T = TypeVar("T")


class Clock:
    """A clock that only its own `sleep` moves, by `late` more than asked for."""

    def __init__(self, now: float, late: float = 0.0) -> None:
        self.now, self._late = now, late

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self._late

    def aside(self, work: Callable[[], T]) -> T:
        return work()


def gate(clock: Clock) -> SlotGate:
    return SlotGate(Slot(10.0, 10.5, 30.0), clock, clock)


@pytest.mark.parametrize(("now", "sent"), [(9.0, 10.0), (10.2, 10.2)])
def test_request_leaves_in_its_slot(now: float, sent: float) -> None:
    """It waits for the slot to open, and learns when the slot closes."""
    clock = Clock(now)
    assert gate(clock).opens() == 10.5 and clock.now == sent


@pytest.mark.parametrize("clock", [Clock(10.6), Clock(9.9, late=0.7)])
def test_slot_that_has_passed_lets_nothing_out(clock: Clock) -> None:
    """A late request would break the endpoint's rate."""
    with pytest.raises(SlotLapsed):
        gate(clock).opens()
