"""The lanes of webhook endpoints on Redis: due deliveries are leased, come back until concluded, and are counted."""

from __future__ import annotations

import json
from math import inf

import pytest
import redis

from tests.contract.hooks import HOOKS, LEASE_SECONDS, RETENTION_SECONDS, SHARD, Lanes
from tests.doubles.clocks import StoredClock
from worker.core.endpoints import Endpoint
from worker.delivery.ports import Destination, Verdict
from worker.delivery.schedule import ATTEMPT_SECONDS
from worker.redisio.connection import SOCKET_SECONDS
from worker.state.deliveries import SWEEP_SECONDS, RedisDeliveries, count_pending
from worker.state.lua import store_scripts

DAY = 86400
ACME = Destination("acme", "one")


@pytest.fixture
def lanes(client: redis.Redis, clock: StoredClock) -> Lanes:
    return Lanes(client, clock)


def test_event_is_due_at_once_for_each_endpoint(client: redis.Redis, lanes: Lanes) -> None:
    """A delivery carries the event's bytes and id, its endpoint, and counts from the first attempt."""
    lanes.end("a", hooks=HOOKS)
    first, second = lanes.take()
    assert {first.endpoint_key, second.endpoint_key} == {"one", "two"}
    assert first.body == second.body == client.hget(f"{SHARD}job:a", "event")
    assert json.loads(first.body)["id"] == first.event_id
    assert (first.account, first.job_id, first.attempt, first.sequence) == ("acme", "a", 1, 1)
    assert lanes.pending() == 2


def test_numbers_of_an_endpoint_have_no_gap(lanes: Lanes) -> None:
    """Each endpoint counts its own deliveries, and a repeated attempt keeps its number."""
    lanes.end("a", "b", hooks=HOOKS)
    lanes.end("c", hooks=HOOKS[1:])
    taken = lanes.take()
    assert {(one.endpoint_key, one.job_id): one.sequence for one in taken} == {
        ("one", "a"): 1,
        ("one", "b"): 2,
        ("two", "a"): 1,
        ("two", "b"): 2,
        ("two", "c"): 3,
    }
    second = next(one for one in taken if (one.endpoint_key, one.job_id) == ("two", "b"))
    lanes.again(second, 0.0)
    (again,) = lanes.take()
    assert (again.job_id, again.sequence, again.attempt) == ("b", 2, 2)


@pytest.mark.parametrize("seconds", [-90.0, 90.0])
def test_clock_that_is_set_moves_no_attempt(clock: StoredClock, lanes: Lanes, seconds: float) -> None:
    """The first is made at once, the next when its pause is over, however Redis' clock was set meanwhile. (B6)"""
    lanes.end("a")
    clock.set_store(seconds)
    lanes.again(lanes.one(), 5.0)
    clock.set_store(seconds)
    assert lanes.take() == []
    clock.advance(5)
    assert lanes.one().attempt == 2


def test_leased_delivery_is_nobody_elses(clock: StoredClock, lanes: Lanes) -> None:
    """A delivery is not given out again until its lease has run out; then it is, as the same attempt."""
    lanes.end("a")
    first = lanes.one()
    clock.advance(LEASE_SECONDS - 0.1)
    assert lanes.take() == []
    clock.advance(0.1)
    assert lanes.one() == first


def test_busy_worker_looks_for_lost_leases_now_and_then(
    client: redis.Redis, clock: StoredClock, lanes: Lanes
) -> None:
    """A worker asks for deliveries a thousand times a second, and looks for leases that ran out a few times."""
    busy = RedisDeliveries(store_scripts(client), attempt_seconds=ATTEMPT_SECONDS, clock=clock)
    lanes.end("a")
    first = lanes.one()
    clock.advance(LEASE_SECONDS - 0.01)
    assert busy.take(1) == []
    clock.advance(0.02)
    assert busy.take(1) == []
    clock.advance(SWEEP_SECONDS)
    assert busy.take(1) == [first]


def test_delivered_event_is_never_due_again(clock: StoredClock, lanes: Lanes) -> None:
    """What the endpoint took is no longer counted, and its record expires when it would have without webhooks."""
    lanes.end("a", "b")
    assert lanes.left_seconds("a") == inf
    taken = lanes.take()
    clock.advance(600)
    assert lanes.delivered(taken[0]).recorded
    assert lanes.pending() == 1
    assert not lanes.delivered(taken[0]).recorded
    assert lanes.pending() == 1
    assert lanes.names() == [taken[1].job_id]
    assert lanes.about(taken[0].job_id) == [str(taken[0].sequence), "delivered", "1", "200"]
    assert lanes.left_seconds(taken[0].job_id) == pytest.approx(RETENTION_SECONDS - 600, abs=5) or (
        lanes.left_seconds(taken[0].job_id) == pytest.approx(3600, abs=5)
    )


def test_event_given_up_is_kept_for_a_week(client: redis.Redis, clock: StoredClock, lanes: Lanes) -> None:
    """Its delivery is over and never due again, but its event and the reason stay on record."""
    lanes.end("a")
    lanes.give_up(lanes.one())
    clock.advance(10 * LEASE_SECONDS)
    assert lanes.take() == []
    assert not client.exists(SHARD + "pending", SHARD + "hook-pending", SHARD + "hooks")
    assert lanes.about("a") == ["1", "given_up", "1", "attempts_spent"]
    assert lanes.left_seconds("a") == pytest.approx(7 * DAY, abs=5)
    assert client.zrange(SHARD + "hook-lost:acme|one", 0, -1) == [b"a"]


def test_record_expires_after_the_last_of_its_deliveries(lanes: Lanes) -> None:
    """One endpoint that took the event does not let it go while another has not."""
    lanes.end("a", hooks=HOOKS)
    one, two = lanes.take()
    lanes.give_up(one)
    assert lanes.left_seconds("a") == inf
    lanes.delivered(two)
    assert lanes.left_seconds("a") == pytest.approx(7 * DAY, abs=5)


def test_failed_attempt_comes_back_after_its_pause(clock: StoredClock, lanes: Lanes) -> None:
    """A failed attempt does not come back before its pause, has the next number, and is counted once."""
    lanes.end("a")
    lanes.again(lanes.one(), 30.0)
    clock.advance(29.9)
    assert lanes.take() == []
    assert lanes.store.due_seconds == pytest.approx(0.1)
    clock.advance(0.1)
    assert lanes.one().attempt == 2
    assert lanes.pending() == 1
    assert lanes.about("a") == ["1", "waiting", "1", "500"]


def test_returned_delivery_has_spent_no_attempt(clock: StoredClock, lanes: Lanes) -> None:
    """What never reached the endpoint counts neither as an attempt nor against the endpoint."""
    lanes.end("a")
    assert lanes.returned(lanes.one(), 3.0).failures == 0
    clock.advance(3)
    assert lanes.one().attempt == 1
    assert lanes.about("a") == ["1", "waiting", "0", "proxy"]


def test_conclusion_that_comes_too_late_changes_nothing(clock: StoredClock, lanes: Lanes) -> None:
    """If two couriers have the same attempt, the first conclusion counts: the delivery does not fork."""
    lanes.end("a")
    slow = lanes.one()
    clock.advance(LEASE_SECONDS)
    quick = lanes.one()
    assert lanes.again(quick, 5.0).recorded
    assert not lanes.again(slow, 1.0).recorded
    assert not lanes.delivered(slow).recorded
    assert count_pending(lanes.client) == {ACME: 1}
    clock.advance(5)
    assert lanes.one().attempt == 2


def test_conclusion_after_the_end_of_its_lease_counts(clock: StoredClock, lanes: Lanes) -> None:
    """A worker that knows what the endpoint said is heard as long as nobody else has the delivery. (I8)"""
    lanes.end("a", "b")
    first, _ = lanes.take()
    clock.advance(LEASE_SECONDS)
    assert len(lanes.take(1)) == 1
    lanes.end("c")
    assert lanes.delivered(first).recorded


def test_delivery_without_its_record_goes(client: redis.Redis, lanes: Lanes) -> None:
    """A delivery whose event is gone is dropped, and does not hold up the others."""
    lanes.end("a", "b", "c")
    client.delete(f"{SHARD}job:a")
    (b, c) = lanes.take()
    client.delete(f"{SHARD}job:c")
    lanes.again(c, 0.0)
    assert (b.job_id, lanes.take(), client.exists(f"{SHARD}job:c")) == ("b", [], 0)
    assert count_pending(client) == {ACME: 1}


def test_no_more_are_taken_than_asked_for(lanes: Lanes) -> None:
    """What is left stays due."""
    lanes.end(*"abcd", hooks=HOOKS)
    taken: list[str] = []
    for _ in range(4):
        taken += lanes.names(2)
    assert sorted(taken) == list("aabbccdd")


def test_endpoint_has_so_many_in_flight(clock: StoredClock, lanes: Lanes) -> None:
    """The next one goes when one has come back, whichever worker asks."""
    lanes.end(*"abcdefgh")
    taken = lanes.take()
    assert len(taken) == 4
    assert lanes.take() == []
    lanes.delivered(taken[0])
    assert len(lanes.take()) == 1
    clock.advance(LEASE_SECONDS)
    assert len(lanes.take()) == 4


def test_worker_that_is_answered_quickly_gets_some_ahead(clock: StoredClock, lanes: Lanes) -> None:
    """As long as it alone has deliveries of that endpoint, and every one is taken; others get none meanwhile."""
    lanes.end(*(f"job-{n:02}" for n in range(40)))
    first = lanes.take(64)
    assert len(first) == 4
    assert {one.concurrency for one in first} == {4}
    assert first[0].begins_by == clock() + LEASE_SECONDS - ATTEMPT_SECONDS - SOCKET_SECONDS
    assert lanes.other.take(64, quick=[ACME]) == []
    ahead = lanes.store.take(64, quick=[ACME])
    assert len(ahead) == 12
    assert lanes.store.take(64, quick=[ACME]) == lanes.other.take(64) == []
    lanes.again(first[0], 600)
    assert lanes.store.take(64, quick=[ACME]) == []
    for delivery in [*first[1:], *ahead]:
        lanes.delivered(delivery)
    assert len(lanes.take(3)) == 3
    assert len(lanes.other.take(64, quick=[ACME])) == 1
    assert lanes.store.take(64, quick=[ACME]) == lanes.other.take(64, quick=[ACME]) == []


def test_endpoints_take_turns(lanes: Lanes) -> None:
    """A backlog at one endpoint leaves places for another."""
    lanes.end(*"abcd", hooks=HOOKS[:1])
    lanes.end("z", hooks=HOOKS[1:])
    assert "z" in lanes.names(2)


def test_rate_of_an_endpoint_is_kept(clock: StoredClock, lanes: Lanes) -> None:
    """One delivery a second, each with the slot in which it may leave."""
    hook = Endpoint(url="https://h.example", secret_env=("A",), name="one", rate="1/s", concurrency=9)
    lanes.end(*"abc", hooks=[hook])
    first = lanes.one()
    assert first.slot is not None and first.slot.opens <= clock() <= first.slot.closes
    assert lanes.store.due_seconds == pytest.approx(1.0, abs=0.1)
    clock.advance(lanes.store.due_seconds)
    second = lanes.one()
    assert second.slot is not None and 1.0 <= second.slot.opens - first.slot.opens < 1.1


def test_unknown_destination_is_left_to_other_workers(clock: StoredClock, lanes: Lanes) -> None:
    """A worker with another accounts file keeps nobody from delivering, and gives nothing up for a week."""
    lanes.end("a")
    (delivery,) = lanes.take()
    lanes.conclude(delivery, Verdict.UNKNOWN, why="unknown")
    assert lanes.store.take(16, [ACME]) == []
    assert lanes.store.due_seconds == inf
    clock.advance(7 * DAY - 60)
    lanes.conclude(lanes.one(), Verdict.UNKNOWN, why="unknown")
    assert lanes.one().attempt == 1
    clock.advance(60)
    lanes.conclude(lanes.one(), Verdict.UNKNOWN, why="unknown")
    assert lanes.about("a") == ["1", "given_up", "0", "endpoint_gone"]


def test_delivery_of_an_earlier_version_is_adopted(
    client: redis.Redis, clock: StoredClock, lanes: Lanes
) -> None:
    """Earlier versions kept all deliveries in one sorted set, and let a record expire while its delivery waited."""
    lanes.end("a", hooks=[])
    client.hset(f"{SHARD}job:a", "account", "acme")
    client.zadd(
        SHARD + "deliveries", {"a|1234567890ab|3": clock.steady_us, "gone|1234567890ab|1": clock.steady_us}
    )
    client.hincrby(SHARD + "pending", "acme", 1)
    delivery = lanes.one()
    assert (delivery.destination, delivery.attempt, delivery.sequence) == (("acme", "1234567890ab"), 3, 1)
    assert not client.exists(SHARD + "deliveries")
    lanes.delivered(delivery)
    assert (lanes.pending(), count_pending(client)) == (0, {})
    assert lanes.left_seconds("a") < inf


def test_pending_deliveries_are_counted_by_destination(lanes: Lanes) -> None:
    """Deliveries of all shards count, leased ones too."""
    lanes.end("a", "b", hooks=HOOKS)
    lanes.end("c", name="globex")
    lanes.take(2)
    assert count_pending(lanes.client) == {
        ACME: 2,
        Destination("acme", "two"): 2,
        Destination("globex", "one"): 1,
    }
