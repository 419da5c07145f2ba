"""What operators see of endpoints on Redis, and how they enable and disable them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import redis

from tests.contract.hooks import HOOKS, SHARD, Lanes
from tests.doubles import clocks
from tests.doubles.clocks import START_US, StoredClock
from worker.core.endpoints import Endpoint
from worker.delivery.ports import Destination, Health, Verdict
from worker.state import endpoints, steady
from worker.state.endpoint_views import Breaker, EndpointView, EndpointViews
from worker.state.endpoints import RedisEndpoints

ACME, NOBODY = Destination("acme", "one"), Destination("acme", "gone")
DAY = 86400


@pytest.fixture(autouse=True)
def own_time(clock: StoredClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """People are told the time of the test's clock too."""

    def ask(pipeline: Any, key: str) -> None:
        pipeline.get(key)
        pipeline.mget(*clocks.KEYS)

    monkeypatch.setattr(steady, "ask_clock", ask)


@pytest.fixture
def lanes(client: redis.Redis, clock: StoredClock) -> Lanes:
    return Lanes(client, clock)


@pytest.fixture
def acts(client: redis.Redis) -> RedisEndpoints:
    return RedisEndpoints(client)


def view(client: redis.Redis) -> EndpointView:
    return EndpointViews(client).view(ACME)


def test_view_of_an_endpoint_that_nothing_happened_to(client: redis.Redis) -> None:
    """It is enabled and empty, whether a worker knows it or not."""
    found = view(client)
    assert (found.state.word, found.state.breaker, found.state.concurrency) == ("enabled", Breaker.CLOSED, 4)
    assert (found.pending, found.oldest_us, found.next_us, found.attempts) == (0, None, None, ())
    assert not EndpointViews(client).knows(ACME)


def test_view_tells_what_waits_and_until_when(client: redis.Redis, clock: StoredClock, lanes: Lanes) -> None:
    """The oldest event may be in flight; the next attempt is told in Redis' own time."""
    lanes.end("a")
    clock.advance(10)
    lanes.end("b", "c")
    first, second, _ = sorted(lanes.take(), key=lambda one: one.job_id)
    lanes.again(second, 300.0)
    clock.set_store(3600.0)
    found = view(client)
    assert (found.pending, found.waiting, found.state.in_flight, found.state.sequence) == (3, 1, 2, 3)
    assert found.oldest_us == START_US
    assert found.next_us == START_US + (10 + 300 + 3600) * 1_000_000
    lanes.delivered(first)
    assert view(client).oldest_us == START_US + 10_000_000
    assert EndpointViews(client).knows(ACME)


def test_view_tells_the_last_attempts(client: redis.Redis, lanes: Lanes) -> None:
    """Newest first, each with what came back."""
    lanes.end("a")
    lanes.fail(2)
    lanes.delivered(lanes.one())
    told = view(client).as_dict()["attempts"]
    assert [(one["attempt"], one["status"], one["result"]) for one in told] == [
        (3, 200, "delivered"),
        (2, 500, "refused"),
        (1, 500, "refused"),
    ]
    assert (told[0]["body"], told[0]["seconds"], told[0]["sequence"]) == ("thanks", 0.25, 1)
    assert told[0]["at"].endswith("Z")


def test_view_tells_the_breaker(client: redis.Redis, clock: StoredClock, lanes: Lanes) -> None:
    """Open until a moment, then probing, then closed."""
    lanes.end("a")
    lanes.fail(10)
    found = view(client).state
    assert (found.word, found.failures) == ("open", 10)
    assert found.open_until_us == START_US + 30_000_000
    clock.advance(30)
    assert view(client).state.word == "probing"
    lanes.delivered(lanes.one())
    assert view(client).state.word == "enabled"


def test_view_tells_an_endpoint_that_is_slowed_down(client: redis.Redis, lanes: Lanes) -> None:
    """Until the moment that it asked for."""
    lanes.end("a")
    lanes.again(lanes.one(), 5.0, Health.SLOW, slow_seconds=60.0)
    assert view(client).state.slow_until_us == START_US + 60_000_000


def test_disabled_endpoint_keeps_what_waits(
    client: redis.Redis, clock: StoredClock, lanes: Lanes, acts: RedisEndpoints
) -> None:
    """Nothing goes to it until it is enabled, and the results queue hears of it once."""
    lanes.end("a")
    assert acts.disable(ACME) == ""
    assert acts.disable(ACME) == "operator"
    clock.advance(DAY)
    assert lanes.take() == []
    found = view(client)
    assert (found.state.word, found.state.disabled, found.pending) == ("disabled", "operator", 1)
    assert found.state.disabled_us == START_US and found.next_us is None
    (event,) = lanes.told()
    assert event["type"] == "endpoint.disabled" and event["id"].startswith("evt_")
    assert event["data"] == {"account": "acme", "endpoint": "one", "reason": "operator", "failures": 0}
    assert acts.enable(ACME) == "operator"
    assert lanes.names() == ["a"]


def test_enabled_endpoint_gets_everything_at_once(
    clock: StoredClock,
    lanes: Lanes,
    acts: RedisEndpoints,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its failures are forgotten, and what waited for hours goes in the order in which it was due, in any number."""
    monkeypatch.setattr(endpoints, "STEP", 2)
    lanes.end(*"abcde", hooks=HOOKS[:1])
    for wait in range(5):
        lanes.again(lanes.take(1)[0], 3600.0 - wait)
    waiting: Any = client.zrange(f"{SHARD}hook-lane:acme|one", 0, -1)
    lanes.end("f")
    lanes.fail(5)
    assert lanes.take() == []
    assert acts.enable(ACME) == ""
    assert view(client).state.word == "enabled" and view(client).state.failures == 0
    names: list[str] = []
    while taken := lanes.take():
        names += [one.job_id for one in taken]
        for one in taken:
            lanes.delivered(one)
    assert [name for name in names if name != "f"] == [member.decode()[0] for member in waiting]


def test_disabled_endpoint_that_was_told_so_is_enabled_again(
    client: redis.Redis, lanes: Lanes, acts: RedisEndpoints
) -> None:
    """410 disables; an operator's word ends that, and a first failure afterwards is the first."""
    lanes.end("a", "b")
    taken = lanes.take()
    lanes.again(taken[0], 5.0, disable="gone")
    assert lanes.again(taken[1], 5.0).failures == 2
    assert view(client).state.disabled == "gone"
    assert acts.enable(ACME) == "gone"
    assert lanes.again(lanes.take()[0], 5.0).failures == 1


def test_endpoint_that_no_worker_knows_can_be_seen_and_changed(
    client: redis.Redis, lanes: Lanes, acts: RedisEndpoints
) -> None:
    """By its account and key, as long as its events are on record."""
    gone = Endpoint(url="https://hooks.example.com/gone", secret_env=("A",), name="gone")
    lanes.end("a", hooks=[gone])
    lanes.conclude(lanes.one(), Verdict.GIVEN_UP, why="endpoint_gone")
    views = EndpointViews(client)
    assert views.knows(NOBODY) and views.view(NOBODY).given_up == Counter(endpoint_gone=1)
    assert acts.replay(NOBODY, ["a"], 0.0) == 1
    assert acts.disable(NOBODY) == "" and lanes.take() == []
    assert [state.word for state in views.states([NOBODY, ACME])] == ["disabled", "enabled"]
