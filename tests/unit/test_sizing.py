"""What an installation needs for a load, and which limit it meets first."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core import costs, sizing
from worker.core.ceilings import ceilings
from worker.core.costs import Cpu
from worker.core.estimate import figures
from worker.core.sizing import DAY_SECONDS, Demand

PAGES = Path(__file__).parents[2] / "docs/explanation"
ALERTS = Path(__file__).parents[2] / "ops/prometheus/alerts.yml"
PAGE_ROWS = {
    "waits for the first time": costs.WAITING_BYTES,
    "waits after an attempt": costs.WAITING_AGAIN_BYTES,
    "is dialled": costs.DIALLED_BYTES,
    "has ended, and the results queue has not taken its event": costs.UNPUBLISHED_BYTES,
    "has ended, in the first hour": costs.ENDED_BYTES,
    "has ended, from then on": costs.REMEMBERED_BYTES,
    "has ended, and a webhook has not taken its event": costs.UNDELIVERED_BYTES,
    "has ended, and a webhook has taken its event": costs.DELIVERED_BYTES,
    "has ended, and two webhooks have taken its event": costs.DELIVERED_TWICE_BYTES,
}

USUAL = Demand(
    per_second=10.0,
    peak_per_second=20.0,
    accounts=100,
    backlog=0,
    retention_seconds=7 * DAY_SECONDS,
    replay_seconds=2 * DAY_SECONDS,
    webhooks=0.0,
    provider_seconds=1.0,
    attempts=1.0,
    limited=0.0,
    rabbitmq=False,
    results_backlog=100_000,
    webhooks_in_flight=2048,
    metrics_accounts=200,
)

demands = st.builds(
    replace,
    st.just(USUAL),
    per_second=st.floats(1e-4, 500),
    peak_per_second=st.floats(500, 5000),
    accounts=st.integers(1, 100_000),
    backlog=st.integers(0, 10_000_000),
    webhooks=st.just(0.0) | st.floats(0.001, 5),
    provider_seconds=st.floats(0.01, 30),
    attempts=st.floats(1, 5),
    limited=st.floats(0, 1),
    rabbitmq=st.booleans(),
    after_seconds=st.floats(1, 1e9) | st.just(float("inf")),
)


def test_costs_are_those_of_the_page() -> None:
    """What the program computes with is what the page about capacity says."""
    rows = re.findall(r"^\| (.+?) \| ([\d,]+) \|$", (PAGES / "capacity.md").read_text(), re.MULTILINE)
    assert {kind: int(size.replace(",", "")) for kind, size in rows} == PAGE_ROWS


@pytest.mark.parametrize(("webhooks", "gigabytes"), [(0.0, 1.7), (1.0, 3.9)])
def test_ended_jobs_take_what_the_page_computes(webhooks: float, gigabytes: float) -> None:
    """10 jobs a second with the defaults: 1.7 GB, and 3.9 GB with a webhook."""
    ended = sizing.memory_parts(replace(USUAL, webhooks=webhooks), 2)["ended"]
    assert ended / 1e9 == pytest.approx(gigabytes, abs=0.05)


def test_a_young_installation_has_kept_only_what_has_ended_so_far() -> None:
    """After ten minutes all ended jobs have their details; after retention, nothing is added."""
    ten_minutes = sizing.memory_parts(replace(USUAL, after_seconds=600), 2)["ended"]
    assert ten_minutes == 6000 * costs.ENDED_BYTES
    later = [replace(USUAL, after_seconds=days * DAY_SECONDS) for days in (7, 8)]
    assert len({sizing.used_bytes(one, 2) for one in later} | {sizing.used_bytes(USUAL, 2)}) == 1


@given(idle=st.floats(0, 50), job=st.floats(0.01, 20), alone=st.floats(0, 20), rate=st.floats(0, 10_000))
def test_cpu_time_and_rate_follow_from_each_other(idle: float, job: float, alone: float, rate: float) -> None:
    """What a rate costs is the CPU time in which that rate is reached."""
    cpu = Cpu(idle, job, alone)
    assert cpu.jobs_per_second(cpu.ms_per_second(rate)) == pytest.approx(rate, abs=1e-3)
    assert cpu.jobs_per_second(idle / 2) == 0


@given(demands)
def test_what_is_recommended_bears_the_peak(demand: Demand) -> None:
    """Also without one of the workers. Redis' memory stays below its alert. Nothing is negative."""
    there = sizing.workers(demand)
    fewer = there.processes - 1
    assert fewer * there.concurrency >= sizing.places(demand)
    assert fewer * demand.job.worker.jobs_per_second(1000) >= demand.peak_per_second
    most = sizing.max_memory_bytes(demand, there.processes)
    assert sizing.used_bytes(demand, there.processes) <= costs.MOST_OF_MEMORY * most
    assert all(one.value >= 0 for one in figures(demand))
    limits = {one.name: one.per_second for one in ceilings(demand, there)}
    assert min(limits["worker_cpu"], limits["places"]) >= demand.peak_per_second
    assert limits["redis_memory"] >= demand.per_second * 0.999


@given(demands, st.floats(1.1, 3))
def test_more_jobs_need_no_less(demand: Demand, times: float) -> None:
    """Each figure grows with the rate, or stays."""
    there = replace(demand, workers=3, concurrency=500)
    more = replace(there, per_second=there.per_second * times, peak_per_second=there.peak_per_second * times)
    assert all(b.value >= a.value for a, b in zip(figures(there), figures(more), strict=True))


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ({"workers": 1, "concurrency": 10, "provider_seconds": 2.0}, "places"),
        ({"workers": 1, "concurrency": 10_000, "max_memory_bytes": 1 << 40, "accounts": 10_000}, "worker_cpu"),
        ({"max_memory_bytes": 100_000_000}, "redis_memory"),
        ({"accounts": 1, "provider_seconds": 4.0}, "account_concurrency"),
        ({"accounts": 1, "webhooks": 1.0, "provider_seconds": 0.1, "workers": 4, "concurrency": 200,
          "max_memory_bytes": 1 << 40}, "endpoint_concurrency"),
    ],
)  # fmt: skip
def test_the_scarcest_is_met_first(given: dict[str, Any], first: str) -> None:
    """Whatever is short of what there is stands at the head, with the rate at which it is met."""
    demand = replace(USUAL, **given)
    limits = ceilings(demand, sizing.workers(demand))
    assert limits[0].name == first
    assert [one.per_second for one in limits] == sorted(one.per_second for one in limits)


def test_each_limit_names_an_alert_and_is_on_the_page() -> None:
    """The alert exists, and the page that is named says what is seen then."""
    page, alerts = (PAGES / "what-breaks-first.md").read_text(), ALERTS.read_text()
    demand = replace(USUAL, webhooks=1.0)
    for one in ceilings(demand, sizing.workers(demand)):
        assert f"alert: {one.alert}\n" in alerts
        assert f"`{one.name}`" in page and f"alerts.md#{one.alert.lower()}" in page
