"""The names, labels and first values that dashboards and alerts rely on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ops.reference.metrics import filled_metrics
from worker import __version__
from worker.core.endpoints import Endpoint
from worker.core.events import Event, Status
from worker.core.figures import AccountCount, EndpointCount
from worker.core.records import Reason
from worker.errors import (
    AccountProblem,
    BrokerUnavailable,
    CallError,
    Redial,
    Refused,
    Retry,
    StoreUnavailable,
)
from worker.telemetry.labels import RetryReason
from worker.telemetry.metrics import Metrics
from worker.telemetry.shared_state import KEPT_SECONDS, SharedState, Stored
from worker.telemetry.watching import Watching

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

ORDERS = Endpoint(url="https://hooks.example.com/orders", name="orders", secret_env=("A",))

CONTRACT = {
    "jobs_accepted_total": {"account", "source"},
    "jobs_finished_total": {"account", "status"},
    "provider_requests_total": {"account", "result"},
    "provider_request_seconds_count": set(),
    "first_send_seconds_count": set(),
    "publish_seconds_count": set(),
    "provider_throttled_total": {"account"},
    "provider_errors_total": {"account", "code"},
    "provider_oddities_total": {"account", "oddity"},
    "retries_total": {"account", "reason"},
    "log_lines_dropped_total": set(),
    "job_wait_seconds_count": {"reason"},
    "job_seconds_count": {"account"},
    "jobs_waiting": {"account", "reason"},
    "oldest_waiting_seconds": {"account"},
    "account_held": {"account", "reason"},
    "duplicates_total": {"account"},
    "webhook_attempts_total": {"account", "result"},
    "webhook_attempt_seconds_count": set(),
    "webhook_pending": {"account"},
    "webhook_endpoint_attempts_total": {"account", "endpoint", "result"},
    "webhook_delivery_seconds_count": {"account", "endpoint"},
    "webhook_endpoint_pending": {"account", "endpoint"},
    "webhook_endpoint_oldest_pending_seconds": {"account", "endpoint"},
    "webhook_endpoint_breaker_open": {"account", "endpoint"},
    "webhook_endpoint_disabled": {"account", "endpoint", "reason"},
    "webhook_endpoint_success_ratio": {"account", "endpoint"},
    "webhook_given_up_total": {"account", "endpoint", "reason"},
    "results_unpublished": set(),
    "dead_letters": set(),
    "calls_in_flight": set(),
    "queue_depth": {"queue"},
    "last_progress_timestamp_seconds": set(),
}


def count(
    name: str, *, oldest: float = 0.0, hold: str | None = None, pending: int = 0, **waiting: int
) -> AccountCount:
    """An account with jobs `waiting` by reason."""
    return AccountCount(name, {Reason(why): jobs for why, jobs in waiting.items()}, oldest, 0, hold, pending)


class Shared:
    """The answers of store and broker; counts how often they are asked. Raises an answer that is an exception."""

    def __init__(self) -> None:
        self.counts: Sequence[AccountCount] | Exception = ()
        self.endpoints: Sequence[EndpointCount] = ()
        self.unpublished = self.away = 0
        self.dead: int | None = 0
        self.depths: Mapping[str, int] | Exception = {"calls": 0}
        self.now, self.asked, self.touched, self.served = 100.0, 0, 0, True

    def read(self) -> Stored:
        self.asked += 1
        if isinstance(self.counts, Exception):
            raise self.counts
        return Stored(self.counts, self.endpoints, self.unpublished, self.dead, self.away)

    def touch(self) -> int:
        self.touched += 1
        if isinstance(self.counts, Exception):
            raise self.counts
        return 0

    def read_depths(self) -> Mapping[str, int]:
        if isinstance(self.depths, Exception):
            raise self.depths
        return self.depths


@pytest.fixture
def shared() -> Shared:
    return Shared()


@pytest.fixture
def metrics(shared: Shared) -> Metrics:
    """Metrics for accounts acme and beta, with shared state; acme has a webhook."""
    metrics = Metrics()
    metrics.initialise(["acme", "beta"], [("acme", ORDERS)])
    metrics.registry.register(
        SharedState(
            metrics,
            shared.read,
            shared.touch,
            shared.read_depths,
            ttls=lambda: {"acme": 50.0, "beta": 600.0},
            clock=lambda: shared.now,
            serves=lambda: shared.served,
        )
    )
    return metrics


def scrape(metrics: Metrics) -> Samples:
    """Every sample as Prometheus would read it."""
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {
        (sample.name.removeprefix("callworker_"), frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[(name, frozenset(labels.items()))]


def names(samples: Samples) -> set[str]:
    return {name for name, _ in samples}


@pytest.fixture(scope="module")
def used() -> Samples:
    """The samples of a worker that has seen everything."""
    return scrape(filled_metrics())


@pytest.mark.parametrize("name", CONTRACT)
def test_metric_of_the_contract_is_there(used: Samples, name: str) -> None:
    """Exact names and labels, in the text that Prometheus reads."""
    labels = [{key for key, _ in pairs} for found, pairs in used if found == name]
    assert labels and all(found == CONTRACT[name] for found in labels)


def test_every_metric_has_a_help_text(metrics: Metrics) -> None:
    """The list that an operator reads says what each one counts."""
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    own = [family for family in families if family.name.startswith("callworker_")]
    assert len(own) > 20 and all(family.documentation.endswith(".") for family in own)


def test_no_created_series(metrics: Metrics) -> None:
    """The client library's `_created` gauges would double the number of series."""
    assert not {name for name in names(scrape(metrics)) if name.endswith("_created")}


def test_series_of_an_account_appear_when_it_is_used(metrics: Metrics, shared: Shared) -> None:
    """An account that does nothing costs nothing, however many there are."""
    shared.counts = [count("acme"), count("beta")]
    shared.endpoints = [EndpointCount("acme", "orders")]
    assert not [labels for _, labels in scrape(metrics) if "account" in dict(labels)]
    metrics.duplicates.labels(metrics.account("acme")).inc()
    assert value(scrape(metrics), "duplicates_total", account="acme") == 1


def test_all_reasons_of_a_wait_begin_at_zero(metrics: Metrics) -> None:
    """There are few of them, so that rate() sees the first."""
    samples = scrape(metrics)
    assert all(value(samples, "job_wait_seconds_count", reason=reason) == 0 for reason in Reason)


def test_jobs_that_ended_are_counted_over_all_accounts() -> None:
    """The last line of the log says how many they were."""
    metrics = Metrics()
    watching = Watching(metrics)
    for n, status in enumerate(Status):
        watching.finished(f"job-{n}", "acme", Event("evt_1", status, "{}"), "", 1.0)
    assert metrics.count_finished() == len(Status)


def test_version_and_process_are_told(metrics: Metrics) -> None:
    """The metrics give the running version and the resources of the process."""
    samples = scrape(metrics)
    assert value(samples, "build_info", version=__version__) == 1
    assert {"process_resident_memory_bytes", "python_info"} <= names(samples)


def test_account_that_is_not_configured_shares_one_label(metrics: Metrics) -> None:
    """Foreign names must not make series without end."""
    assert (metrics.account("acme"), metrics.account("x" * 64)) == ("acme", "(unknown)")


def test_error_code_that_is_not_known_shares_one_label() -> None:
    """The operator's table adds to the known ones, the provider's whims do not."""
    metrics = Metrics(["BUSY_LINE"])
    codes = ["BUSY_LINE", "NO_POINTS", "SURPRISE"]
    assert [metrics.code(code) for code in codes] == ["BUSY_LINE", "NO_POINTS", "unknown"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Retry("x", sent=False), "not_rung"),
        (Retry("x", sent=True, retry_after_seconds=2), "provider_wish"),
        (Redial("x"), "perhaps_rung"),
        (Refused("X", "x"), "not_rung"),
        (AccountProblem("X", "x"), "not_rung"),
    ],
)
def test_retry_reason_tells_whether_the_phone_may_have_rung(error: CallError, reason: str) -> None:
    """The reasons are a closed set, and one of them means that the phone may ring a second time."""
    assert RetryReason.of(error) == reason


def test_shared_state_is_read_at_each_scrape(metrics: Metrics, shared: Shared) -> None:
    """Counts by account and reason. What is 0 has no series: no value stays behind when it is over."""
    shared.counts = [
        count("acme", held=3, oldest=12.5, hold="NO_POINTS"),
        count("beta", hold="operator", pending=2),
    ]
    shared.endpoints = [EndpointCount("acme", "orders", pending=4)]
    shared.unpublished, shared.dead, shared.away = 7, 3, 5
    shared.depths = {"calls": 5, "results": 0}
    samples = scrape(metrics)
    assert value(samples, "jobs_waiting", account="acme", reason="held") == 3
    assert value(samples, "oldest_waiting_seconds", account="acme") == 12.5
    assert value(samples, "oldest_waiting_ratio", account="acme") == 0.25
    assert value(samples, "account_held", account="acme", reason="NO_POINTS") == 1
    assert value(samples, "account_held", account="beta", reason="operator") == 1
    assert value(samples, "webhook_pending", account="beta") == 2
    assert value(samples, "webhook_endpoint_pending", account="acme", endpoint="orders") == 4
    assert value(samples, "results_unpublished") == 7
    assert value(samples, "dead_letters") == 3
    assert value(samples, "store_shards_away") == 5
    assert value(samples, "queue_depth", queue="calls") == 5
    assert value(samples, "store_up") == value(samples, "broker_up") == 1
    waiting = [dict(labels) for name, labels in samples if name == "jobs_waiting"]
    assert waiting == [{"account": "acme", "reason": "held"}]
    assert [
        labels for name, labels in samples if name.startswith("oldest") and ("account", "beta") in labels
    ] == []


def test_accounts_taken_out_of_the_file_are_counted_together(metrics: Metrics, shared: Shared) -> None:
    """Their jobs still wait and must be seen: added up, the oldest of them, held with an unusual code."""
    shared.counts = [
        count("old", backoff=2, oldest=5.0, hold="SURPRISE", pending=1),
        count("older", backoff=3, oldest=4.0, pending=1),
    ]
    samples = scrape(metrics)
    assert value(samples, "jobs_waiting", account="(unknown)", reason="backoff") == 5
    assert value(samples, "oldest_waiting_seconds", account="(unknown)") == 5
    assert value(samples, "account_held", account="(unknown)", reason="unknown") == 1
    assert value(samples, "webhook_pending", account="(unknown)") == 2


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("a fault of ours")])
def test_scrape_goes_on_without_the_store(metrics: Metrics, shared: Shared, error: Exception) -> None:
    """Its series are missing, not zero; all others are there."""
    shared.counts = error
    samples = scrape(metrics)
    assert value(samples, "store_up") == 0 and value(samples, "broker_up") == 1
    absent = {
        "jobs_waiting",
        "oldest_waiting_seconds",
        "account_held",
        "webhook_pending",
        "webhook_endpoint_pending",
        "webhook_given_up_total",
        "results_unpublished",
    }
    assert not absent & names(samples) and {"queue_depth", "calls_in_flight"} <= names(samples)


def test_scrape_goes_on_without_the_broker(metrics: Metrics, shared: Shared) -> None:
    """The store's series do not hang on the broker."""
    shared.depths = BrokerUnavailable("away")
    samples = scrape(metrics)
    assert value(samples, "broker_up") == 0 and value(samples, "store_up") == 1
    assert "queue_depth" not in names(samples) and "results_unpublished" in names(samples)


def test_worker_that_is_not_elected_tells_only_of_itself(metrics: Metrics, shared: Shared) -> None:
    """It still finds out whether the servers answer, and counts nothing in Redis for that."""
    shared.served = False
    samples = scrape(metrics)
    assert value(samples, "store_up") == value(samples, "broker_up") == 1
    assert not {"jobs_waiting", "results_unpublished", "queue_depth"} & names(samples)
    assert (shared.asked, shared.touched) == (0, 1)
    shared.counts = StoreUnavailable("away")
    shared.now += KEPT_SECONDS
    assert value(scrape(metrics), "store_up") == 0


def test_worker_that_is_elected_serves_with_its_next_scrape(metrics: Metrics, shared: Shared) -> None:
    """What it knew before, without having been elected, does not stand for what all workers share."""
    shared.served = False
    scrape(metrics)
    shared.served, shared.counts = True, [count("acme", backoff=2)]
    assert value(scrape(metrics), "jobs_waiting", account="acme", reason="backoff") == 2
    shared.served = False
    assert "jobs_waiting" not in names(scrape(metrics))


def test_store_is_asked_once_a_second_at_most(metrics: Metrics, shared: Shared) -> None:
    """Several scrapers, or one that hurries, do not load Redis; a failure is remembered as well."""
    scrape(metrics)
    shared.counts = StoreUnavailable("away")
    shared.now += KEPT_SECONDS / 2
    assert value(scrape(metrics), "store_up") == 1 and shared.asked == 1
    shared.now += KEPT_SECONDS
    assert value(scrape(metrics), "store_up") == 0
    assert value(scrape(metrics), "store_up") == 0 and shared.asked == 2


def test_registering_does_not_ask_the_store(metrics: Metrics, shared: Shared) -> None:
    """A worker must start while Redis is away."""
    assert shared.asked == 0
