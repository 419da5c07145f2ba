"""The census on Redis: what waits, why, and how long, as metrics and commands show it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.clocks import StoredClock
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, placed, report
from worker.core.accounts import Account
from worker.core.endpoints import Endpoint
from worker.core.figures import AccountCount
from worker.core.records import REASONS, Due, Ending, Lease, Reason
from worker.core.retry import Tally
from worker.core.shards import shard_of
from worker.redisio.cluster_client import nodes_of
from worker.state import holds, keys
from worker.state.census import Census
from worker.state.ledger import RedisLedger
from worker.state.views import JobViews


@pytest.fixture
def ledger(client: redis.Redis) -> RedisLedger:
    return redis_ledger(client)


def count(client: redis.Redis, name: str = "acme") -> AccountCount:
    return of(Census(client), name)


def of(census: Census, name: str = "acme") -> AccountCount:
    return next(iter(census.accounts([name])), AccountCount(name))


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


@pytest.mark.parametrize(("full", "reason"), [(False, Reason.NO_PLACES), (True, Reason.PAUSED)])
def test_a_rate_holds_nothing_up_while_no_worker_gets_through(
    client: redis.Redis, ledger: RedisLedger, full: bool, reason: Reason
) -> None:
    """No worker has asked for long: there is none, or Redis takes no writes and all are paused."""
    admit(ledger, account("acme", "1/h"), 3)
    assert count(client).waiting == waiting(rate_limit=2)
    now_us = (client.time()[0] + 1) * 1_000_000
    client.set(keys.clock(keys.WORKERS), f"{now_us - 20_000_000} {now_us} 0")
    for node in nodes_of(client).all():
        node.client.config_set("maxmemory", "1" if full else "0")
    try:
        view = JobViews(client).find("job-2")
        assert count(client).waiting == waiting(**{reason: 2})
    finally:
        for node in nodes_of(client).all():
            node.client.config_set("maxmemory", "0")
    assert view is not None and view.wait is not None
    assert (view.wait.reason, view.wait.until_us, view.wait.ahead) == (reason, None, 1)


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
            told = {"heard_ms": heard_ms, **asdict(report(paused=paused))}
            bench.client.hset(keys.WORKERS, str(n), json.dumps(told))
        bench.client.hset(keys.WORKERS, "odd", "{")
        bench.client.hset(keys.WORKERS, "odder", "[]")
        assert count(bench.client).waiting == waiting(**{reason: 1})

    @pytest.mark.parametrize(
        ("limit", "places", "call_seconds", "reason"),
        [
            ({"rate": "10/s", "concurrency": 20}, 100, 1.9, Reason.RATE_LIMIT),
            ({"rate": "50/s", "burst": 5, "concurrency": 60}, 60, 1.0, Reason.RATE_LIMIT),
            ({"rate": "15/m", "concurrency": 1}, 5, 3.0, Reason.RATE_LIMIT),
            ({"rate": "10/s", "concurrency": 3}, 100, 1.0, Reason.CONCURRENCY),
            ({"rate": "100/s", "concurrency": 1}, 5, 0.05, Reason.CONCURRENCY),
            ({"rate": "10/s", "burst": 20, "concurrency": 4}, 5, 9.0, Reason.CONCURRENCY),
            ({"rate": "10/s", "concurrency": 20}, 5, 1.0, Reason.NO_PLACES),
            ({"rate": "100/s", "concurrency": 20}, 1, 0.1, Reason.NO_PLACES),
            ({"rate": "1/s", "concurrency": 9}, 2, 8.0, Reason.NO_PLACES),
        ],
    )
    def test_a_lane_that_is_held_up_steadily_has_one_reason(
        self, bench: Lanes, limit: dict[str, Any], places: int, call_seconds: float, reason: Reason
    ) -> None:
        """Looked at again and again, whatever moment of a slot or a call the look meets."""
        bench.wait(900, account("acme", ttl=7200, **limit))
        bench.work(places, call_seconds, seconds=4 + call_seconds, look=False)
        assert bench.work(places, call_seconds, seconds=2 + call_seconds) == {reason}

    def test_a_lane_is_held_up_by_its_rate_again_once_there_are_places(self, bench: Lanes) -> None:
        """More workers come, and ten seconds later the reason is the new one."""
        bench.wait(500, account("acme", "10/s", concurrency=20))
        assert Reason.NO_PLACES in bench.work(3, 1.0, seconds=5)
        bench.work(100, 1.0, seconds=10, look=False)
        assert bench.work(100, 1.0, seconds=2) == {Reason.RATE_LIMIT}

    def test_what_a_hold_held_up_is_not_put_down_to_the_workers(self, bench: Lanes) -> None:
        """After a resume nothing but the rate holds the lane up."""
        bench.wait(300, account("acme", "10/s", concurrency=20, ttl=7200))
        bench.work(100, 1.0, seconds=2, look=False)
        holds.hold(bench.client, "acme", "operator")
        assert bench.work(100, 1.0, seconds=9) == {Reason.HELD}
        holds.resume(bench.client, "acme")
        bench.work(100, 1.0, seconds=0.05, look=False)
        assert bench.work(100, 1.0, seconds=3) == {Reason.RATE_LIMIT}


class TestOldest:
    """The age of the job that was accepted first, wherever it is in its lane."""

    @pytest.fixture
    def bench(self, client: redis.Redis, clock: StoredClock) -> Lanes:
        return Lanes(client, clock, redis_ledger(client, clock))

    def test_a_job_in_backoff_is_as_old_as_it_is(self, bench: Lanes) -> None:
        """Its next moment is later than that of all who came after it, and it is the oldest all the same."""
        owner = account("acme", "1/s", ttl=3600)
        (first,) = admit(bench.ledger, owner, 1, "first")
        bench.clock.advance(100)
        bench.wait(3, owner, "later")
        assert count(bench.client).oldest_seconds == pytest.approx(0, abs=0.01)
        decisions.park(bench.ledger, first, Tally(sent=1), Reason.BACKOFF, 300.0)
        bench.clock.advance(50)
        assert count(bench.client).oldest_seconds == pytest.approx(150, abs=0.01)
        assert count(bench.client).waiting == waiting(no_places=3, backoff=1)

    def test_a_job_that_leaves_the_lane_is_no_longer_its_oldest(self, bench: Lanes) -> None:
        """Leased again, ended late by its ref, or expired: the next in age counts."""
        owner = account("acme", "10/s", ttl=400)
        for name in ("leased", "ended", "expired"):
            (lease,) = admit(bench.ledger, owner, 1, name)
            bench.clock.advance(10)
            wait_seconds = 20.5 if name == "leased" else 600.0
            decisions.park(bench.ledger, lease, Tally(sent=1), Reason.BACKOFF, wait_seconds)
        bench.clock.advance(1)
        assert bench.age == 31
        (again,) = bench.ledger.lease_due(9).leases
        assert again.job.id == "leased-0" and bench.age == 21
        bench.clock.advance(370)
        bench.wait(1, owner, "young")
        assert bench.age == 391
        bench.clock.advance(10)
        assert [one.job.id for one in bench.ledger.reclaim(9) if one.due is Due.EXPIRED] == ["ended-0"]
        assert bench.age == 391


@dataclass
class Lanes:
    """A store with one account, its clock, and the calls in flight by when they end."""

    client: redis.Redis
    clock: StoredClock
    ledger: RedisLedger
    calls: list[tuple[float, Lease]] = field(default_factory=list)

    @property
    def age(self) -> int:
        return round(count(self.client).oldest_seconds)

    def work(self, places: int, call_seconds: float, seconds: float, *, look: bool = True) -> set[Reason]:
        """Be a worker for that long, and return the reasons that the waiting jobs had meanwhile, if asked to `look`."""
        seen: set[Reason] = set()
        ends, turn, census = self.clock() + seconds, 0, Census(self.client)
        while self.clock() < ends:
            turn += 1
            over = [lease for end, lease in self.calls if end <= self.clock()]
            self.calls = [call for call in self.calls if call[0] > self.clock()]
            self.ledger.record([Ending(lease, None, Tally(sent=1), placed(lease)) for lease in over])
            if places > len(self.calls):
                leases = self.ledger.lease_due(places - len(self.calls)).leases
                self.calls += [(self.clock() + call_seconds, lease) for lease in leases]
            if look:
                seen |= {reason for reason, number in of(census).waiting.items() if number}
            # A worker does not look at even moments.
            self.clock.advance((0.007, 0.013, 0.021)[turn % 3])
        return seen

    def wait(self, number: int, owner: Account, prefix: str = "job") -> None:
        self.ledger.admit([application(f"{prefix}-{n}", owner, may_dial=False) for n in range(number)])
        # Jobs that come together are ready one microsecond after the other.
        self.clock.advance(0.000_1)
