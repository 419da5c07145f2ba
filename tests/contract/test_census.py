"""The census on Redis: what waits, why, and how long, as metrics and commands show it."""

from __future__ import annotations

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, placed
from worker.core.accounts import Account
from worker.core.endpoints import Endpoint
from worker.core.records import AccountCount, Lease, Reason
from worker.core.retry import Tally
from worker.core.shards import shard_of
from worker.state import keys
from worker.state.census import Census
from worker.state.ledger import RedisLedger


@pytest.fixture
def ledger(client: redis.Redis) -> RedisLedger:
    return redis_ledger(client)


def count(client: redis.Redis, name: str = "acme") -> AccountCount:
    (found,) = Census(client).accounts([name])
    return found


def admit(ledger: RedisLedger, owner: Account, number: int, prefix: str = "job") -> list[Lease]:
    admissions = ledger.admit([application(f"{prefix}-{n}", owner) for n in range(number)])
    return [admission for admission in admissions if isinstance(admission, Lease)]


def waiting(**reasons: int) -> dict[Reason, int]:
    return dict.fromkeys(Reason, 0) | {Reason(name): number for name, number in reasons.items()}


@pytest.mark.parametrize(("letters", "told"), [(["1", "2"], 2), ([], 0)])
def test_dead_letters_are_counted(client: redis.Redis, letters: list[str], told: int) -> None:
    """Without reading them."""
    if letters:
        client.lpush(keys.DEAD, *letters)
    assert Census(client).dead_letters() == told


def test_key_of_another_type_holds_no_dead_letters(client: redis.Redis) -> None:
    """All other counts go on."""
    client.set(keys.DEAD, "x")
    assert Census(client).dead_letters() == 0


def test_an_account_without_jobs_has_nothing(client: redis.Redis) -> None:
    """An account that never had a job counts zero everywhere."""
    assert count(client) == AccountCount("acme", waiting(), 0.0, 0, None, 0)
    assert Census(client).accounts([]) == []


def test_jobs_over_the_rate_are_counted(client: redis.Redis, ledger: RedisLedger) -> None:
    """One goes, the others wait for the rate; the oldest has an age."""
    admit(ledger, account("acme", "1/h"), 4)
    found = count(client)
    assert found.waiting == waiting(rate_limit=3) and found.in_flight == 1
    assert 0 <= found.oldest_seconds < 60


def test_the_oldest_has_an_age_though_the_clock_was_set_back(
    client: redis.Redis, ledger: RedisLedger
) -> None:
    """Told by Redis' clock and by its place in the lane, not by the clock of this machine. (B6)"""
    admit(ledger, account("acme", "1/h"), 2)
    shard, accepted_us = keys.prefix_of("acme"), int(client.time()[0]) * 1_000_000
    client.hset(f"{shard}job:job-1", "accepted", accepted_us + 90_000_000)
    client.zincrby(f"{shard}lane:acme", -40_000_000, "job-1")
    assert 40 <= count(client).oldest_seconds < 70


def test_jobs_without_a_place_are_counted(client: redis.Redis, ledger: RedisLedger) -> None:
    """Jobs beyond the limit of calls in flight are counted as waiting for capacity."""
    admit(ledger, account("acme", "100/s", burst=9, concurrency=2), 5)
    assert count(client).waiting == waiting(capacity=3)


def test_jobs_in_backoff_are_counted_apart(client: redis.Redis, ledger: RedisLedger) -> None:
    """A job that is not ready yet waits for nothing but its own time."""
    first, *_ = admit(ledger, account("acme", "1/h"), 3)
    decisions.park(ledger, first, Tally(), Reason.BACKOFF, 600.0)
    found = count(client)
    assert found.waiting == waiting(rate_limit=2, backoff=1) and found.in_flight == 0


def test_a_held_account_is_said_with_its_reason(client: redis.Redis, ledger: RedisLedger) -> None:
    """All that waits, waits for the hold."""
    first, *_ = admit(ledger, account("acme", "1/h"), 3)
    decisions.hold(ledger, first, Tally(sent=1), "NO_POINTS")
    found = count(client)
    assert found.waiting == waiting(held=3) and found.hold == "NO_POINTS"


def test_accounts_are_counted_apart(client: redis.Redis, ledger: RedisLedger) -> None:
    """Each name gets its own count, in the order asked for."""
    admit(ledger, account("acme", "1/h"), 3, "a")
    admit(ledger, account("globex", "1/h"), 2, "g")
    found = Census(client).accounts(["globex", "nobody", "acme"])
    assert [(one.name, one.waiting[Reason.RATE_LIMIT]) for one in found] == [
        ("globex", 1),
        ("nobody", 0),
        ("acme", 2),
    ]


def test_what_is_on_its_way_out_is_counted(client: redis.Redis, ledger: RedisLedger) -> None:
    """Events not yet confirmed, over all shards, and webhooks by account."""
    hook = Endpoint(url="https://hooks.example.com/", secret_env=("A",))
    for name in ("acme", "globex", "initech"):
        owner = account(name, webhooks=(hook,))
        (lease,) = admit(ledger, owner, 1, name)
        decisions.settle(ledger, lease, owner, Tally(sent=1), placed(lease))
    assert Census(client).unpublished() == 3
    assert len({shard_of(name) for name in ("acme", "globex", "initech")}) > 1
    assert count(client, "globex").pending == 1
