"""Webhook deliveries in flight: what has ended goes on record together, and nothing that fails takes a place along."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence

import gevent
import pytest

from tests.doubles.deliveries import delivery
from tests.doubles.watchers import NotedFaults
from tests.processes import wait_until
from worker.delivery.ports import Conclusion, Delivery, Destination, Effect, Verdict
from worker.engine import couriers
from worker.engine.couriers import MAX_BATCH, UNKNOWN_SECONDS, Couriers
from worker.engine.lookout import LOOK_SECONDS, REST_SECONDS
from worker.engine.loops import Loop
from worker.engine.parts import Grace
from worker.engine.places import Places
from worker.errors import StoreUnavailable

WAIT_SECONDS = 30
PLACES = 3


class Store:
    """Has `due` deliveries, and notes what it was asked for and told. `breaks_at` is a job that it cannot record."""

    def __init__(self, count: int) -> None:
        self.due = [delivery(number) for number in range(count)]
        self.due_seconds = math.inf
        self.asked: list[int] = []
        self.unknown: list[set[Destination]] = []
        self.recorded: list[list[Conclusion]] = []
        self.away, self.breaks_at = False, ""

    def take(
        self, most: int, unknown: Iterable[Destination] = (), quick: Collection[Destination] = ()
    ) -> list[Delivery]:
        self._answer()
        self.asked.append(most)
        self.unknown.append(set(unknown))
        taken, self.due = self.due[:most], self.due[most:]
        return taken

    def record(self, conclusions: Sequence[Conclusion]) -> list[Effect]:
        self._answer()
        if self.breaks_at in [each.delivery.job_id for each in conclusions]:
            raise ZeroDivisionError
        self.recorded.append(list(conclusions))
        return [Effect(recorded=True, failures=each.delivery.sequence) for each in conclusions]

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("away")

    @property
    def over(self) -> list[Conclusion]:
        return [each for batch in self.recorded for each in batch]


class Unshared(Places):
    """Gives every place to whatever is due."""

    def offer(self) -> tuple[int, set[Destination]]:
        return self.free, set()


class Post:
    """Couriers whose attempts end when `open` is set; in which thread each began, and what fails."""

    def __init__(self, store: Store, places: Places | None = None) -> None:
        self.store, self.faults, self.open, self.woken = store, NotedFaults(), threading.Event(), 0
        self.begun: list[tuple[int, str]] = []
        self.failing: dict[str, Exception] = {}
        self.verdict = Verdict.DELIVERED
        self.told: list[tuple[str, Effect]] = []
        self.now = 1000.0
        self.known: set[Destination] = set()
        self.couriers = Couriers(
            self._deliver,
            store,
            lambda conclusion, effect: self.told.append((conclusion.delivery.job_id, effect)),
            self.faults,
            places or Unshared(PLACES),
            known=lambda where: where in self.known,
            woken=self._wake,
            clock=lambda: self.now,
        )

    def _wake(self) -> None:
        self.woken += 1

    def _deliver(self, given: Delivery) -> Conclusion:
        self.begun.append((threading.get_ident(), given.job_id))
        ends = time.monotonic() + WAIT_SECONDS
        while not self.open.is_set() and time.monotonic() < ends:
            gevent.sleep(0.001)
        if error := self.failing.get(given.job_id):
            raise error
        return Conclusion(given, self.verdict, "200")

    def turn_until_recorded(self, count: int) -> None:
        self.open.set()

        def done() -> bool:
            self.couriers.turn()
            return len(self.store.over) >= count

        wait_until(done, f"{count} deliveries are on record")


@pytest.fixture
def store() -> Store:
    return Store(5)


@pytest.fixture
def post(store: Store) -> Iterator[Post]:
    post = Post(store)
    yield post
    post.open.set()


def test_deliveries_go_out_side_by_side(store: Store, post: Post) -> None:
    """Deliveries fill all places in one thread, which is not the one that asks the store."""
    assert post.couriers.turn() == 0.0
    wait_until(lambda: len(post.begun) == PLACES, "all places have one")
    assert store.asked == [PLACES] and len({thread for thread, _ in post.begun}) == 1
    assert post.begun[0][0] != threading.get_ident() and store.recorded == []


def test_none_is_leased_without_a_place(store: Store, post: Post) -> None:
    """Its lease would run while it waits. The end of an attempt wakes the loop, so it does not look before."""
    store.due_seconds = 0.0
    post.couriers.turn()
    assert post.couriers.turn() == LOOK_SECONDS
    assert len(store.asked) == 1 and len(store.due) == 2
    post.open.set()
    wait_until(lambda: post.woken > 0, "the loop is woken")


def test_scarce_places_are_for_endpoints_without_one(store: Store, post: Post) -> None:
    """The store is asked for no more than `Places` offers, and for none to the endpoints that it bars."""
    shared = Post(store, Places(4))
    shared.couriers.turn()
    shared.couriers.turn()
    assert (store.asked, store.unknown) == ([2, 2], [set(), {delivery().destination}])
    shared.open.set()


def test_what_ended_goes_on_record_in_one_round_trip(store: Store, post: Post) -> None:
    """Then it is told, with what it changed, and its places take the rest."""
    post.couriers.turn()
    post.open.set()
    wait_until(lambda: post.woken == PLACES, "all have ended")
    post.couriers.turn()
    assert [len(batch) for batch in store.recorded] == [PLACES] and store.asked == [PLACES, PLACES]
    assert sorted(post.told, key=str) == [
        (f"job-{number}", Effect(recorded=True, failures=number)) for number in range(PLACES)
    ]
    post.turn_until_recorded(5)
    assert post.couriers.in_flight == 0


@pytest.mark.parametrize(
    ("due", "pause"), [(math.inf, REST_SECONDS), (0.3, REST_SECONDS), (0.1, 0.1), (0.0, 0.005)]
)
def test_without_a_delivery_it_looks_when_the_next_is_due(
    post: Post, store: Store, due: float, pause: float
) -> None:
    """The lookout wakes it for what is due later, and for what other workers bring."""
    store.due.clear()
    store.due_seconds = due
    assert post.couriers.turn() == pause
    assert post.begun == []


def test_large_batches_are_bounded() -> None:
    """Redis does nothing else while it leases or concludes, so that it is asked for a bounded number."""
    store = Store(MAX_BATCH + 1)
    post = Post(store, places=Unshared(MAX_BATCH + 1))
    assert post.couriers.turn() == 0.0
    post.couriers.turn()
    post.turn_until_recorded(MAX_BATCH + 1)
    assert max(store.asked) == MAX_BATCH and max(map(len, store.recorded)) <= MAX_BATCH


def test_while_the_store_is_away_what_ended_is_kept(post: Post, store: Store) -> None:
    """Nothing is told before it is on record, nothing is sent meanwhile, and no place is lost over it."""
    post.couriers.turn()
    store.away = True
    post.open.set()
    wait_until(lambda: post.woken == PLACES, "all have ended")
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            post.couriers.turn()
    assert post.told == [] and post.couriers.in_flight == PLACES
    store.away = False
    post.couriers.turn()
    assert len(store.over) == len(post.told) == PLACES and store.asked == [PLACES, PLACES]


def test_one_that_cannot_be_recorded_takes_no_other_along(post: Post, store: Store) -> None:
    """Its fault is reported and its place is free again; it is due again when its lease has run out."""
    store.breaks_at = "job-1"
    post.turn_until_recorded(4)
    assert sorted(job for job, _ in post.told) == ["job-0", "job-2", "job-3", "job-4"]
    assert [loop for loop, _ in post.faults.failed] == ["couriers"] and post.couriers.in_flight == 0


def test_delivery_that_fails_is_returned(post: Post, store: Store) -> None:
    """A fault of this program spends no attempt; the others go on."""
    post.failing = {"job-1": ZeroDivisionError()}
    post.turn_until_recorded(5)
    returned = [(each.delivery.job_id, each.why) for each in store.over if each.verdict is Verdict.RETURNED]
    assert returned == [("job-1", "fault")]
    assert [loop for loop, _ in post.faults.failed] == ["webhook"]


def test_endpoint_that_is_not_known_is_left_to_others_for_a_minute(post: Post, store: Store) -> None:
    """No further delivery of it is leased; then it is looked at again."""
    where = store.due[0].destination
    post.verdict = Verdict.UNKNOWN
    store.due = store.due[:1]
    post.turn_until_recorded(1)
    for seconds, unknown in ((0.0, {where}), (UNKNOWN_SECONDS - 1, {where}), (1.0, set())):
        post.now += seconds
        post.couriers.turn()
        assert store.unknown[-1] == unknown


def test_endpoint_that_a_changed_file_has_is_known_at_once(post: Post, store: Store) -> None:
    """What was left to other workers is leased again with the next turn."""
    where = store.due[0].destination
    post.verdict = Verdict.UNKNOWN
    store.due = store.due[:1]
    post.turn_until_recorded(1)
    post.known = {where}
    post.couriers.turn()
    assert store.unknown[-1] == set()


def test_told_to_stop_it_ends_what_is_under_way(post: Post, store: Store) -> None:
    """Nothing more is leased, and what is under way gets on record while the grace lasts."""
    post.couriers.turn()
    wait_until(lambda: len(post.begun) == PLACES, "all places have one")
    post.couriers.stop()
    loop = Loop("couriers", post.couriers.turn, NotedFaults())
    loop.start()
    post.open.set()
    post.couriers.join(Grace(WAIT_SECONDS))
    loop.stop()
    loop.join(Grace(WAIT_SECONDS))
    assert {each.verdict for each in store.over} == {Verdict.DELIVERED}
    assert len(store.over) == PLACES and len(store.due) == 2


def test_told_to_stop_it_gives_back_what_has_not_begun(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker has it at once, and no attempt was spent."""
    post = Post(store)
    waiting = list[object]()
    monkeypatch.setattr(post.couriers.thread, "submit", waiting.append)
    post.couriers.turn()
    post.couriers.stop()
    for run in waiting:
        assert callable(run)
        run()
    post.couriers.turn()
    assert {(each.verdict, each.why, each.wait_seconds) for each in store.over} == {
        (Verdict.RETURNED, "stopping", 0.0)
    }
    assert len(store.over) == PLACES and post.begun == [] and post.couriers.in_flight == 0


def test_deliveries_that_hang_outlive_the_grace(post: Post) -> None:
    """The worker ends nevertheless; their leases run out, and other workers attempt them again."""
    post.couriers.turn()
    post.couriers.stop()
    post.couriers.join(Grace(0.0))
    assert post.couriers.in_flight == PLACES


def test_attempts_that_end_while_others_hang_do_not_wait_for_them(
    post: Post, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They gather only as long as further ones come, at most for the time of gathering."""
    monkeypatch.setattr(couriers, "QUIET_SECONDS", 0.001)
    post.couriers.turn()
    wait_until(lambda: len(post.begun) == PLACES, "all places have one")
    ended = Conclusion(delivery(0), Verdict.DELIVERED, "200")
    post.couriers._ended.put(ended)
    post.couriers.turn()
    assert store.over == [ended] and post.couriers.in_flight == PLACES


def test_conclusions_of_a_part_that_is_away_are_given_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each keeps its place until it is on record, and holds up no other."""
    whole, apart = store.record, {"job-0"}

    def record(conclusions: Sequence[Conclusion]) -> Sequence[Effect | StoreUnavailable]:
        away = [one for one in conclusions if one.delivery.job_id in apart]
        effects = iter(whole([one for one in conclusions if one not in away]))
        return [StoreUnavailable("apart") if one in away else next(effects) for one in conclusions]

    monkeypatch.setattr(store, "record", record)
    post = Post(store)
    post.turn_until_recorded(4)
    assert [one for one, _ in post.told if one == "job-0"] == [] and post.couriers.in_flight == 1
    apart.clear()
    post.now += couriers.LATER_SECONDS
    post.turn_until_recorded(5)
    assert sorted(one for one, _ in post.told) == [f"job-{n}" for n in range(5)]
    assert post.couriers.in_flight == 0 and not post.faults.failed
