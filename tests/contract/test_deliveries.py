"""The webhook schedule on Redis: due deliveries are leased, come back until concluded, and are counted."""

from __future__ import annotations

import json

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.clocks import StoredClock
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, placed
from worker.core.endpoints import Endpoint
from worker.core.records import Lease
from worker.core.retry import Tally
from worker.delivery.ports import Delivery
from worker.delivery.schedule import ATTEMPT_SECONDS
from worker.state import keys
from worker.state.deliveries import Destination, RedisDeliveries, count_pending
from worker.state.lua import store_scripts

HOOKS = (
    Endpoint(url="https://hooks.example.com/one", secret_env=("A",)),
    Endpoint(url="https://hooks.example.com/two", secret_env=("A",)),
)
OWNER = account("acme", "1000/s", burst=100, webhooks=HOOKS[:1])
SHARD = keys.prefix_of("acme")
RETENTION_SECONDS = 3600
LEASE_SECONDS = 25


@pytest.fixture
def store(client: redis.Redis, clock: StoredClock) -> RedisDeliveries:
    return RedisDeliveries(store_scripts(client), attempt_seconds=ATTEMPT_SECONDS)


def end(
    client: redis.Redis, clock: StoredClock, *names: str, hooks: tuple[Endpoint, ...] = HOOKS[:1]
) -> None:
    """Jobs that ended, each with its event for the hooks."""
    owner = OWNER.model_copy(update={"webhooks": hooks})
    ledger = redis_ledger(client, clock)
    for lease in ledger.admit([application(name, owner) for name in names]):
        assert isinstance(lease, Lease)
        decisions.settle(ledger, lease, owner, Tally(sent=1), placed(lease))


def pending(client: redis.Redis) -> int:
    return int(client.hget(SHARD + "pending", "acme") or 0)


def one(store: RedisDeliveries) -> Delivery:
    (delivery,) = store.take(16)
    return delivery


def test_an_event_is_due_at_once_for_each_endpoint(
    client: redis.Redis, clock: StoredClock, store: RedisDeliveries
) -> None:
    """A delivery carries the event's bytes and id, its endpoint, and counts from the first attempt."""
    end(client, clock, "a", hooks=HOOKS)
    first, second = store.take(32)
    assert {first.endpoint_key, second.endpoint_key} == {hook.key for hook in HOOKS}
    assert first.body == second.body == client.hget(f"{SHARD}job:a", "event")
    assert json.loads(first.body)["id"] == first.event_id
    assert (first.account, first.job_id, first.attempt) == ("acme", "a", 1)
    assert pending(client) == 2


@pytest.mark.parametrize("seconds", [-90.0, 90.0])
def test_a_clock_that_is_set_moves_no_attempt(
    client: redis.Redis, clock: StoredClock, store: RedisDeliveries, seconds: float
) -> None:
    """The first is made at once, the next when its pause is over, however Redis' clock was set meanwhile. (B6)"""
    end(client, clock, "a")
    clock.set_store(seconds)
    store.again(one(store), 5.0)
    clock.set_store(seconds)
    assert store.take(16) == []
    clock.advance(5)
    assert one(store).attempt == 2


def test_a_leased_delivery_is_nobody_elses(
    client: redis.Redis, clock: StoredClock, store: RedisDeliveries
) -> None:
    """A delivery is not given out again until its lease has run out; then it is, as the same attempt."""
    end(client, clock, "a")
    first = one(store)
    clock.advance(LEASE_SECONDS - 1)
    assert store.take(16) == []
    clock.advance(1)
    assert one(store) == first


def test_a_delivered_event_is_forgotten(
    client: redis.Redis, clock: StoredClock, store: RedisDeliveries
) -> None:
    """It is never due again, and no longer counted."""
    end(client, clock, "a", "b")
    taken = store.take(32)
    store.delivered(taken[0])
    assert pending(client) == 1
    store.delivered(taken[0])
    assert pending(client) == 1
    clock.advance(LEASE_SECONDS)
    assert [delivery.job_id for delivery in store.take(32)] == [taken[1].job_id]


def test_an_event_given_up_is_forgotten(
    client: redis.Redis, clock: StoredClock, store: RedisDeliveries
) -> None:
    """Nothing is left of it, no count of zero either."""
    end(client, clock, "a")
    store.give_up(one(store))
    clock.advance(10 * LEASE_SECONDS)
    assert store.take(16) == []
    assert not client.exists(SHARD + "pending", SHARD + "deliveries")


def test_a_failed_attempt_comes_back_after_its_pause(
    client: redis.Redis, clock: StoredClock, store: RedisDeliveries
) -> None:
    """A failed attempt does not come back before its pause, has the next number, and is counted once."""
    end(client, clock, "a")
    store.again(one(store), 30.0)
    clock.advance(29.9)
    assert store.take(16) == []
    clock.advance(0.1)
    assert one(store).attempt == 2
    assert pending(client) == 1


def test_a_conclusion_that_comes_too_late_changes_nothing(
    client: redis.Redis, clock: StoredClock, store: RedisDeliveries
) -> None:
    """If two couriers have the same attempt, the first conclusion counts: the delivery does not fork."""
    end(client, clock, "a")
    slow = one(store)
    clock.advance(LEASE_SECONDS)
    quick = one(store)
    store.again(quick, 5.0)
    store.again(slow, 1.0)
    store.delivered(slow)
    assert client.zcard(SHARD + "deliveries") == 1 and pending(client) == 1


def test_an_event_outlives_its_record_while_it_is_retried(
    client: redis.Redis, clock: StoredClock, store: RedisDeliveries
) -> None:
    """A pause longer than the record was to be kept keeps the record, and does not shorten the life of another."""
    end(client, clock, "a")
    record = f"{SHARD}job:a"
    store.again(one(store), 2.0)
    assert client.pttl(record) <= (RETENTION_SECONDS + 2) * 1000
    clock.advance(2)
    store.again(one(store), 6 * 3600.0)
    assert client.pttl(record) > (6 * 3600 + RETENTION_SECONDS - 60) * 1000


def test_a_delivery_without_its_record_goes(
    client: redis.Redis, clock: StoredClock, store: RedisDeliveries
) -> None:
    """A delivery whose event is gone is dropped, and does not hold up the others."""
    end(client, clock, "a", "b")
    client.delete(f"{SHARD}job:a")
    assert [delivery.job_id for delivery in store.take(32)] == ["b"]
    assert client.zcard(SHARD + "deliveries") == 1


def test_no_more_are_taken_than_asked_for(
    client: redis.Redis, clock: StoredClock, store: RedisDeliveries
) -> None:
    """Each shard gives its share, at least one; what is left stays due."""
    end(client, clock, *"abcde")
    taken: list[str] = []
    for _ in range(5):
        taken += [delivery.job_id for delivery in store.take(4)]
    assert sorted(taken) == list("abcde")


def test_waiting_deliveries_are_counted_by_destination(
    client: redis.Redis, clock: StoredClock, store: RedisDeliveries
) -> None:
    """Deliveries of all shards count, leased ones too; one whose record is gone does not."""
    end(client, clock, "a", "b", "gone", hooks=HOOKS)
    client.delete(f"{SHARD}job:gone")
    other = account("globex", "1000/s", burst=100, webhooks=HOOKS[:1])
    ledger = redis_ledger(client, clock)
    (lease,) = ledger.admit([application("c", other)])
    assert isinstance(lease, Lease)
    decisions.settle(ledger, lease, other, Tally(sent=1), placed(lease))
    store.take(2)
    assert count_pending(client) == {
        Destination("acme", HOOKS[0].key): 2,
        Destination("acme", HOOKS[1].key): 2,
        Destination("globex", HOOKS[0].key): 1,
    }
