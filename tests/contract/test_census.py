"""The census on Redis: what waits, why, and how long, as metrics and commands show it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.clocks import StoredClock
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, placed
from worker.core.accounts import Account
from worker.core.endpoints import Endpoint
from worker.core.records import REASONS, AccountCount, Lease, Reason
from worker.core.retry import Tally
from worker.core.shards import shard_of
from worker.state import holds, keys
from worker.state.census import Census
from worker.state.ledger import RedisLedger


@pytest.fixture
def ledger(client: redis.Redis) -> RedisLedger:
    return redis_ledger(client)


def count(client: redis.Redis, name: str = "acme") -> AccountCount:
    return counts(client, name).get(name, AccountCount(name))


def counts(client: redis.Redis, *names: str) -> dict[str, AccountCount]:
    return {one.name: one for one in Census(client).accounts(names)}


def admit(ledger: RedisLedger, owner: Account, number: int, prefix: str = "job") -> list[Lease]:
    admissions = ledger.admit([application(f"{prefix}-{n}", owner) for n in range(number)])
    return [admission for admission in admissions if isinstance(admission, Lease)]


def waiting(**reasons: int) -> dict[Reason, int]:
    return dict.fromkeys(REASONS, 0) | {Reason(name): number for name, number in reasons.items()}


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


def test_an_account_without_anything_is_left_out(client: redis.Redis, ledger: RedisLedger) -> None:
    """An account that never had a job is not returned, nor one whose jobs have all ended."""
    owner = account("globex")
    (lease,) = admit(ledger, owner, 1)
    assert counts(client, "acme", "globex") == {"globex": AccountCount("globex", in_flight=1)}
    decisions.settle(ledger, lease, owner, Tally(sent=1), placed(lease))
    assert counts(client, "acme", "globex") == {}
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
    """Jobs beyond the account's limit of calls in flight are counted as such."""
    admit(ledger, account("acme", "100/s", burst=9, concurrency=2), 5)
    assert count(client).waiting == waiting(concurrency=3) and count(client).eligible == 0


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
    """Each name gets its own count."""
    admit(ledger, account("acme", "1/h"), 3, "a")
    admit(ledger, account("globex", "1/h"), 2, "g")
    found = counts(client, "globex", "nobody", "acme")
    assert {name: one.waiting[Reason.RATE_LIMIT] for name, one in found.items()} == {"globex": 1, "acme": 2}


def test_more_accounts_of_a_shard_than_one_call_takes_are_counted(
    client: redis.Redis, ledger: RedisLedger
) -> None:
    """An account far down a long list is counted, however many have nothing."""
    names = [f"account-{n}" for n in range(20_000)]
    admit(ledger, account(names[-1], "1/h"), 2)
    assert [one.name for one in Census(client).accounts(names)] == names[-1:]


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


class TestReasons:
    """Why a lane waits, on a clock that the test moves."""

    @pytest.fixture
    def bench(self, client: redis.Redis, clock: StoredClock) -> Lanes:
        return Lanes(client, clock, redis_ledger(client, clock))

    def test_a_worker_without_places_is_said_so(self, bench: Lanes) -> None:
        """The rate would let the jobs go and nobody takes them: at once, and as long as that is so."""
        bench.wait(3, account("acme", "1/s", concurrency=9))
        for seconds in (0, 0.5, 5, 600):
            bench.clock.advance(seconds)
            found = count(bench.client)
            assert found.waiting == waiting(no_places=3) and found.eligible == 1

    def test_all_that_limits_let_go_is_eligible(self, bench: Lanes) -> None:
        """The burst, but no more than the free places in flight, nor than the jobs that are ready."""
        owner = account("acme", "1/h", burst=5, concurrency=4)
        bench.wait(2, owner)
        assert count(bench.client).eligible == 2
        bench.wait(9, owner, "more")
        assert count(bench.client).eligible == 4
        bench.ledger.lease_due(3)
        assert count(bench.client).eligible == 1
        holds.hold(bench.client, "acme", "operator")
        assert count(bench.client).eligible == 0

    @pytest.mark.parametrize(
        ("reports", "reason"),
        [
            ([(0, True)], Reason.PAUSED),
            ([(0, True), (9, True)], Reason.PAUSED),
            ([(0, True), (0, False)], Reason.NO_PLACES),
            ([(0, True), (11, False)], Reason.PAUSED),
            ([(11, True)], Reason.NO_PLACES),
            ([], Reason.NO_PLACES),
        ],
    )
    def test_a_pause_of_all_living_workers_is_said_so(
        self, bench: Lanes, reports: list[tuple[int, bool]], reason: Reason
    ) -> None:
        """One that still dials, or was not heard for ten seconds, makes the difference."""
        bench.wait(1, account("acme"))
        for n, (seconds_ago, paused) in enumerate(reports):
            heard_ms = bench.clock.steady_us // 1000 - seconds_ago * 1000
            bench.client.hset(keys.WORKERS, str(n), json.dumps({"heard_ms": heard_ms, "paused": paused}))
        bench.client.hset(keys.WORKERS, "odd", "{")
        bench.client.hset(keys.WORKERS, "odder", "[]")
        assert count(bench.client).waiting == waiting(**{reason: 1})


@dataclass
class Lanes:
    client: redis.Redis
    clock: StoredClock
    ledger: RedisLedger

    def wait(self, number: int, owner: Account, prefix: str = "job") -> None:
        self.ledger.admit([application(f"{prefix}-{n}", owner, may_dial=False) for n in range(number)])
        # Jobs that come together are ready one microsecond after the other.
        self.clock.advance(0.000_1)
