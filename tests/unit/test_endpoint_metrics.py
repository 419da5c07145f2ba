"""The metrics of webhook endpoints: under which name, and what becomes of counts that share one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from prometheus_client import generate_latest

from worker.core.endpoints import Endpoint
from worker.core.figures import EndpointCount
from worker.telemetry.endpoint_state import of_endpoints
from worker.telemetry.metrics import Metrics

ORDERS = Endpoint(url="https://hooks.example.com/orders?token=hidden", name="orders", secret_env=("A",))
NAMELESS = Endpoint(url="https://hooks.example.com/hidden", secret_env=("A",))
OLD_KEY = ORDERS.keys[1]


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics()
    metrics.initialise(["acme"], [("acme", ORDERS), ("acme", NAMELESS)])
    return metrics


class Told:
    """What a scrape tells of endpoint `orders` of account `acme`, or of another one."""

    def __init__(
        self, metrics: Metrics, counts: Sequence[EndpointCount] = (), endpoint: str = "orders"
    ) -> None:
        labels = {"account": "acme", "endpoint": endpoint}
        self.values = {
            (sample.name.removeprefix("callworker_"), sample.labels.get("reason")): sample.value
            for family in of_endpoints(metrics, counts)
            for sample in family.samples
            if labels.items() <= sample.labels.items()
        }

    def __call__(self, name: str, reason: str | None = None) -> float | None:
        return self.values.get((name, reason))


def test_all_keys_of_an_endpoint_are_one_endpoint(metrics: Metrics) -> None:
    """Its counts are added, the oldest delivery of them all is told, and the worst state."""
    first = EndpointCount("acme", "orders", 3, 12.5, delivered=6, failed=1, given_up={"attempts_spent": 2})
    second = EndpointCount("acme", OLD_KEY, 1, 90.0, breaker_open=True, disabled="gone", failed=1)
    told = Told(metrics, [first, second])
    assert told("webhook_endpoint_pending") == 4
    assert told("webhook_endpoint_oldest_pending_seconds") == 90
    assert told("webhook_endpoint_breaker_open") == 1
    assert told("webhook_endpoint_disabled", "gone") == 1
    assert told("webhook_endpoint_disabled", "operator") is None
    assert told("webhook_endpoint_success_ratio") == 0.75
    assert told("webhook_given_up_total", "attempts_spent") == 2


def test_what_is_nothing_has_no_series(metrics: Metrics) -> None:
    """Neither an endpoint without deliveries, nor a ratio of nothing, nor a 0; but a breaker that is closed is told."""
    assert Told(metrics, [EndpointCount("acme", "orders")]).values == {}
    told = Told(metrics, [EndpointCount("acme", "orders", failed=3)])
    assert told.values == {
        ("webhook_endpoint_success_ratio", None): 0.0,
        ("webhook_endpoint_breaker_open", None): 0.0,
    }


def test_rules_of_the_guard_are_one_reason(metrics: Metrics) -> None:
    """The log has the rule; a metric has few values."""
    given_up = {"guard_private": 4, "guard_port": 1, "proxy": 2}
    told = Told(metrics, [EndpointCount("acme", "orders", given_up=given_up)])
    assert (told("webhook_given_up_total", "guard"), told("webhook_given_up_total", "proxy")) == (5, 2)
    assert told("webhook_given_up_total", "guard_private") is None


def test_endpoints_that_are_not_in_the_file_share_one_label(metrics: Metrics) -> None:
    """What waits for removed endpoints makes no series without end."""
    counts = [EndpointCount("acme", "gone", 2), EndpointCount("acme", "older", 3)]
    assert Told(metrics, counts, "other")("webhook_endpoint_pending") == 5


def test_reasons_of_another_version_share_one_label(metrics: Metrics) -> None:
    """They are told, under a value that is known."""
    count = EndpointCount("acme", "orders", disabled="new", given_up={"new": 1, "newer": 2})
    told = Told(metrics, [count])
    assert told("webhook_given_up_total", "other") == 3
    assert told("webhook_endpoint_disabled", "other") == 1


def test_no_label_shows_a_url(metrics: Metrics) -> None:
    """The address of an endpoint may hold a token; its label is the name, or a hash."""
    for endpoint in (ORDERS, NAMELESS):
        for key in endpoint.keys:
            metrics.webhook_delivery_seconds.labels(*metrics.endpoint("acme", key))
    text = generate_latest(metrics.registry).decode()
    assert f'endpoint="{NAMELESS.key}"' in text and 'endpoint="orders"' in text
    assert "hooks.example.com" not in text and "hidden" not in text
