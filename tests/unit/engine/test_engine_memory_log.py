"""When the memory that Redis uses is noted, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.doubles.clocks import FakeClock
from worker.core.figures import StoreFacts
from worker.core.forecast import Sample
from worker.engine.memory_log import LOOK_SECONDS, MemoryLog
from worker.errors import StoreUnavailable


class Samples:
    """Keeps each sample."""

    def __init__(self) -> None:
        self.kept: list[Sample] = []
        self.away = False

    def note(self, sample: Sample, /) -> Sequence[Sample]:
        if self.away:
            raise StoreUnavailable("full")
        self.kept.append(sample)
        return list(self.kept)


class Bench:
    """A log on a clock that the test moves, and a store of 1,000 bytes, of which `used` are taken."""

    def __init__(self) -> None:
        self.clock, self.samples, self.used = FakeClock(), Samples(), 100
        self.facts: StoreFacts | None = None
        self.log = MemoryLog(self.samples, lambda: self.facts, self.clock, self.clock)

    def tell(self, limit: int = 1000) -> None:
        self.facts = StoreFacts(None, 0.0, self.used, limit)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_nothing_is_noted_before_the_store_has_told(bench: Bench) -> None:
    """Neither a sample nor a forecast is made up."""
    bench.log.turn()
    assert bench.samples.kept == [] and bench.log.full_in_seconds() is None


def test_forecast_ends_at_what_is_used_now(bench: Bench) -> None:
    """Growth since the last sample counts at once."""
    for _ in range(2):
        bench.tell()
        bench.log.turn()
        bench.clock.advance(LOOK_SECONDS)
        bench.used += 60
    bench.tell()
    assert bench.log.full_in_seconds() == pytest.approx(1000 - 220)


def test_store_is_asked_once_a_minute(bench: Bench) -> None:
    """However often the worker turns."""
    bench.tell()
    for _ in range(30):
        bench.log.turn()
        bench.clock.advance(LOOK_SECONDS / 20)
    assert len(bench.samples.kept) == 2


def test_store_that_takes_no_sample_stops_nothing(bench: Bench) -> None:
    """A full Redis refuses it; the turn goes on."""
    bench.tell()
    bench.samples.away = True
    bench.log.turn()
    assert bench.log.full_in_seconds() is None


def test_store_without_a_limit_is_never_full(bench: Bench) -> None:
    """Then there is nothing to tell."""
    for _ in range(3):
        bench.tell(limit=0)
        bench.log.turn()
        bench.clock.advance(LOOK_SECONDS)
    assert bench.log.full_in_seconds() is None
