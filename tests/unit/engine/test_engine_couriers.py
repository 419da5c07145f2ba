"""The webhook threads: as many deliveries as there are threads, each on its own, and none that fails ends one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import cast

import pytest

from tests.doubles.watchers import NotedFaults
from tests.processes import wait_until
from worker.delivery.courier import Courier
from worker.delivery.ports import Delivery
from worker.engine import couriers as module
from worker.engine.couriers import POLL_SECONDS, Couriers
from worker.errors import ConfigurationError, StoreUnavailable

WAIT_SECONDS = 30


def delivery(number: int) -> Delivery:
    return Delivery(0, "acme", f"job-{number}", f"evt_{number}", b"{}", "key", attempt=1)


class Store:
    """Has `due` deliveries, and notes how many it was asked for."""

    def __init__(self, due: int) -> None:
        self.due = [delivery(number) for number in range(due)]
        self.asked: list[int] = []
        self.away = False

    def take(self, most: int) -> list[Delivery]:
        if self.away:
            raise StoreUnavailable("away")
        self.asked.append(most)
        taken, self.due = self.due[:most], self.due[most:]
        return taken

    def delivered(self, delivery: Delivery) -> None:
        raise AssertionError("that is the courier's to say")

    def again(self, delivery: Delivery, wait_seconds: float) -> None:
        raise AssertionError("that is the courier's to say")

    def give_up(self, delivery: Delivery) -> None:
        raise AssertionError("that is the courier's to say")


class Post:
    """Couriers whose deliveries end when `open` is set; which courier had which, and what fails."""

    def __init__(self, store: Store) -> None:
        self.faults = NotedFaults()
        self.open = threading.Event()
        self.made: list[int] = []
        self.begun: list[tuple[int, str]] = []
        self.ended: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.refusals: list[Exception] = []
        self.couriers = Couriers(self._courier, store, self.faults)

    def _courier(self) -> Courier:
        if self.refusals:
            raise self.refusals.pop()
        self.made.append(threading.get_ident())
        return cast(Courier, self)

    def deliver(self, delivery: Delivery) -> None:
        self.begun.append((threading.get_ident(), delivery.job_id))
        self.open.wait(WAIT_SECONDS)
        try:
            if error := self.failing.get(delivery.job_id):
                raise error
        finally:
            self.ended.append(delivery.job_id)

    def turn_until_done(self, count: int) -> None:
        self.open.set()

        def done() -> bool:
            self.couriers.turn()
            return len(self.ended) + len(self.refused) >= count

        wait_until(done, f"{count} deliveries have ended")

    @property
    def refused(self) -> list[Exception]:
        return [error for _, error in self.faults.failed if isinstance(error, ConfigurationError)]


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(module, "THREADS", 3)
    return 3


@pytest.fixture
def store() -> Store:
    return Store(due=5)


@pytest.fixture
def post(store: Store) -> Iterator[Post]:
    post = Post(store)
    yield post
    post.open.set()


def test_deliveries_go_out_side_by_side(store: Store, post: Post, threads: int) -> None:
    """As many as there are threads; a subscriber that is slow holds up its own thread only."""
    assert post.couriers.turn() == 0.0
    wait_until(lambda: len(post.begun) == threads, "all threads have one")
    assert store.asked == [threads] and len({thread for thread, _ in post.begun}) == threads
    assert post.ended == []


def test_none_is_leased_without_a_thread(store: Store, post: Post) -> None:
    """Its lease would run while it waits; the next look is soon."""
    post.couriers.turn()
    assert 0 < post.couriers.turn() < POLL_SECONDS
    assert len(store.asked) == 1 and len(store.due) == 2


def test_all_go_out_in_the_end(store: Store, post: Post) -> None:
    """Threads that are done take the rest, with the courier that each of them has: connections are kept that way."""
    post.turn_until_done(5)
    assert sorted(post.ended) == [f"job-{number}" for number in range(5)]
    assert len(post.made) == len(set(post.made)) and {thread for thread, _ in post.begun} == set(post.made)


def test_without_deliveries_it_only_looks(post: Post, store: Store) -> None:
    """And again after its interval."""
    store.due.clear()
    assert post.couriers.turn() == POLL_SECONDS
    assert post.begun == []


def test_a_store_that_is_away_is_told_to_the_loop(post: Post, store: Store) -> None:
    """It tries again; no thread is lost over it."""
    store.away = True
    for _ in range(9):
        with pytest.raises(StoreUnavailable):
            post.couriers.turn()
    store.away = False
    post.couriers.turn()
    assert store.asked == [3]


def test_a_delivery_that_fails_takes_no_thread_along(store: Store, post: Post, threads: int) -> None:
    """Whatever was raised is told; all threads serve on."""
    post.failing = {f"job-{number}": StoreUnavailable("away") for number in range(4)}
    post.failing["job-4"] = ZeroDivisionError()
    post.turn_until_done(5)
    wait_until(lambda: len(post.faults.failed) == 5, "five failures are told")
    assert {loop for loop, _ in post.faults.failed} == {"webhook"}
    store.due = [delivery(number) for number in range(9, 9 + threads)]
    wait_until(lambda: post.couriers.turn() == 0.0, "all threads are free")
    assert store.asked[-1] == threads


def test_a_courier_that_cannot_be_made_is_made_later(store: Store, post: Post) -> None:
    """That delivery falls due again by itself, and the thread tries anew at the next one."""
    post.refusals = [ConfigurationError("no secret"), ConfigurationError("no secret")]
    post.turn_until_done(5)
    assert len(post.refused) == 2 and len(post.ended) == 3
