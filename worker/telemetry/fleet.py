"""The workers as metrics: places, how many workers live, were lost and are wanted, and when Redis will be full."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import Metric

from worker.core.figures import AccountCount
from worker.core.fleet import Fleet, Report, wanted
from worker.telemetry.questions import Patience, Question, reading
from worker.telemetry.shared_metrics import SharedMetric, filled

KEPT_SECONDS = 1.0
WAIT_SECONDS = 0.25
"""The longest wait of a scrape for what is asked here. `SharedState` may have waited for the same server before."""


class FleetState:
    """A Prometheus collector. What tells of all workers is left out where another worker serves it, and if it is not
    known."""

    def __init__(
        self,
        report: Callable[[], Report],
        serves: Callable[[], bool],
        fleet: Callable[[], Fleet],
        accounts: Callable[[], Sequence[AccountCount]],
        full_in_seconds: Callable[[], float | None] = lambda: None,
    ) -> None:
        """`report` tells of this worker, `serves` whether it serves what tells of all. `fleet` and `accounts` ask the
        store and may raise StoreUnavailable; `full_in_seconds` says when the store is full."""
        self._report, self._serves, self._full_in_seconds = report, serves, full_in_seconds
        self._asked = Question(reading("store", lambda: (fleet(), accounts())), KEPT_SECONDS)

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering does not read the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        mine, serves = self._report(), self._serves()
        yield _one("places", mine.places)
        yield _one("places_used", mine.used)
        yield _one("shared_state_served", serves)
        if serves and (known := Patience(WAIT_SECONDS).known(self._asked.begin())):
            yield from _of_all(*known, mine.places)
        full = self._full_in_seconds() if serves else None
        if full is not None:
            yield _one("redis_memory_full_seconds", full)


def _of_all(fleet: Fleet, counts: Sequence[AccountCount], places: int) -> Iterator[Metric]:
    in_flight, eligible = sum(one.in_flight for one in counts), sum(one.eligible for one in counts)
    yield _one("workers", len(fleet.living))
    yield _one("workers_lost", len(fleet.lost))
    yield _one("eligible_now", eligible)
    yield _one("workers_wanted", wanted(in_flight + eligible, places))


def _one(name: str, value: float) -> SharedMetric:
    return filled(name, [((), float(value))])
