"""What a job's record on Redis says of its webhooks, as `callworker job` reads it."""

from __future__ import annotations

import pytest
import redis

from tests.contract.hooks import HOOKS, Lanes
from tests.doubles.clocks import START_US, StoredClock
from worker.delivery.ports import Destination
from worker.state.job_webhooks import JobWebhook
from worker.state.views import JobViews


@pytest.fixture
def lanes(client: redis.Redis, clock: StoredClock) -> Lanes:
    return Lanes(client, clock)


def webhooks(client: redis.Redis, job_id: str) -> tuple[JobWebhook, ...]:
    view = JobViews(client).find(job_id)
    assert view is not None
    return view.webhooks


def test_job_without_endpoints_has_no_webhooks(client: redis.Redis, lanes: Lanes) -> None:
    """Nor has one that has not ended."""
    lanes.end("a", hooks=())
    assert webhooks(client, "a") == ()


def test_webhook_is_told_from_its_event_to_its_end(client: redis.Redis, lanes: Lanes) -> None:
    """The number at the endpoint, the state and since when, the attempts made, and the last answer."""
    lanes.end("before")
    lanes.end("a", hooks=HOOKS)
    waits = JobWebhook("one", 2, "waiting", 0, None, START_US)
    assert webhooks(client, "a") == (waits, JobWebhook("two", 1, "waiting", 0, None, START_US))
    lanes.clock.advance(1.0)
    taken = {delivery.destination: delivery for delivery in lanes.take() if delivery.job_id == "a"}
    first, second = (taken[Destination("acme", hook.key)] for hook in HOOKS)
    lanes.again(first, 5.0)
    lanes.delivered(second)
    assert webhooks(client, "a") == (
        JobWebhook("one", 2, "waiting", 1, "500", START_US + 1_000_000),
        JobWebhook("two", 1, "delivered", 1, "200", START_US + 1_000_000),
    )


def test_webhook_that_was_given_up_tells_why(client: redis.Redis, lanes: Lanes) -> None:
    """In place of the last answer."""
    lanes.end("a")
    lanes.give_up(lanes.one())
    (webhook,) = webhooks(client, "a")
    assert (webhook.state, webhook.attempts, webhook.why) == ("given_up", 1, "attempts_spent")
