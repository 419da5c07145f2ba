"""Webhook deliveries: as many at once as there are places, each by itself, and none that fails takes a place along."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import cast

import gevent
import pytest

from tests.doubles.watchers import NotedFaults
from tests.processes import wait_until
from worker.core.accounts import Accounts
from worker.core.endpoints import Endpoint
from worker.core.ports import Gate
from worker.delivery.courier import Courier
from worker.delivery.ports import Attempt, AttemptResult, Delivery
from worker.engine.couriers import POLL_SECONDS, Couriers
from worker.engine.greenlets import GivingWay
from worker.errors import ConfigurationError, StoreUnavailable

WAIT_SECONDS = 30
PLACES = 3


def delivery(number: int, endpoint_key: str = "key") -> Delivery:
    return Delivery(0, "acme", f"job-{number}", f"evt_{number}", b"{}", endpoint_key, attempt=1)


class Store:
    """Has `due` deliveries, and notes how many it was asked for."""

    def __init__(self, due: list[Delivery]) -> None:
        self.due = due
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
    """A courier whose deliveries end when `open` is set; which thread carried which out, and what fails."""

    def __init__(self, store: Store) -> None:
        self.faults = NotedFaults()
        self.open = threading.Event()
        self.begun: list[tuple[int, str]] = []
        self.ended: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.couriers = Couriers(cast(Courier, self), store, self.faults, PLACES)

    def deliver(self, delivery: Delivery) -> None:
        self.begun.append((threading.get_ident(), delivery.job_id))
        ends = time.monotonic() + WAIT_SECONDS
        while not self.open.is_set() and time.monotonic() < ends:
            gevent.sleep(0.001)
        try:
            if error := self.failing.get(delivery.job_id):
                raise error
        finally:
            self.ended.append(delivery.job_id)

    def turn_until_done(self, count: int) -> None:
        self.open.set()

        def done() -> bool:
            self.couriers.turn()
            return len(self.ended) >= count

        wait_until(done, f"{count} deliveries have ended")


@pytest.fixture
def store() -> Store:
    return Store([delivery(number) for number in range(5)])


@pytest.fixture
def post(store: Store) -> Iterator[Post]:
    post = Post(store)
    yield post
    post.open.set()


def test_deliveries_go_out_side_by_side(store: Store, post: Post) -> None:
    """Deliveries fill all places in one thread; a slow subscriber holds up its own delivery only."""
    assert post.couriers.turn() == 0.0
    wait_until(lambda: len(post.begun) == PLACES, "all places have one")
    assert store.asked == [PLACES] and len({thread for thread, _ in post.begun}) == 1
    assert post.begun[0][0] != threading.get_ident()
    assert post.ended == []


def test_none_is_leased_without_a_place(store: Store, post: Post) -> None:
    """Its lease would run while it waits; the next look is soon."""
    post.couriers.turn()
    assert 0 < post.couriers.turn() < POLL_SECONDS
    assert len(store.asked) == 1 and len(store.due) == 2


def test_all_go_out_in_the_end(post: Post) -> None:
    """Places that are free again take the rest."""
    post.turn_until_done(5)
    assert sorted(post.ended) == [f"job-{number}" for number in range(5)]


def test_without_deliveries_it_only_looks(post: Post, store: Store) -> None:
    """It looks, and looks again after its interval."""
    store.due.clear()
    assert post.couriers.turn() == POLL_SECONDS
    assert post.begun == []


def test_a_store_that_is_away_is_told_to_the_loop(post: Post, store: Store) -> None:
    """It tries again; no place is lost over it."""
    store.away = True
    for _ in range(9):
        with pytest.raises(StoreUnavailable):
            post.couriers.turn()
    store.away = False
    post.couriers.turn()
    assert store.asked == [PLACES]


def test_a_delivery_that_fails_takes_no_place_along(store: Store, post: Post) -> None:
    """Any error is reported, its delivery falls due again by itself, and all places go on."""
    post.failing = {f"job-{number}": StoreUnavailable("away") for number in range(3)}
    post.failing |= {"job-3": ConfigurationError("no secret"), "job-4": ZeroDivisionError()}
    post.turn_until_done(5)
    wait_until(lambda: len(post.faults.failed) == 5, "five failures are told")
    assert {loop for loop, _ in post.faults.failed} == {"webhook"}
    store.due = [delivery(number) for number in range(9, 9 + PLACES)]
    wait_until(lambda: post.couriers.turn() == 0.0, "all places are free")
    assert store.asked[-1] == PLACES


class SlowStore(Store):
    """Takes its time over each word that a courier has for it, which comes from `threads`."""

    def __init__(self, due: list[Delivery], until: Callable[[], object]) -> None:
        super().__init__(due)
        self._until = until
        self.threads: list[int] = []

    def delivered(self, delivery: Delivery) -> None:
        self.threads.append(threading.get_ident())
        self._until()


class Sent:
    """A sender of no effort, and in which threads it sent."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def send(
        self,
        endpoint: Endpoint,
        event_id: str,
        body: bytes,
        unix_seconds: int,
        *,
        sequence: int | None = None,
        gate: Gate | None = None,
    ) -> Attempt:
        self.threads.append(threading.get_ident())
        return Attempt(AttemptResult.DELIVERED, 0.0, 204)


class Unwatched:
    def webhook_attempted(self, account: str, attempt: Attempt) -> None: ...


def test_a_store_that_is_slow_holds_up_no_other_delivery() -> None:
    """Other deliveries are sent while one is recorded: couriers call the store in other threads."""
    hook = {"url": "https://one.example/", "secret_env": "ONE"}
    accounts = Accounts.parse({"accounts": {"acme": {"api_key_env": "K", "rate": "1/s", "webhooks": [hook]}}})
    key = accounts["acme"].webhooks[0].key
    sent = Sent()
    store = SlowStore(
        [delivery(number, key) for number in range(PLACES)],
        lambda: wait_until(lambda: len(sent.threads) == PLACES, "all are sent"),
    )
    faults = NotedFaults()
    courier = Courier(accounts, sent, store, Unwatched(), GivingWay())
    Couriers(courier, store, faults, PLACES).turn()
    wait_until(lambda: len(store.threads) == PLACES, "all are on record")
    assert len(set(sent.threads)) == 1 and not set(sent.threads) & set(store.threads)
    assert faults.failed == []
