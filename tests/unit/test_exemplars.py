"""Which jobs histograms name as examples."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from ops.reference.metrics import filled_metrics
from tests.doubles.clocks import FakeClock
from worker.core.events import Event, Status
from worker.core.jobs import Job
from worker.core.records import Due, Lease, Slot
from worker.core.retry import Tally
from worker.provider import CallResult
from worker.telemetry.exemplars import EVERY_SECONDS, Exemplars
from worker.telemetry.metrics import Metrics
from worker.telemetry.watching import Watching

JOB = Job.parse(
    {"id": "order-4712", "account": "acme", "country": "1", "phone": "2125555555", "code": "7391"}
)


def openmetrics(metrics: Metrics) -> str:
    text: bytes = generate_latest(metrics.registry)  # type: ignore[no-untyped-call]
    return text.decode()


def parsed(text: str) -> list[Any]:
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def test_bucket_names_its_first_job_and_then_one_a_second() -> None:
    """Buckets do not share them, and neither do series: the rare job in the slow bucket is the one that is wanted."""
    clock = FakeClock()
    exemplars = Exemplars((1.0, 5.0), clock)
    assert exemplars.of("first", 0.5) == {"job_id": "first"}
    assert exemplars.of("second", 1.0) is None
    assert exemplars.of("slow", 1.1) == {"job_id": "slow"}
    assert exemplars.of("slowest", 9.0) == {"job_id": "slowest"}
    assert exemplars.of("other", 0.5, "beta") == {"job_id": "other"}
    clock.advance(EVERY_SECONDS)
    assert exemplars.of("third", 0.5) == {"job_id": "third"}


@pytest.mark.parametrize("job_id", ["2125555555", "call-12125555555", "7391", "x" * 101, "", "a b"])
def test_id_that_may_quote_a_number_or_is_none_is_never_named(job_id: str) -> None:
    """And the next job of its bucket is."""
    exemplars = Exemplars((1.0,))
    assert exemplars.of(job_id, 0.5) is None
    assert exemplars.of("x" * 64, 0.5) == {"job_id": "x" * 64}


def test_job_is_named_where_its_times_are_observed() -> None:
    """In OpenMetrics, beside its life, its first request and its request; never with its PIN or number."""
    metrics = Metrics()
    metrics.initialise(["acme"])
    watching = Watching(metrics)
    lease = Lease(JOB, 1, Due.DIAL, Tally(), 0, 1, 0, Slot(0.0, 1.0, 2.0))
    watching.first_request(lease, 0.2)
    watching.request_done(JOB, CallResult.PLACED, 1.5, 200)
    watching.finished(JOB.id, "acme", Event("evt_1", Status.PLACED, "{}"), "", 2.0)
    text = openmetrics(metrics)
    named = {
        sample.name: sample.exemplar.labels
        for family in parsed(text)
        for sample in family.samples
        if sample.exemplar
    }
    names = ("job_seconds", "first_send_seconds", "provider_request_seconds")
    assert named == {f"callworker_{name}_bucket": {"job_id": JOB.id} for name in names}
    assert "7391" not in text and "5555" not in text


def test_metrics_are_valid_openmetrics() -> None:
    """All of them, as a strict parser reads them."""
    families = parsed(openmetrics(filled_metrics()))
    assert len([family for family in families if family.name.startswith("callworker_")]) > 30
