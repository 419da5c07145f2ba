"""The events of webhooks that the scripts write, held against what the reference says of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from ops.schemas import DISABLED, FAILURES
from tests.contract.hooks import SHARD, Lanes
from tests.doubles.clocks import StoredClock
from tests.ops.examples import schema_for, validator
from worker.core.events import tells_of_job
from worker.delivery.ports import Destination
from worker.state.endpoints import RedisEndpoints
from worker.telemetry.labels import DISABLED_REASONS


@pytest.fixture
def lanes(client: redis.Redis, clock: StoredClock) -> Lanes:
    lanes = Lanes(client, clock)
    lanes.end("a")
    return lanes


def fits(event: dict[str, object]) -> bool:
    assert schema_for(event) == "endpoint-event.schema.json"
    return validator(schema_for(event)).is_valid(event)


def test_warning_of_a_failing_endpoint_fits_its_schema(lanes: Lanes, client: redis.Redis) -> None:
    """It comes at each number that the schema names, and at no other below a hundred."""
    key, told = f"{SHARD}hook:acme|one", []
    for failures in range(100):
        client.hset(key, mapping={"fails": failures, "open_until": 0, "opened": 0, "recent": ""})
        client.zadd(f"{SHARD}hooks", {"acme|one": 0})
        lanes.again(lanes.one(), 0.0)
        told = lanes.told()
    assert [event["data"]["failures"] for event in told] == list(FAILURES)
    assert all(fits(event) and event["type"] == "endpoint.failing" for event in told)
    assert len({event["id"] for event in told}) == len(FAILURES)


@pytest.mark.parametrize("reason", sorted(set(DISABLED) - {"operator"}))
def test_news_of_a_disabled_endpoint_fits_its_schema(lanes: Lanes, client: redis.Redis, reason: str) -> None:
    """Whatever the reason is."""
    lanes.again(lanes.one(), 60.0, disable=reason)
    (event,) = lanes.told()
    assert fits(event) and event["type"] == "endpoint.disabled"
    assert event["data"] == {"account": "acme", "endpoint": "one", "reason": reason, "failures": 1}


def test_news_of_what_an_operator_disabled_fits_its_schema(lanes: Lanes, client: redis.Redis) -> None:
    """It tells no failures if there were none."""
    RedisEndpoints(client).disable(Destination("acme", "one"))
    (event,) = lanes.told()
    assert fits(event) and event["data"]["reason"] == "operator" and event["data"]["failures"] == 0


def test_reasons_of_events_and_metrics_are_the_same() -> None:
    """An alert and the event that came with it say the same word."""
    assert tuple(DISABLED) == DISABLED_REASONS


def test_outbox_has_the_type_before_each_event(lanes: Lanes, client: redis.Redis) -> None:
    """So the routing key of an event is its type, and readers of jobs can tell it from theirs."""
    lanes.again(lanes.one(), 60.0, disable="gone")
    found: Any = client.lrange(f"{SHARD}outbox", 0, -1)
    rows = [row.decode().partition(" ") for row in found]
    assert [kind for kind, _, _ in rows] == ["call.placed", "endpoint.disabled"]
    assert all(json.loads(body)["type"] == kind for kind, _, body in rows)
    assert [tells_of_job(kind) for kind, _, _ in rows] == [True, False]
