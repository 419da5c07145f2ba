"""The tables of metrics, from a registry that is filled as a worker's is, and read as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import Counter, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from ops.reference.tables import code, codes, table
from worker.core.endpoints import Endpoint
from worker.core.figures import AccountCount, BrokerFacts, EndpointCount, StoreFacts
from worker.core.fleet import Fleet, Report
from worker.core.records import REASONS, Source
from worker.delivery.ports import AttemptResult
from worker.http.oddities import Oddity
from worker.provider import CallResult
from worker.telemetry.fleet import FleetState
from worker.telemetry.labels import (
    DISABLED_REASONS,
    ENDS,
    GIVEN_UP_REASONS,
    HOLD_REASONS,
    UNKNOWN_CODE,
    RetryReason,
)
from worker.telemetry.metrics import Metrics
from worker.telemetry.series import Labelled
from worker.telemetry.server_state import ServerState
from worker.telemetry.shared_metrics import SHARED
from worker.telemetry.shared_state import SharedState, Stored

PREFIX = "callworker_"
EXAMPLE = Endpoint(url="https://hooks.example.com/orders", name="orders", secret_env=("SECRET",))
OPEN_LABELS = {"account", "endpoint", "key", "loop", "queue", "version"}
"""Labels whose values are not a fixed set: they are described in the page's text."""


@dataclass(frozen=True, slots=True)
class Described:
    """One metric: `name` without the prefix, `labels` in order with the values that each takes."""

    name: str
    kind: str
    labels: dict[str, list[str]]
    text: str

    @property
    def shared(self) -> bool:
        """True where the metric describes all workers together."""
        return self.name in SHARED


def own_metrics() -> Iterator[Described]:
    """Each metric of the program."""
    for family in text_string_to_metric_families(generate_latest(filled_metrics().registry).decode()):
        if family.name.startswith(PREFIX):
            name = family.name.removeprefix(PREFIX) + ("_total" if family.type == "counter" else "")
            yield Described(name, family.type, _labels(family), family.documentation)


def _labels(family: Metric) -> dict[str, list[str]]:
    """The labels of a family's series, each with its values in order of appearance."""
    names = [label for label in family.samples[0].labels if label != "le"]
    return {name: list(dict.fromkeys(sample.labels[name] for sample in family.samples)) for name in names}


def filled_metrics() -> Metrics:
    """All metrics with all values of their labels: account "acme", and webhook `EXAMPLE`."""
    metrics = Metrics()
    metrics.initialise(["acme"], [("acme", EXAMPLE)])
    metrics.accounts_file.info({"hash": ""})
    metrics.wrong_keys.labels("calls")
    metrics.loop_failures.labels("relay")
    for labelled in _of_accounts(metrics):
        labelled.labels("acme")
    for counter, values in _by_values(metrics):
        for value in values:
            counter.labels("acme", value)
    metrics.webhook_delivery_seconds.labels("acme", EXAMPLE.key)
    for result in AttemptResult:
        metrics.webhook_endpoint_attempts.labels("acme", EXAMPLE.key, result)
    told = SharedState(
        metrics,
        lambda: Stored(_accounts(), _endpoints(), 0, 0),
        int,
        lambda: {"calls": 0, "results": 0},
        ttls=lambda: {"acme": 600.0},
    )
    metrics.registry.register(told)
    report = Report(places=1, used=0, paused=False, host="", version="", accounts="")
    metrics.registry.register(FleetState(lambda: report, lambda: True, Fleet, list, float))
    metrics.registry.register(ServerState(lambda: StoreFacts(None, 0.0, 0, 0), BrokerFacts))
    return metrics


def _of_accounts(metrics: Metrics) -> Iterator[Labelled[Counter] | Labelled[Histogram]]:
    """Metrics with no other label."""
    yield from (metrics.duplicates, metrics.conflicts, metrics.leases_lost, metrics.provider_throttled)
    yield metrics.job_seconds


def _by_values(metrics: Metrics) -> Iterator[tuple[Labelled[Counter], Iterable[str]]]:
    """Counters with an account and one more label, and that label's values."""
    yield metrics.jobs_accepted, Source
    yield metrics.jobs_finished, ENDS
    yield metrics.provider_requests, CallResult
    yield metrics.provider_errors, sorted({*metrics.provider_codes, UNKNOWN_CODE})
    yield metrics.provider_oddities, Oddity
    yield metrics.retries, RetryReason
    yield metrics.webhook_attempts, AttemptResult


def _accounts() -> list[AccountCount]:
    """An account with jobs that wait for each reason, and held for each."""
    waiting = dict.fromkeys(REASONS, 1)
    return [AccountCount("acme", waiting, 1.0, 0, reason, pending=1) for reason in HOLD_REASONS]


def _endpoints() -> list[EndpointCount]:
    """An endpoint that is disabled for each reason, and has given up deliveries for each."""
    given_up = dict.fromkeys(GIVEN_UP_REASONS, 1)
    return [
        EndpointCount("acme", EXAMPLE.key, 1, 1.0, True, reason, delivered=1, given_up=given_up)
        for reason in DISABLED_REASONS
    ]


def of_each_worker() -> str:
    """The metrics of one process."""
    return _table(metric for metric in own_metrics() if not metric.shared)


def of_all_workers() -> str:
    """The metrics that describe all workers together."""
    return _table(metric for metric in own_metrics() if metric.shared)


def label_values() -> str:
    """The values of each label that takes a fixed set of them."""
    values = {
        (label, tuple(given)): [other.name for other in own_metrics() if other.labels.get(label) == given]
        for metric in own_metrics()
        for label, given in metric.labels.items()
        if label not in OPEN_LABELS
    }
    rows = [(code(label), codes(names), codes(given)) for (label, given), names in values.items()]
    return table(("label", "of", "values"), rows)


def _table(metrics: Iterator[Described]) -> str:
    rows = [(code(each.name), _kind(each), codes(each.labels), _sentence(each.text)) for each in metrics]
    return table(("name", "type", "labels", "meaning"), rows)


def _kind(metric: Described) -> str:
    return f"{metric.kind}, shared" if metric.text.startswith("Shared: ") else metric.kind


def _sentence(text: str) -> str:
    """The help text without the mark of shared metrics, which is in another column."""
    plain = text.removeprefix("Shared: ")
    return plain[:1].upper() + plain[1:]
