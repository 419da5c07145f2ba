"""The workers as metrics: the places of this one, and how many workers live or were lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import structlog
from prometheus_client.core import Metric

from worker.core.fleet import Fleet, Report
from worker.errors import StoreUnavailable
from worker.telemetry.questions import Patience, Question
from worker.telemetry.shared_metrics import SharedMetric, filled

KEPT_SECONDS = 1.0
WAIT_SECONDS = 0.25
"""The longest wait of a scrape for what is asked here. `SharedState` may have waited for the same server before."""

log = structlog.get_logger(__name__)


class FleetState:
    """A Prometheus collector. What tells of all workers is left out where `serves` says so, or if it is not known."""

    def __init__(
        self, report: Callable[[], Report], serves: Callable[[], bool], fleet: Callable[[], Fleet]
    ) -> None:
        """`report` tells of this worker, `fleet` of all. `fleet` may raise StoreUnavailable."""
        self._report, self._serves = report, serves
        self._fleet = Question(lambda: _read(fleet), KEPT_SECONDS)

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering does not read the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        mine, serves = self._report(), self._serves()
        yield _one("places", mine.places)
        yield _one("places_used", mine.used)
        yield _one("shared_state_served", serves)
        if serves and (fleet := self._known()):
            yield _one("workers", len(fleet.living))
            yield _one("workers_lost", len(fleet.lost))

    def _known(self) -> Fleet | None:
        try:
            return Patience(WAIT_SECONDS).result(self._fleet.begin())
        except TimeoutError:
            return None


def _one(name: str, value: float) -> SharedMetric:
    return filled(name, [((), float(value))])


def _read(fleet: Callable[[], Fleet]) -> Fleet | None:
    """Return None for a failure: a scrape that fails altogether would hide all other metrics too."""
    try:
        return fleet()
    except StoreUnavailable:
        return None
    except Exception:
        log.exception("metrics.read_failed", source="store")
        return None
