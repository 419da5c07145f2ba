"""The moments when a worker declares the limits of its accounts file."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.doubles.clocks import FakeClock
from tests.doubles.memory_ledger import MemoryLedger, Store
from tests.doubles.samples import account, accounts
from worker.core.accounts import Account
from worker.core.current import CurrentAccounts
from worker.core.records import Standing
from worker.engine.declared_limits import BEAT_SECONDS, DeclaredLimits
from worker.errors import StoreUnavailable


class Told:
    """The watch of the accounts files."""

    def __init__(self) -> None:
        self.standings: list[Standing] = []

    def accounts_files(self, standing: Standing) -> None:
        self.standings.append(standing)


class Worker:
    """A ledger on a shared store, and how often it declared."""

    def __init__(self, store: Store, clock: FakeClock, rate: str) -> None:
        self.declared, self.told = 0, Told()
        self.woken: list[int] = []
        self.ledger = Noting(store, clock, self)
        self.accounts = CurrentAccounts(accounts(account("acme", rate)))
        self.limits = DeclaredLimits(
            self.ledger, self.accounts, self.told, clock, declared=lambda: self.woken.append(self.declared)
        )


class Noting(MemoryLedger):
    """Counts declarations."""

    def __init__(self, store: Store, clock: FakeClock, worker: Worker) -> None:
        super().__init__(store, clock)
        self._worker = worker

    def declare(self, accounts: Iterable[Account]) -> None:
        super().declare(accounts)
        self._worker.declared += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> Store:
    return Store()


def beat(clock: FakeClock, *workers: Worker, times: int = 1) -> None:
    for _ in range(times):
        clock.advance(BEAT_SECONDS)
        for worker in workers:
            worker.limits.turn()


def test_a_worker_declares_at_its_start_and_once_more(store: Store, clock: FakeClock) -> None:
    """It declares no more after that, however long it runs (B7)."""
    worker = Worker(store, clock, "10/s")
    worker.limits.turn()
    assert worker.declared == 1
    beat(clock, worker, times=20)
    assert worker.declared == 2 and set(worker.told.standings[1:]) == {Standing(True, False, 1)}


def test_it_speaks_every_other_second(store: Store, clock: FakeClock) -> None:
    """It speaks no more often, however often it is asked to (B7)."""
    worker = Worker(store, clock, "10/s")
    assert worker.limits.turn() == BEAT_SECONDS
    clock.advance(0.5)
    assert {worker.limits.turn() for _ in range(100)} == {BEAT_SECONDS - 0.5}
    assert len(worker.told.standings) == 1


def test_it_tells_whether_the_store_has_the_limits_in_use(store: Store, clock: FakeClock) -> None:
    """So no job is leased by those of an earlier file; after each declaration more may be due (0022)."""
    worker = Worker(store, clock, "10/s")
    found = [worker.limits.current]
    worker.limits.turn()
    found.append(worker.limits.current)
    worker.accounts.use(accounts(account("acme", "1/s")))
    store.away = True
    with pytest.raises(StoreUnavailable):
        worker.limits.turn()
    found.append(worker.limits.current)
    store.away = False
    worker.limits.turn()
    assert [*found, worker.limits.current] == [False, True, False, True] and worker.woken == [1, 2]


def test_an_old_worker_that_starts_again_declares_nothing(store: Store, clock: FakeClock) -> None:
    """An old worker declares no limits while a worker with the newer file lives (B7)."""
    old, new = Worker(store, clock, "10/s"), Worker(store, clock, "1/s")
    old.limits.turn()
    beat(clock, old, new, times=3)
    again = Worker(store, clock, "10/s")
    beat(clock, old, new, again, times=20)
    assert again.declared == 0 and store.limits["acme"].pace == account(rate="1/s").pace
    assert again.told.standings[-1] == Standing(False, False, 2)


def test_the_older_file_counts_again_once_the_newer_ones_workers_are_gone(
    store: Store, clock: FakeClock
) -> None:
    """The older file applies after a rollback, and the newer one again as soon as a worker has it (B7)."""
    old, new = Worker(store, clock, "10/s"), Worker(store, clock, "1/s")
    beat(clock, old, new, times=3)
    beat(clock, old, times=7)
    assert store.limits["acme"].pace == account(rate="1/s").pace
    beat(clock, old, times=2)
    assert store.limits["acme"].pace == account(rate="10/s").pace
    beat(clock, new, old)
    assert store.limits["acme"].pace == account(rate="1/s").pace


def test_a_changed_file_is_declared_at_once(store: Store, clock: FakeClock) -> None:
    """So is a change that is taken back, though that file was seen before another worker's (0022)."""
    worker, other = Worker(store, clock, "10/s"), Worker(store, clock, "10/s")
    beat(clock, worker, other, times=3)
    for rate in ("1/s", "10/s"):
        for one in (worker, other):
            one.accounts.use(accounts(account("acme", rate)))
            one.limits.turn()
            assert store.limits["acme"].pace == account(rate=rate).pace
    assert worker.told.standings[-1].newest and other.told.standings[-1] == Standing(True, False, 1)


def test_after_an_outage_the_newest_file_is_declared_again(store: Store, clock: FakeClock) -> None:
    """The newest file wins, whichever worker gets through first (B7)."""
    old, new = Worker(store, clock, "10/s"), Worker(store, clock, "1/s")
    beat(clock, old, new, times=3)
    clock.advance(60)
    beat(clock, old, new)
    assert store.limits["acme"].pace == account(rate="1/s").pace


def test_what_the_store_did_not_hear_is_said_again(store: Store, clock: FakeClock) -> None:
    """A declaration that failed is not taken for made (B7)."""
    worker = Worker(store, clock, "10/s")
    store.away = True
    with pytest.raises(StoreUnavailable):
        worker.limits.turn()
    store.away = False
    worker.limits.turn()
    assert worker.declared == 1
