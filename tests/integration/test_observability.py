"""The reports of a live worker: every metric of the contract, counted right, and the two health pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.outside import Job, Outside, new_job
from tests.integration.receiver import Receiver, local_hook
from tests.integration.stack import Stack, Worker, api_key
from tests.integration.stand_in import Asked, Reply, StandIn, gives_ref, refuses
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.core.records import Reason

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TYPES = {
    "jobs_accepted": ("counter", {"account", "source"}),
    "jobs_finished": ("counter", {"account", "status"}),
    "provider_requests": ("counter", {"account", "result"}),
    "provider_request_seconds": ("histogram", set()),
    "provider_errors": ("counter", {"account", "code"}),
    "retries": ("counter", {"account", "reason"}),
    "job_wait_seconds": ("histogram", {"reason"}),
    "job_seconds": ("histogram", {"account"}),
    "jobs_waiting": ("gauge", {"account", "reason"}),
    "oldest_waiting_seconds": ("gauge", {"account"}),
    "account_held": ("gauge", {"account", "reason"}),
    "duplicates": ("counter", {"account"}),
    "webhook_attempts": ("counter", {"account", "result"}),
    "webhook_attempt_seconds": ("histogram", set()),
    "webhook_pending": ("gauge", {"account"}),
    "webhook_endpoint_attempts": ("counter", {"account", "endpoint", "result"}),
    "webhook_delivery_seconds": ("histogram", {"account", "endpoint"}),
    "webhook_endpoint_pending": ("gauge", {"account", "endpoint"}),
    "webhook_endpoint_oldest_pending_seconds": ("gauge", {"account", "endpoint"}),
    "webhook_endpoint_breaker_open": ("gauge", {"account", "endpoint"}),
    "webhook_endpoint_disabled": ("gauge", {"account", "endpoint", "reason"}),
    "webhook_endpoint_success_ratio": ("gauge", {"account", "endpoint"}),
    "webhook_given_up": ("counter", {"account", "endpoint", "reason"}),
    "results_unpublished": ("gauge", set()),
    "calls_in_flight": ("gauge", set()),
    "queue_depth": ("gauge", {"queue"}),
    "last_progress_timestamp_seconds": ("gauge", set()),
}
"""The contract's names without `callworker_`; a counter's samples end in `_total` besides."""

ABSENT = {
    "webhook_pending",
    "webhook_endpoint_pending",
    "webhook_endpoint_oldest_pending_seconds",
    "webhook_endpoint_disabled",
    "webhook_given_up",
}
"""What is 0 here has no series."""

Labels = dict[str, str]
LEFT = ("webhook_pending", "results_unpublished", "queue_depth")
COUNTED: list[tuple[str, Labels, float]] = [
    ("jobs_accepted_total", {"account": "acme", "source": "celery"}, 4),
    ("jobs_accepted_total", {"account": "acme", "source": "stream"}, 2),
    ("jobs_finished_total", {"account": "acme", "status": "placed"}, 3),
    ("jobs_finished_total", {"account": "acme", "status": "failed"}, 1),
    ("jobs_finished_total", {"account": "acme", "status": "unknown"}, 1),
    ("jobs_finished_total", {"account": "acme", "status": "rejected"}, 1),
    ("provider_requests_total", {"account": "acme"}, 7),
    ("provider_errors_total", {"account": "acme", "code": "INVALID_TELEPHONE"}, 1),
    ("retries_total", {"account": "acme"}, 2),
    ("job_seconds_count", {"account": "acme"}, 6),
    ("duplicates_total", {"account": "acme"}, 1),
    ("webhook_attempts_total", {"account": "acme", "result": "delivered"}, 6),
    ("webhook_attempt_seconds_count", {}, 6),
    ("webhook_endpoint_attempts_total", {"account": "acme", "endpoint": "orders", "result": "delivered"}, 6),
    ("webhook_delivery_seconds_count", {"account": "acme", "endpoint": "orders"}, 6),
    ("webhook_endpoint_success_ratio", {"account": "acme", "endpoint": "orders"}, 1),
    ("webhook_endpoint_pending", {"account": "acme"}, 0),
    ("webhook_endpoint_oldest_pending_seconds", {"account": "acme"}, 0),
    ("webhook_endpoint_breaker_open", {"account": "acme"}, 0),
    ("webhook_endpoint_disabled", {"account": "acme"}, 0),
    ("webhook_given_up_total", {"account": "acme"}, 0),
    ("jobs_waiting", {"account": "slow", "reason": "rate_limit"}, 4),
    ("jobs_waiting", {"account": "poor", "reason": "held"}, 1),
    ("account_held", {"account": "poor", "reason": "NO_POINTS"}, 1),
    ("account_held", {"account": "acme"}, 0),
    ("webhook_pending", {"account": "acme"}, 0),
    ("results_unpublished", {}, 0),
    ("calls_in_flight", {}, 0),
    ("queue_depth", {}, 0),
]
"""What one worker counts once `JOBS` have run their course; labels that are left out are added up."""


def script(asked: Asked) -> Reply:
    """A number's last four digits as in the sandbox, and one account without points."""
    if asked.form["key"] == api_key("poor"):
        return refuses("NO_POINTS")
    if asked.phone.endswith("0001"):
        return refuses("INVALID_TELEPHONE")
    if asked.phone.endswith("0002") and asked.turn == 1:
        return Reply("", 503)
    return Reply("") if asked.phone.endswith("0005") else gives_ref()


def jobs() -> tuple[list[Job], list[Job]]:
    """Jobs of account acme by Celery, and those by the stream."""
    celery = [
        new_job("placed"),
        new_job("retried", phone="2125550002"),
        new_job("failed", phone="2125550001"),
        new_job("unknown", phone="2125550005"),
    ]
    return celery, [new_job("streamed"), new_job("rejected", code="1")]


@dataclass(frozen=True)
class Scene:
    """One worker that has done its work, and the provider that it asked."""

    worker: Worker
    outside: Outside
    provider: StandIn


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, own_redis: RedisServer) -> Iterator[Scene]:
    folder, url = tmp_path_factory.mktemp("stack"), own_redis.url
    with Receiver() as receiver, StandIn(script) as provider:
        hook = local_hook(f"{receiver.url}/hook", secret_env="HOOK", name="orders")
        accounts: dict[str, dict[str, Any]] = {
            "acme": {"rate": "200/s", "burst": 100, "webhooks": [hook]},
            "slow": {"rate": "1/h"},
            "poor": {"rate": "200/s", "burst": 100},
        }
        with Stack(folder, url, url, provider.url, accounts, HOOK=SECRET) as stack:
            worker, (celery, stream) = stack.start("run"), jobs()
            stack.outside.send(
                *celery, *(new_job(f"slow-{n}", "slow") for n in range(5)), new_job("poor", "poor")
            )
            stack.outside.stream(*stream)
            stack.outside.wait([*(job["id"] for job in (*celery, *stream)), "slow-0"])
            stack.outside.send(celery[0])
            wait_until(lambda: len(receiver.hooks) == 6, "the hooks went out")
            wait_until(lambda: worker.metric("webhook_attempts_total") == 6, "the hooks are counted")
            wait_until(lambda: worker.metric("duplicates_total") == 1, "the repeat is counted")
            # What tells of all workers together is kept for a moment, and may be from before the last event was out.
            wait_until(lambda: not any(map(worker.metric, LEFT)), "nothing is left to be sent")
            wait_until(lambda: worker.metric("account_held", account="poor") == 1, "the account is held")
            wait_until(
                lambda: worker.metric("jobs_waiting", account="poor", reason="held") == 1, "its job waits"
            )
            wait_until(lambda: worker.metric("jobs_waiting", account="slow") == 4, "the others wait")
            yield Scene(worker, stack.outside, provider)


def test_every_metric_of_the_contract_is_there(scene: Scene) -> None:
    """Each name is of the type that it sounds like, and has the labels that the contract gives it.

    All have samples but those of troubles that this worker does not have.
    """
    families = {
        family.name: family for family in text_string_to_metric_families(scene.worker.get("/metrics")[1])
    }
    for name, (kind, labels) in TYPES.items():
        family = families[f"callworker_{name}"]
        assert family.type == kind, name
        found = {frozenset(sample.labels.keys() - {"le"}) for sample in family.samples}
        assert found == (set() if name in ABSENT else {frozenset(labels)}), name


@pytest.mark.parametrize(("name", "labels", "value"), COUNTED, ids=str)
def test_metric_tells_what_happened(scene: Scene, name: str, labels: Labels, value: float) -> None:
    """Each metric agrees with what the provider, the subscriber and the results queue saw."""
    assert scene.worker.metric(name, **labels) == value


def test_requests_are_counted_as_the_provider_saw_them(scene: Scene) -> None:
    """The counts include the requests of the held account, which is probed now and then."""
    wait_until(
        lambda: (
            scene.worker.metric("provider_request_seconds_count") == len(scene.provider.asked) >= 9
            and scene.worker.metric("provider_errors_total", account="poor", code="NO_POINTS")
            == sum(asked.form["key"] == api_key("poor") for asked in scene.provider.asked)
        ),
        "the counts agree",
    )


def test_waits_are_told_by_their_reasons(scene: Scene) -> None:
    """Waits are counted under the contract's reasons, and the oldest waiting job has a metric."""
    families = text_string_to_metric_families(scene.worker.get("/metrics")[1])
    (waits,) = [family for family in families if family.name == "callworker_job_wait_seconds"]
    assert {sample.labels["reason"] for sample in waits.samples} == set(Reason)
    assert scene.worker.metric("oldest_waiting_seconds", account="slow") > 0


def test_health_pages_are_well(scene: Scene) -> None:
    """/livez and /readyz are 200 on a worker that has all it needs."""
    assert [scene.worker.get(path) for path in ("/livez", "/readyz")] == [(200, "ok\n")] * 2
