"""What became of each event at an endpoint, on Redis; and events that are sent again."""

from __future__ import annotations

from collections import Counter

import pytest
import redis

from tests.contract.hooks import SHARD, Lanes
from tests.doubles.clocks import START_US, StoredClock
from worker.delivery.ports import Destination
from worker.state import endpoints
from worker.state.endpoint_log import EndpointLog, Logged, Selection, State
from worker.state.endpoint_views import EndpointView, EndpointViews
from worker.state.endpoints import RedisEndpoints

ACME = Destination("acme", "one")
FAILED = Selection(states=frozenset({State.GIVEN_UP}))


@pytest.fixture
def lanes(client: redis.Redis, clock: StoredClock) -> Lanes:
    return Lanes(client, clock)


@pytest.fixture
def acts(client: redis.Redis) -> RedisEndpoints:
    return RedisEndpoints(client)


@pytest.fixture
def log(client: redis.Redis) -> EndpointLog:
    return EndpointLog(client, ACME)


def view(client: redis.Redis) -> EndpointView:
    return EndpointViews(client).view(ACME)


def jobs(found: tuple[list[Logged], int]) -> tuple[list[str], int]:
    return [one.job_id for one in found[0]], found[1]


def test_log_tells_what_became_of_each_number(
    client: redis.Redis, clock: StoredClock, lanes: Lanes, log: EndpointLog
) -> None:
    """Delivered, given up, waiting, older than the records, not given yet."""
    lanes.end("a")
    lanes.end("b")
    lanes.end("c")
    taken = {one.job_id: one for one in lanes.take()}
    clock.advance(2)
    lanes.delivered(taken["a"])
    lanes.give_up(taken["b"])
    lanes.end("d")
    client.delete(f"{SHARD}job:a")
    told = log.between(1, 5)
    assert [(one.sequence, one.state, one.job_id, one.why) for one in told] == [
        (1, State.EXPIRED, "", ""),
        (2, State.GIVEN_UP, "b", "attempts_spent"),
        (3, State.WAITING, "c", ""),
        (4, State.WAITING, "d", ""),
        (5, State.NOT_GIVEN, "", ""),
    ]
    assert told[1].event_id == taken["b"].event_id and told[1].event_type == "call.placed"
    assert (told[1].attempts, told[1].changed_us) == (1, START_US + 2_000_000)
    assert told[0].as_dict()["job"] is None and told[1].as_dict()["changed_at"] is not None


@pytest.fixture
def mixed(clock: StoredClock, lanes: Lanes) -> Lanes:
    """Jobs a to e, a second apart: a and d delivered, b and c given up, e waits."""
    for name in "abcde":
        lanes.end(name)
        if name in "ad":
            lanes.delivered(lanes.one())
        elif name in "bc":
            lanes.give_up(lanes.one())
        clock.advance(1)
    return lanes


def test_selection_has_what_is_over_oldest_first(
    mixed: Lanes, log: EndpointLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is never chosen; of too many the oldest are, and all are counted."""
    monkeypatch.setattr("worker.state.endpoint_log._CHUNK", 2)
    assert jobs(log.chosen(Selection(), 9)) == (["a", "b", "c", "d"], 4)
    assert jobs(log.chosen(Selection(), 2)) == (["a", "b"], 4)
    assert jobs(log.chosen(FAILED, 9)) == (["b", "c"], 2)


def test_selection_by_time_type_and_job(mixed: Lanes, log: EndpointLog) -> None:
    """Each narrows the others; a job without an event for the endpoint is told."""
    since = Selection(since_us=START_US + 2_000_000)
    assert jobs(log.chosen(since, 9)) == (["c", "d"], 2)
    assert jobs(log.chosen(Selection(types=("call.failed",)), 9)) == ([], 0)
    assert jobs(log.chosen(Selection(types=("call.failed", "call.pl*")), 9))[1] == 4
    named = Selection(jobs=frozenset({"d", "b", "e", "z"}))
    assert jobs(log.chosen(named, 9)) == (["b", "d"], 2)
    assert log.jobs_without(["d", "z", "e"]) == ["z"]


def test_replayed_event_keeps_its_number_and_bytes(
    client: redis.Redis, mixed: Lanes, acts: RedisEndpoints
) -> None:
    """It goes out as its first attempt, is counted while it waits, and its record stays until it is over."""
    mixed.delivered(mixed.one())
    before = mixed.left_seconds("b")
    assert acts.replay(ACME, ["b"], 0.0) == 1
    assert mixed.pending() == view(client).pending == 1
    assert mixed.about("b") == ["2", "waiting", "0", "replayed"]
    assert mixed.left_seconds("b") == float("inf")
    again = mixed.one()
    assert (again.job_id, again.attempt, again.sequence) == ("b", 1, 2)
    assert again.body == client.hget(f"{SHARD}job:b", "event")
    mixed.delivered(again)
    assert mixed.about("b") == ["2", "delivered", "1", "200"]
    assert mixed.pending() == view(client).pending == 0
    assert 0 < mixed.left_seconds("b") <= before


def test_nothing_is_replayed_twice(client: redis.Redis, mixed: Lanes, acts: RedisEndpoints) -> None:
    """What waits or is in flight stays as it is, as does an id without a record."""
    assert acts.replay(ACME, ["b", "b", "e", "nobody"], 0.0) == 1
    assert view(client).pending == 2
    taken = mixed.take()
    assert sorted(one.job_id for one in taken) == ["b", "e"]
    assert acts.replay(ACME, ["b", "e"], 0.0) == 0
    assert mixed.take() == []


def test_replay_is_spread(
    clock: StoredClock, mixed: Lanes, acts: RedisEndpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order given, at even distances, however many steps it takes."""
    monkeypatch.setattr(endpoints, "STEP", 2)
    mixed.delivered(mixed.one())
    assert acts.replay(ACME, ["a", "b", "c"], 30.0) == 3
    seen = []
    for _ in range(3):
        seen.append(mixed.names())
        clock.advance(10)
    assert seen == [["a"], ["b"], ["c"]]


def test_given_up_deliveries_are_counted_by_reason(
    client: redis.Redis, mixed: Lanes, acts: RedisEndpoints
) -> None:
    """Until they are replayed."""
    assert view(client).given_up == Counter(attempts_spent=2)
    acts.replay(ACME, ["b"], 0.0)
    assert view(client).given_up == Counter(attempts_spent=1)
