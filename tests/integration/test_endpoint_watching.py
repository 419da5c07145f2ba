"""What operators see of webhook endpoints that are well, that fail and that are gone: metrics, events, log and job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.outside import Outside, new_job
from tests.integration.receiver import Hook, Receiver, local_hook
from tests.integration.stack import Stack, Worker
from tests.integration.stand_in import StandIn, gives_ref
from tests.ops.examples import validator
from tests.processes import wait_until
from tests.redis_server import RedisServer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ANSWERS = {"well": 204, "failing": 500, "gone": 410}


def answer(hook: Hook) -> int:
    return ANSWERS[hook.path.strip("/")]


@dataclass(frozen=True)
class Scene:
    """Two workers of one installation, after one event for each endpoint."""

    workers: list[Worker]
    outside: Outside
    receiver: Receiver

    def told(self, name: str, endpoint: str, **labels: str) -> list[float]:
        """What each worker tells of an endpoint."""
        return [worker.metric(name, account="acme", endpoint=endpoint, **labels) for worker in self.workers]

    def wait(self, value: float, name: str, endpoint: str, **labels: str) -> None:
        """Wait until the worker that tells of all of them tells so: what it tells is kept for a moment."""
        wait_until(
            lambda: max(self.told(name, endpoint, **labels)) == value, f"{name} of {endpoint} is {value}"
        )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, own_redis: RedisServer) -> Iterator[Scene]:
    folder, url = tmp_path_factory.mktemp("stack"), own_redis.url
    with Receiver(answer) as receiver, StandIn(lambda _: gives_ref()) as provider:
        hooks = [local_hook(f"{receiver.url}/{name}", secret_env="HOOK", name=name) for name in ANSWERS]
        accounts: dict[str, dict[str, Any]] = {"acme": {"rate": "200/s", "burst": 100, "webhooks": hooks}}
        with Stack(folder, url, url, provider.url, accounts, HOOK=SECRET) as stack:
            workers = [stack.start("run"), stack.start("run")]
            stack.outside.send(new_job("first"))
            wait_until(lambda: len(receiver.hooks) >= len(ANSWERS), "each endpoint is asked")
            yield Scene(workers, stack.outside, receiver)


def test_endpoint_that_is_well_has_nothing_pending(scene: Scene) -> None:
    """Its delivery is timed at one of the workers, and its ratio is 1."""
    scene.wait(1, "webhook_endpoint_success_ratio", "well")
    scene.wait(0, "webhook_endpoint_pending", "well")
    wait_until(
        lambda: sum(scene.told("webhook_delivery_seconds_count", "well")) == 1, "the delivery is timed"
    )
    assert sum(scene.told("webhook_endpoint_attempts_total", "well", result="delivered")) == 1


def test_endpoint_that_fails_has_a_backlog_with_an_age(scene: Scene) -> None:
    """The failed attempt counts, and the event waits."""
    scene.wait(1, "webhook_endpoint_pending", "failing")
    scene.wait(0, "webhook_endpoint_success_ratio", "failing")
    wait_until(
        lambda: max(scene.told("webhook_endpoint_oldest_pending_seconds", "failing")) > 0, "it has an age"
    )
    assert sum(scene.told("webhook_endpoint_attempts_total", "failing", result="refused")) >= 1
    assert sum(scene.told("webhook_delivery_seconds_count", "failing")) == 0


def test_endpoint_that_is_gone_is_disabled_and_told(scene: Scene) -> None:
    """By a metric, an event on the results queue and a log line; its event is kept."""
    scene.wait(1, "webhook_endpoint_disabled", "gone", reason="gone")
    scene.wait(1, "webhook_endpoint_pending", "gone")
    wait_until(lambda: "endpoint.disabled" in scene.outside.delivered, "the event came")
    (delivered,) = scene.outside.delivered["endpoint.disabled"]
    assert delivered.routing_key == "endpoint.disabled"
    validator("endpoint-event.schema.json").validate(delivered.event)
    assert delivered.event["data"] == {"account": "acme", "endpoint": "gone", "reason": "gone", "failures": 1}
    lines = [line for worker in scene.workers for line in worker.told("webhook.endpoint_disabled")]
    assert [(line["account"], line["endpoint"], line["reason"]) for line in lines] == [
        ("acme", "gone", "gone")
    ]


def test_address_of_an_endpoint_is_in_no_metric(scene: Scene) -> None:
    """Neither the host nor the path; labels have names."""
    text = "".join(worker.get("/metrics")[1] for worker in scene.workers)
    assert 'endpoint="failing"' in text and str(scene.receiver.port) not in text
