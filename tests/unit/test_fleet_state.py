"""The workers as metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.doubles.samples import report
from worker.core.figures import AccountCount
from worker.core.fleet import Fleet, wanted
from worker.errors import StoreUnavailable, WrongKey
from worker.telemetry.fleet import FleetState

MINE = {"places": 50, "used": 3}
THIS_ONE = {"places", "places_used", "shared_state_served"}


def count(name: str, in_flight: int, eligible: int) -> AccountCount:
    return AccountCount(name, in_flight=in_flight, eligible=eligible)


class Told:
    """What one worker of two knows."""

    def __init__(self) -> None:
        self.serves = True
        self.error: Exception | None = None
        self.full: float | None = None
        self.counts = [count("acme", 60, 30), count("beta", 5, 10)]

    def fleet(self) -> Fleet:
        if self.error:
            raise self.error
        return Fleet([report(), report(host="other")], [report(host="gone")])

    def accounts(self) -> Sequence[AccountCount]:
        return self.counts

    def scrape(self) -> dict[str, float]:
        """Return the samples of a worker that starts and is scraped."""
        registry = CollectorRegistry()
        registry.register(
            FleetState(report, lambda: self.serves, self.fleet, self.accounts, lambda: self.full)
        )
        families = text_string_to_metric_families(generate_latest(registry).decode())
        return {
            sample.name.removeprefix("callworker_"): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture
def told() -> Told:
    return Told()


def test_elected_worker_tells_of_all(told: Told) -> None:
    """What a limit holds back is not eligible, so no worker is wanted for it."""
    assert told.scrape() == {
        "places": 50,
        "places_used": 3,
        "shared_state_served": 1,
        "workers": 2,
        "workers_lost": 1,
        "eligible_now": 40,
        "workers_wanted": 3,
    }


def test_other_workers_tell_of_themselves_alone(told: Told) -> None:
    """A sum over all workers counts no job twice, and a maximum finds the elected one's."""
    told.serves, told.full = False, 5.0
    samples = told.scrape()
    assert samples.keys() == THIS_ONE and samples["shared_state_served"] == 0


@pytest.mark.parametrize("error", [StoreUnavailable("away"), WrongKey("callworker:workers", "list")])
def test_scrape_goes_on_without_the_store(told: Told, error: Exception) -> None:
    """What is not known is missing, not 0."""
    told.error = error
    assert told.scrape().keys() == THIS_ONE


@pytest.mark.parametrize("full", [3600.0, math.inf])
def test_time_until_redis_is_full_is_told_where_it_is_known(told: Told, full: float) -> None:
    """Infinite while memory does not grow."""
    assert "redis_memory_full_seconds" not in told.scrape()
    told.full = full
    assert told.scrape()["redis_memory_full_seconds"] == full


@pytest.mark.parametrize(
    ("calls", "places", "workers"),
    [(0, 50, 1), (1, 50, 1), (50, 50, 1), (51, 50, 2), (101, 50, 3), (7, 1, 7)],
)
def test_workers_are_wanted_for_calls_that_could_be_in_flight(calls: int, places: int, workers: int) -> None:
    """At least one, so that jobs are taken at all."""
    assert wanted(calls, places) == workers
