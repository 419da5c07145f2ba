"""When Redis will be full, by how its memory has grown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.forecast import WINDOW_SECONDS, Sample, full_in_seconds

MINUTES = 300.0
LIMIT = 1_000_000


def grown(*used: int) -> list[Sample]:
    """One sample each five minutes."""
    return [Sample(n * MINUTES, bytes_) for n, bytes_ in enumerate(used)]


def test_steady_growth_is_carried_on() -> None:
    """1,000 bytes in five minutes, and 900,000 bytes left."""
    samples = grown(*range(90_000, 100_001, 1_000))
    assert full_in_seconds(samples, LIMIT) == pytest.approx(900 * MINUTES)


@pytest.mark.parametrize(
    ("samples", "limit"),
    [([], LIMIT), (grown(1, 2), LIMIT), (grown(1, 2, 3), 0)],
    ids=["none", "two", "no limit"],
)
def test_nothing_is_told_that_is_not_known(samples: list[Sample], limit: int) -> None:
    """Three samples are needed, and a limit."""
    assert full_in_seconds(samples, limit) is None


@pytest.mark.parametrize(
    "used", [(5, 5, 5), (9, 8, 7), (800, 900, 100, 110)], ids=["even", "less", "restart"]
)
def test_memory_that_does_not_grow_is_never_full(used: tuple[int, ...]) -> None:
    """A restart of Redis, after which it uses less, is no growth."""
    assert full_in_seconds(grown(*used), LIMIT) == math.inf


def test_odd_sample_does_not_decide() -> None:
    """A peak at the end, as while Redis rewrites its file, leaves the rate as it is."""
    samples = grown(*range(90_000, 100_001, 1_000))
    samples[-2] = samples[-2]._replace(used_bytes=800_000)
    assert full_in_seconds(samples, LIMIT) == pytest.approx(900 * MINUTES, rel=0.2)


def test_growth_of_long_ago_does_not_count() -> None:
    """Only the last hours do."""
    before = [Sample(0.0, 100), Sample(300.0, 10_000)]
    recent = [Sample(WINDOW_SECONDS + 600.0 + n * MINUTES, 10_000) for n in range(6)]
    assert full_in_seconds(before + recent, LIMIT) == math.inf


def test_full_redis_is_full_now() -> None:
    """A limit that was lowered below what is used counts as reached."""
    assert full_in_seconds(grown(2, 2, 2), 2) == 0.0


@given(st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 2**50)), max_size=20), st.integers(0, 2**50))
def test_any_samples_have_an_answer(pairs: list[tuple[float, int]], limit: int) -> None:
    """It is None or at least 0, whatever a clock that was set has left behind."""
    found = full_in_seconds([Sample(*pair) for pair in pairs], limit)
    assert found is None or found >= 0
