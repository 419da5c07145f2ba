"""The tables of metrics, from a registry that is filled as a worker's is, and read as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from ops.reference.tables import code, codes, table
from worker.core.endpoints import Endpoint
from worker.core.records import AccountCount, BrokerFacts, Reason, StoreFacts
from worker.telemetry.metrics import Metrics
from worker.telemetry.server_state import ServerState
from worker.telemetry.shared_metrics import SHARED
from worker.telemetry.shared_state import SharedState

PREFIX = "callworker_"
EXAMPLE = Endpoint(url="https://hooks.example.com/orders", name="orders", secret_env=("SECRET",))
WAITING = AccountCount("acme", {Reason.RATE_LIMIT: 1}, 1.0, 0, None, 0)
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
    """All metrics, each with at least one series: those of account "acme" and of webhook `EXAMPLE`."""
    metrics = Metrics()
    metrics.initialise(["acme"], [("acme", EXAMPLE)])
    metrics.wrong_keys.labels("calls")
    metrics.loop_failures.labels("relay")
    metrics.registry.register(
        SharedState(
            metrics,
            lambda: [WAITING],
            list,
            int,
            int,
            lambda: {"calls": 0, "results": 0},
            ttls={"acme": 600.0},
        )
    )
    metrics.registry.register(ServerState(lambda: StoreFacts(None, 0.0, 0, 0), BrokerFacts))
    return metrics


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
    rows = [(code(each.name), each.kind, codes(each.labels), _sentence(each.text)) for each in metrics]
    return table(("name", "type", "labels", "meaning"), rows)


def _sentence(text: str) -> str:
    """The help text without the mark of shared metrics, which have a table of their own."""
    plain = text.removeprefix("Shared: ")
    return plain[:1].upper() + plain[1:]
