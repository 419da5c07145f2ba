"""Any sequence of operations leaves the ledger on Redis and the one in memory in the same state, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests import depth
from tests.doubles import decisions
from tests.doubles.clocks import StoredClock, read_time_from_keys
from tests.doubles.ledgers import redis_ledger
from tests.doubles.memory_ledger import Limits, MemoryLedger, Store
from tests.doubles.samples import account, accounts, application, expired, failed, placed, rejection
from worker.core.canceling import Canceling
from worker.core.cancels import Answer, Cancel, Withdrawn
from worker.core.figures import AccountCount
from worker.core.ports import Ledger
from worker.core.records import Admission, Lease, Reason
from worker.core.retry import Tally
from worker.core.shards import shard_of
from worker.errors import LeaseLost
from worker.redisio.connection import connect
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.census import Census
from worker.state.ledger import RedisLedger
from worker.state.lua import store_scripts

NAMES = ("acme", "account-34", "account-55")
"""All on one shard, where the order in which accounts are served is defined."""
SHARD = keys.prefix_of(NAMES[0])
WORKERS = 3
PACES: tuple[dict[str, Any], ...] = (
    {"rate": "1/s", "concurrency": 2},
    {"rate": "20/s", "burst": 3, "concurrency": 1},
    {"rate": "100/s", "burst": 10},
    {"rate": "2/m", "burst": 2, "concurrency": 3},
)
LEASE_SECONDS = 20.0
BROKEN = '{"phone": "none"}'
MOMENTS = st.sampled_from((0.0, 0.000_7, 0.01, 0.02, 0.05, 0.3, 1.005, 5.0, 21.0))

names, worker_numbers = st.sampled_from(NAMES), st.integers(0, WORKERS - 1)
ids = st.integers(0, 40).map(lambda n: f"job-{n:02}")
tallies = st.builds(Tally, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))


@dataclass(frozen=True)
class Hand:
    """One lease as both ledgers gave it."""

    real: Lease
    model: Lease


class LedgerMachine(RuleBasedStateMachine):
    """Three workers, three accounts, leases that are used, forgotten, or used when it is too late."""

    client: redis.Redis
    scripts: Scripts
    """One for all machines: each keeps a connection, and there may be more machines than the client has connections."""
    census: Census

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.clock, self.store = StoredClock(self.client), Store()
        self.real = [self._real_ledger() for _ in range(WORKERS)]
        self.model = [
            MemoryLedger(self.store, self.clock, lease_seconds=LEASE_SECONDS) for _ in range(WORKERS)
        ]
        self.accounts = {name: account(name, **pace) for name, pace in zip(NAMES, PACES, strict=False)}
        self.hands: list[Hand] = []
        self.even = True

    def _real_ledger(self) -> RedisLedger:
        return redis_ledger(self.scripts, self.clock, lease_seconds=LEASE_SECONDS)

    @rule(seconds=MOMENTS)
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(name=names, pace=st.sampled_from(PACES))
    def accounts_file_changes(self, name: str, pace: dict[str, Any]) -> None:
        self.accounts[name] = account(name, **pace)

    @rule(worker=worker_numbers, file=st.sampled_from(("first", "second", "third")))
    def worker_announces_its_file(self, worker: int, file: str) -> None:
        accounts = dict(self.accounts)
        real, model = (side[worker].announce(file, accounts) for side in (self.real, self.model))
        assert real == model
        if real.newest:
            for ledger in (self.real[worker], self.model[worker]):
                ledger.declare(self.accounts.values())

    @rule(
        worker=worker_numbers,
        jobs=st.lists(
            st.tuples(ids, names, st.booleans(), st.sampled_from((None, -1.0, 0.5, 4.0))), max_size=5
        ),
    )
    def jobs_come(self, worker: int, jobs: list[tuple[str, str, bool, float | None]]) -> None:
        batch = [
            application(
                job_id,
                self.accounts[name],
                may_dial=may_dial,
                expires_at_us=None if left is None else self.clock.now_us + round(left * 1_000_000),
            )
            for job_id, name, may_dial, left in jobs
        ]
        # Jobs that come in the same microsecond have no order; on a real clock scripts take longer than that.
        for one in batch:
            self.clock.advance(0.000_003)
            (real,), (model,) = self.real[worker].admit([one]), self.model[worker].admit([one])
            self._compare(real, model)

    @rule(worker=worker_numbers, most=st.sampled_from((1, 2, 100)))
    def worker_releases(self, worker: int, most: int) -> None:
        real_wait, model_wait = (
            self.real[worker].lease_due(0).wait_seconds,
            self.model[worker].lease_due(0).wait_seconds,
        )
        assert real_wait == pytest.approx(model_wait)
        self._compare_all(self.real[worker].lease_due(most).leases, self.model[worker].lease_due(most).leases)

    @rule(seconds=st.sampled_from((-3600.0, -90.0, 90.0, 3600.0)))
    def redis_clock_is_set(self, seconds: float) -> None:
        self.even = False
        self.clock.set_store(seconds)

    @rule(seconds=st.sampled_from((1.5, 40.0)))
    def nobody_can_ask(self, seconds: float) -> None:
        self.even = False
        self.clock.pass_unasked(seconds)

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), worker=worker_numbers)
    def leases_are_kept(self, data: st.DataObject, worker: int) -> None:
        kept = data.draw(st.lists(st.sampled_from(self.hands), max_size=3))
        self.real[worker].extend([hand.real for hand in kept])
        self.model[worker].extend([hand.model for hand in kept])

    @rule(worker=worker_numbers, most=st.sampled_from((1, 50)))
    def worker_reclaims(self, worker: int, most: int) -> None:
        real, model = self.real[worker], self.model[worker]
        self._compare_all(real.reclaim(most), model.reclaim(most))

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), worker=worker_numbers, tally=tallies)
    def lease_is_renewed(self, data: st.DataObject, worker: int, tally: Tally) -> None:
        hand = data.draw(st.sampled_from(self.hands))
        owner = self.accounts[hand.real.job.account]

        def renew(ledger: Ledger, lease: Lease) -> Admission:
            return ledger.renew(lease, owner, tally)

        answers = self._both(worker, hand, renew)
        if answers is not None:
            self._compare(*answers)

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), worker=worker_numbers, tally=tallies, wait_seconds=MOMENTS)
    def job_is_parked(self, data: st.DataObject, worker: int, tally: Tally, wait_seconds: float) -> None:
        hand = data.draw(st.sampled_from(self.hands))
        self._both(
            worker,
            hand,
            lambda ledger, lease: decisions.park(ledger, lease, tally, Reason.BACKOFF, wait_seconds),
        )

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), worker=worker_numbers, tally=tallies)
    def account_is_refused(self, data: st.DataObject, worker: int, tally: Tally) -> None:
        hand = data.draw(st.sampled_from(self.hands))
        self._both(worker, hand, lambda ledger, lease: decisions.hold(ledger, lease, tally, "NO_POINTS"))

    @precondition(lambda self: self.hands)
    @rule(
        data=st.data(), worker=worker_numbers, tally=tallies, end=st.sampled_from((placed, failed, expired))
    )
    def job_ends(self, data: st.DataObject, worker: int, tally: Tally, end: Any) -> None:
        hand = data.draw(st.sampled_from(self.hands))
        event = end(hand.real)
        self._both(worker, hand, lambda ledger, lease: decisions.settle(ledger, lease, None, tally, event))

    @rule(worker=worker_numbers, job_id=ids, name=names, known=st.booleans())
    def job_is_rejected(self, worker: int, job_id: str, name: str, known: bool) -> None:
        event, owner = rejection(job_id, name), self.accounts[name] if known else None
        real = self.real[worker].reject(job_id, name, owner, event, BROKEN)
        assert real == self.model[worker].reject(job_id, name, owner, event, BROKEN)

    @rule(
        worker=worker_numbers,
        cancels=st.lists(
            st.tuples(ids, st.none() | names), min_size=1, max_size=3, unique_by=lambda one: one[0]
        ),
    )
    def jobs_are_canceled(self, worker: int, cancels: list[tuple[str, str | None]]) -> None:
        known = accounts(*self.accounts.values())
        wishes = [Cancel(job_id, name) for job_id, name in cancels]
        real, model = (
            Canceling(ledger[worker], known).take_back(wishes) for ledger in (self.real, self.model)
        )
        assert [told(answer) for answer in real] == [told(answer) for answer in model]

    @rule(name=names, reason=st.sampled_from(("operator", "")))
    def operator_speaks(self, name: str, reason: str) -> None:
        self.scripts.run(ScriptCall("hold", SHARD, (name, reason, "")))
        limits = self.store.limits.get(name)
        if limits is None:
            self.store.limits[name] = limits = Limits(name, account(name).pace)
        if limits.hold != (reason or None):
            limits.hold, limits.probe_at_us, limits.probes = reason or None, 0, 0

    @invariant()
    def limits_agree(self) -> None:
        for limits in self.store.limits.values():
            key = f"{SHARD}limit:{limits.name}"
            found: Any = self.client.hmget(key, ["tat", "inflight", "hold", "pace"])
            tat, in_flight, hold, pace = found
            assert int(tat or 0) == limits.tat_us
            assert int(in_flight or 0) == limits.in_flight
            assert (hold.decode() if hold else None) == limits.hold
            assert pace is None or pace.decode() == limits.pace.packed()

    @invariant()
    def nobody_is_stranded(self) -> None:
        """Every account whose lane could go is in the index, at the moment when it could."""
        due = {limits.name: moment for limits in self.store.limits.values() if (moment := limits.due_us())}
        assert self._scores("due") == due

    @invariant()
    def counts_are_true(self) -> None:
        """What metrics and commands show is what the lanes hold, and the oldest is the one that was accepted first."""
        counts = {one.name: one for one in self.census.accounts(NAMES)}
        for limits in self.store.limits.values():
            found = counts.pop(limits.name, AccountCount(limits.name))
            assert sum(found.waiting.values()) == len(limits.lane)
            assert (found.in_flight, found.hold) == (limits.in_flight, limits.hold)
            assert found.eligible <= len(limits.lane)
            accepted = [self.store.records[job_id].accepted_us for job_id in limits.lane]
            # Ages by two clocks differ once one of them was set.
            if accepted and self.even:
                assert found.oldest_seconds == pytest.approx((self.clock.now_us - min(accepted)) / 1e6)
        assert not counts

    @invariant()
    def every_job_is_where_its_state_says(self) -> None:
        records = self.store.records.values()
        for limits in self.store.limits.values():
            assert self._scores(f"lane:{limits.name}") == limits.lane
            flying = [r for r in records if r.job.account == limits.name and r.state == "dialling"]
            assert limits.in_flight == len(flying)
            returned = {r.job.id: r.accepted_us for r in records if r.returned and r.job.id in limits.lane}
            assert self._scores(f"aged:{limits.name}") == returned
        waiting = {r.job.id: r.expires_us for r in records if r.state == "waiting"}
        assert self._scores("expiry") == waiting
        leased = {r.job.id: r.lease_ends_us for r in records if r.state in ("dialling", "settling")}
        assert self._scores("leases") == leased
        assert self.client.llen(SHARD + "outbox") == len(self.store.outbox) + len(self.store.notices)

    def teardown(self) -> None:
        """Left alone with one worker, every job ends: nothing is stuck, whatever happened before."""
        for name in NAMES:
            self.operator_speaks(name, "")
        # What had expired and left its lane when the clock was set back is ended when it expires again.
        latest_us = max((record.expires_us for record in self.store.records.values()), default=0)
        self.clock.set_store(max(latest_us - self.clock.now_us, 0) / 1_000_000)
        for _ in range(400):
            if all(record.event is not None for record in self.store.records.values()):
                break
            self.clock.advance(LEASE_SECONDS)
            self._end_all(self.real[0].reclaim(50), self.model[0].reclaim(50))
            self._end_all(self.real[0].lease_due(100).leases, self.model[0].lease_due(100).leases)
        assert all(record.event is not None for record in self.store.records.values())
        self.every_job_is_where_its_state_says()

    def _end_all(self, real: list[Lease], model: list[Lease]) -> None:
        for hand in self._compare_all(real, model):
            event = placed(hand.real)
            self._both(
                0, hand, lambda ledger, lease, e=event: decisions.settle(ledger, lease, None, lease.tally, e)
            )

    def _both(self, worker: int, hand: Hand, speak: Any) -> tuple[Any, Any] | None:
        """Say the same to both; None where both refused."""
        answers: list[tuple[Any, ...]] = []
        for ledger, lease in ((self.real[worker], hand.real), (self.model[worker], hand.model)):
            try:
                answers.append((speak(ledger, lease),))
            except LeaseLost:
                answers.append(())
        real, model = answers
        assert bool(real) == bool(model)
        return (real[0], model[0]) if real else None

    def _compare_all(self, real: list[Lease], model: list[Lease]) -> list[Hand]:
        assert [lease.job.id for lease in real] == [lease.job.id for lease in model]
        for one, other in zip(real, model, strict=True):
            self._compare(one, other)
        return self.hands[len(self.hands) - len(real) :]

    def _compare(self, real: Admission, model: Admission) -> None:
        if not isinstance(real, Lease) or not isinstance(model, Lease):
            assert told(real) == told(model)
            return
        assert plain(real) == plain(model)
        assert moments(real) == pytest.approx(moments(model), abs=0.000_002)
        self.hands.append(Hand(real, model))

    def _scores(self, key: str) -> dict[str, int]:
        members: Any = self.client.zrange(SHARD + key, 0, -1, withscores=True)
        return {name.decode(): int(score) for name, score in members}


def told(answer: Admission | Answer) -> object:
    """An answer without what differs in each event: its id and its times."""
    return (answer.job, answer.event.status) if isinstance(answer, Withdrawn) else answer


def plain(lease: Lease) -> tuple[Any, ...]:
    return (
        lease.job,
        lease.fence,
        lease.due,
        lease.tally,
        lease.accepted_at_us,
        lease.expires_at_us,
        lease.probe,
        lease.waited_for,
    )


def moments(lease: Lease) -> tuple[float, ...]:
    slot = lease.slot
    return (slot.opens, slot.closes, slot.lease_ends, lease.waited_seconds)


@pytest.fixture
def machine(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[LedgerMachine]]:
    """The machine's class on a Redis of the test's own."""
    assert len({shard_of(name) for name in NAMES}) == 1
    read_time_from_keys(monkeypatch)
    with connect(redis_url) as client:
        monkeypatch.setattr(LedgerMachine, "client", client, raising=False)
        monkeypatch.setattr(LedgerMachine, "scripts", store_scripts(client), raising=False)
        monkeypatch.setattr(LedgerMachine, "census", Census(client), raising=False)
        yield LedgerMachine


@pytest.mark.timeout(120 * depth.DEPTH)
def test_both_ledgers_agree_after_every_step(machine: type[LedgerMachine]) -> None:
    """Admissions, leases, counts and indexes are the same in Redis as in the model, and in the end no job is left."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=depth.examples(15),
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_an_account_without_a_slot_keeps_its_lane(machine: type[LedgerMachine]) -> None:
    """A job that expired stays in its lane until its account has a slot or the sweeper ends it, whatever else is due.

    The ledger on Redis took it out at once where no other account was due, and left it otherwise (D2).
    """
    both = machine()
    both.jobs_come(worker=0, jobs=[("job-1", "acme", False, None), ("job-2", "acme", True, -1.0)])
    both.worker_releases(worker=1, most=100)
    agree(both)
    assert list(both.store.limits["acme"].lane) == ["job-2"]
    both.teardown()


def test_a_job_that_is_not_ready_keeps_its_place_in_the_lane(machine: type[LedgerMachine]) -> None:
    """An expired job that waits for its next attempt stays behind the ready ones that leave the lane (D2)."""
    both = machine()
    both.jobs_come(worker=0, jobs=[("job-1", "acme", True, 0.5), ("job-2", "acme", False, 0.5)])
    (hand,) = both.hands
    for ledger, lease in ((both.real[0], hand.real), (both.model[0], hand.model)):
        decisions.park(ledger, lease, Tally(), Reason.BACKOFF, 5.0)
    both.time_passes(1.005)
    both.worker_releases(worker=0, most=1)
    agree(both)
    assert list(both.store.limits["acme"].lane) == ["job-1"]
    both.teardown()


def agree(both: LedgerMachine) -> None:
    """Raise AssertionError unless the two are in the same state."""
    both.limits_agree()
    both.nobody_is_stranded()
    both.every_job_is_where_its_state_says()
