"""Which accounts have series of their own, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from tests.doubles.clocks import FakeClock
from worker.core.endpoints import Endpoint
from worker.core.figures import AccountCount, EndpointCount
from worker.core.records import Reason
from worker.telemetry.account_labels import KEPT_SECONDS, RUN
from worker.telemetry.account_state import of_accounts
from worker.telemetry.endpoint_state import of_endpoints
from worker.telemetry.metrics import Metrics
from worker.telemetry.shared_metrics import SharedMetric

ACCOUNTS = [f"account-{n}" for n in range(10)]
MOST = 2
FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH = ACCOUNTS[:6]
HOOK = Endpoint(url="https://hooks.example.com/orders", name="orders", secret_env=("A",))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metrics(clock: FakeClock) -> Metrics:
    """Metrics of which the first two accounts are used."""
    metrics = Metrics()
    metrics.initialise(ACCOUNTS, [(name, HOOK) for name in ACCOUNTS], MOST, clock)
    assert [metrics.account(name) for name in (FIRST, SECOND)] == [FIRST, SECOND]
    return metrics


def named(metrics: Metrics, names: Iterable[str] = ACCOUNTS) -> list[str]:
    return [name for name in names if metrics.account(name) == name]


def fail(metrics: Metrics, *names: str) -> None:
    for name in names:
        for _ in range(RUN):
            metrics.accounts.failed(name)


def test_later_accounts_are_other(metrics: Metrics) -> None:
    """The first ones that are used keep their names; one that the file does not have stays apart."""
    assert named(metrics) == [FIRST, SECOND]
    assert metrics.account(THIRD) == "other" and metrics.account("elsewhere") == "(unknown)"


def test_changed_accounts_file_changes_the_names(metrics: Metrics) -> None:
    """A new account takes the place of one that is gone; as all places are taken, that one's series end."""
    metrics.jobs_finished.labels(FIRST, "placed").inc()
    metrics.use([SECOND, "new"], [("new", HOOK)])
    assert metrics.account("new") == "new" and metrics.endpoint("new", "orders") == ("new", "orders")
    assert metrics.account(FIRST) == "(unknown)"
    labels = {"account": FIRST, "status": "placed"}
    assert metrics.registry.get_sample_value("callworker_jobs_finished_total", labels) is None


def test_endpoints_of_other_accounts_are_other(metrics: Metrics) -> None:
    """They have names that differ from account to account."""
    assert metrics.endpoint(FIRST, "orders") == (FIRST, "orders")
    assert metrics.endpoint(THIRD, "orders") == ("other", "other")


def test_account_that_fails_again_and_again_has_its_name(metrics: Metrics) -> None:
    """So that its alert names it. A failure now and then is no need."""
    for _ in range(5):
        metrics.accounts.failed(THIRD)
        metrics.accounts.succeeded(THIRD)
    fail(metrics, FOURTH)
    metrics.accounts.succeeded(FOURTH)
    assert named(metrics) == [FIRST, SECOND, FOURTH]


def test_account_that_is_held_has_its_name_at_once(metrics: Metrics) -> None:
    """Nothing of it may fail again for long."""
    metrics.accounts.failed(THIRD, RUN)
    assert named(metrics) == [FIRST, SECOND, THIRD]


def test_as_many_in_need_have_names_as_others(metrics: Metrics) -> None:
    """The series stay few while everything fails, and nothing changes its name then."""
    fail(metrics, FIRST, *ACCOUNTS[2:], "elsewhere")
    assert named(metrics) == [FIRST, SECOND, THIRD, FOURTH]


def test_name_goes_on_to_another_account_in_need_after_an_hour(metrics: Metrics, clock: FakeClock) -> None:
    """The account that was in need the longest ago loses its series; it is "other" again."""
    fail(metrics, THIRD, FOURTH)
    for name in (THIRD, FOURTH, FIFTH):
        metrics.jobs_finished.labels(metrics.account(name), "failed").inc()
    clock.advance(KEPT_SECONDS)
    fail(metrics, THIRD, FIFTH, SIXTH)
    assert named(metrics) == [FIRST, SECOND, THIRD, FIFTH]
    assert counted(metrics, THIRD) == counted(metrics, "other") == 1
    assert counted(metrics, FOURTH) is None
    metrics.jobs_finished.labels(FOURTH, "failed").inc()
    assert counted(metrics, FOURTH) == 1


def counted(metrics: Metrics, account: str) -> float | None:
    labels = {"account": account, "status": "failed"}
    return metrics.registry.get_sample_value("callworker_jobs_finished_total", labels)


def waits(name: str, oldest: float = 1.0, hold: str | None = None, pending: int = 0) -> AccountCount:
    return AccountCount(name, {Reason.RATE_LIMIT: 2}, oldest, 0, hold, pending)


def told(families: Iterable[SharedMetric], name: str) -> dict[Sequence[str], float]:
    """The values of a metric by its labels."""
    samples = (sample for family in families for sample in family.samples if family.name.endswith(name))
    return {tuple(sample.labels.values()): sample.value for sample in samples}


def test_shared_metrics_name_the_held_and_the_oldest(metrics: Metrics) -> None:
    """Beside those that have names; the others are added up, and the oldest of them counts."""
    counts = [
        waits(FIRST, 1.0),
        waits(THIRD, 50.0),
        waits(FOURTH, 70.0),
        waits(FIFTH, 10.0, hold="operator: Bob"),
        waits(SIXTH, 20.0),
    ]
    families = list(of_accounts(metrics, counts, dict.fromkeys(ACCOUNTS, 100.0)))
    assert told(families, "jobs_waiting") == {
        (FIRST, "rate_limit"): 2,
        (FOURTH, "rate_limit"): 2,
        (FIFTH, "rate_limit"): 2,
        ("other", "rate_limit"): 4,
    }
    assert told(families, "oldest_waiting_seconds")[("other",)] == 50.0
    assert told(families, "oldest_waiting_ratio")[("other",)] == 0.5
    assert told(families, "account_held") == {(FIFTH, "operator"): 1}


def test_the_oldest_is_the_one_that_expires_first(metrics: Metrics) -> None:
    """A job that waits for an hour of a day is in less need than one that waits for a minute of two."""
    ttls = dict.fromkeys(ACCOUNTS, 86_400.0) | {FIFTH: 120.0, SIXTH: 120.0}
    counts = [*(waits(name, 3600.0) for name in ACCOUNTS[2:4]), waits(FIFTH, 60.0), waits(SIXTH, 60.0)]
    oldest = told(of_accounts(metrics, counts, ttls), "oldest_waiting_seconds")
    assert oldest == {(FIFTH,): 60.0, (SIXTH,): 60.0, ("other",): 3600.0}


def test_shared_metrics_name_the_endpoints_in_need(metrics: Metrics) -> None:
    """Those that are disabled, then those with an open breaker, then those that are latest."""
    counts = [
        EndpointCount(FIRST, "orders", 1, 5.0),
        EndpointCount(THIRD, "orders", 2, 90.0),
        EndpointCount(FOURTH, "orders", 3, 60.0, breaker_open=True),
        EndpointCount(FIFTH, "orders", 4, 20.0, disabled="gone"),
        EndpointCount(SIXTH, "orders", 5, 30.0),
    ]
    families = list(of_endpoints(metrics, counts))
    assert told(families, "webhook_endpoint_pending") == {
        (FIRST, "orders"): 1,
        (FOURTH, "orders"): 3,
        (FIFTH, "orders"): 4,
        ("other", "other"): 7,
    }
    assert told(families, "webhook_endpoint_disabled") == {(FIFTH, "orders", "gone"): 1}
