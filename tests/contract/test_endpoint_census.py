"""The census of webhook endpoints on Redis: what is on its way, how long, and each endpoint's health."""

from __future__ import annotations

from typing import Any, cast

import pytest
import redis

from tests.contract.hooks import HOOKS, SHARD, Lanes
from tests.doubles.clocks import StoredClock
from worker.core.figures import EndpointCount
from worker.delivery.ports import Destination
from worker.state.census import Census
from worker.state.endpoints import RedisEndpoints
from worker.telemetry.labels import DISABLED_REASONS, GIVEN_UP_REASONS

ONE, TWO = (Destination("acme", hook.key) for hook in HOOKS)


@pytest.fixture
def lanes(client: redis.Redis) -> Lanes:
    """Lanes in real time: the census reads the server's own clock."""
    return Lanes(client, StoredClock(client))


def counts(client: redis.Redis, *destinations: Destination) -> list[EndpointCount]:
    return Census(client).endpoints(destinations)


def one(client: redis.Redis) -> EndpointCount:
    return counts(client, ONE)[0]


def change(client: redis.Redis, field: str, value: str) -> None:
    """Set a field of the first endpoint's state."""
    client.hset(f"{SHARD}hook:acme|one", field, value)


def make_due(client: redis.Redis) -> None:
    """Make all that waits for the first endpoint due now."""
    for member, _ in client.zscan_iter(f"{SHARD}hook-lane:acme|one"):
        client.zadd(f"{SHARD}hook-lane:acme|one", {member: 0})
    client.zadd(f"{SHARD}hooks", {"acme|one": 0})


def test_endpoint_without_deliveries_has_nothing(client: redis.Redis) -> None:
    """An endpoint that never had an event counts zero everywhere."""
    assert counts(client, ONE, TWO) == [EndpointCount("acme", "one"), EndpointCount("acme", "two")]
    assert counts(client) == []


def test_what_waits_and_what_is_in_flight_is_pending(client: redis.Redis, lanes: Lanes) -> None:
    """A delivery is pending from its event to its end, at each endpoint for itself, whatever happens meanwhile."""
    lanes.end("a", "b", hooks=HOOKS)
    assert [found.pending for found in counts(client, ONE, TWO)] == [2, 2]
    first, second = (delivery for delivery in lanes.take() if delivery.destination == ONE)
    assert one(client).pending == 2
    lanes.again(first, 60.0)
    lanes.delivered(second)
    assert [found.pending for found in counts(client, ONE, TWO)] == [1, 2]


def test_oldest_is_told_by_its_event_and_not_by_its_next_attempt(client: redis.Redis, lanes: Lanes) -> None:
    """A delivery that waits for a later attempt than all others is still the oldest, until it is over."""
    lanes.end("old", "new")
    old, new = lanes.take()
    lanes.again(old, 3600.0)
    lanes.again(new, 1.0)
    client.zincrby(f"{SHARD}hook-open:acme|one", -90_000, "old")
    assert 90 <= one(client).oldest_seconds < 120
    make_due(client)
    (old,) = (delivery for delivery in lanes.take() if delivery.job_id == "old")
    lanes.delivered(old)
    assert one(client).oldest_seconds < 30 and one(client).pending == 1


def test_replay_is_on_its_way_since_its_own_moment(client: redis.Redis, lanes: Lanes) -> None:
    """Not since its event, so that old events that are sent again do not look like a backlog."""
    lanes.end("a", "b")
    for delivery in lanes.take():
        lanes.delivered(delivery)
    client.hset(f"{SHARD}job:a", "finished", 1)
    assert RedisEndpoints(client).replay(ONE, ["a", "b"], 60.0) == 2
    found: Any = client.zrange(f"{SHARD}hook-open:acme|one", 0, -1, withscores=True)
    (_, first), (_, second) = found
    assert 25_000 < second - first < 35_000
    assert one(client).pending == 2 and one(client).oldest_seconds < 30


def test_endpoint_that_others_know_is_counted_too(client: redis.Redis, lanes: Lanes) -> None:
    """What waits for endpoints that are not asked for is told as theirs, without their health."""
    lanes.end("a", hooks=HOOKS)
    assert counts(client, ONE)[1:] == [EndpointCount("acme", "two", 1)]


def test_attempts_of_the_last_minutes_are_counted(client: redis.Redis, lanes: Lanes) -> None:
    """Good and bad ones, of every worker; those of more than five minutes ago are left out."""
    lanes.end(*"abc")
    first, second, third = lanes.take()
    lanes.delivered(first)
    lanes.again(second, 0.0)
    assert (one(client).delivered, one(client).failed) == (1, 1)
    minute = int(cast(bytes, client.hget(f"{SHARD}hook:acme|one", "recent")).partition(b":")[0])
    change(client, "recent", f"{minute - 5}:1:1 {minute - 2}:20:30")
    assert (one(client).delivered, one(client).failed) == (20, 30)
    lanes.delivered(third)
    assert (one(client).delivered, one(client).failed) == (21, 30)


def test_breaker_is_open_from_the_tenth_failure_to_a_success(client: redis.Redis, lanes: Lanes) -> None:
    """Also while a probe is under way."""
    lanes.end("a")
    lanes.fail(9)
    assert not one(client).breaker_open
    lanes.fail(1)
    assert one(client).breaker_open
    change(client, "open_until", "0")
    make_due(client)
    probe = lanes.one()
    assert one(client).breaker_open
    lanes.delivered(probe)
    assert not one(client).breaker_open


@pytest.mark.parametrize("reason", ["gone", "asked"])
def test_endpoint_that_is_disabled_says_why(client: redis.Redis, lanes: Lanes, reason: str) -> None:
    """The reason is one of those that the metrics have; what waits is still pending."""
    lanes.end("a", "b")
    lanes.again(lanes.take()[0], 60.0, disable=reason)
    assert (one(client).disabled, one(client).pending) == (reason, 2)
    assert reason in DISABLED_REASONS


def test_what_was_given_up_is_counted_by_reason(client: redis.Redis, lanes: Lanes) -> None:
    """By all workers together, and for as long as the endpoint is known."""
    lanes.end("a", "b", "c")
    first, second, third = lanes.take()
    lanes.give_up(first)
    lanes.give_up(second)
    lanes.delivered(third)
    assert one(client).given_up == {"attempts_spent": 2} and one(client).pending == 0
    assert "attempts_spent" in GIVEN_UP_REASONS


@pytest.mark.parametrize("key", ["hook-pending", "hook:acme|one", "hook-open:acme|one"])
def test_key_of_another_type_leaves_the_rest(client: redis.Redis, lanes: Lanes, key: str) -> None:
    """A scrape does not fail over it: the key counts as empty, and the other endpoint is told."""
    lanes.end("a", hooks=HOOKS)
    client.rename(SHARD + key, "elsewhere")
    client.set(SHARD + key, "text")
    found = {count.endpoint: count for count in counts(client, ONE, TWO)}
    assert found["two"].pending == (0 if key == "hook-pending" else 1)


def test_many_endpoints_are_counted(client: redis.Redis, lanes: Lanes) -> None:
    """More than are read in one round trip, each in its place."""
    lanes.end("a")
    many = [Destination("acme", f"hook-{number}") for number in range(1200)]
    found = counts(client, *many, ONE)
    assert [count.endpoint for count in found] == [*(key for _, key in many), "one"]
    assert [count.pending for count in found] == [0] * 1200 + [1]
