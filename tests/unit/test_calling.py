"""One lease in a worker's hands: slots, fences, the gate, and faults of everything around."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.doubles import decisions
from tests.doubles.clocks import FakeClock
from tests.doubles.memory_ledger import MemoryLedger
from tests.doubles.samples import REF, account, failed, job
from tests.doubles.world import REQUEST_SECONDS, MovedClock, World
from worker.core.calling import KEYLESS_WAIT_SECONDS
from worker.core.records import Lease, Reason
from worker.core.retry import Tally
from worker.core.verify import Calls
from worker.errors import ConfigurationError, LeaseLost, Redial, Retry, SlotLapsed, StoreUnavailable

OWNER = account("acme", "10/s")
T = TypeVar("T")


class NotedWaits(MovedClock):
    """Notes how often work was done aside, and whether a wait was part of it."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self._clock, self._aside = clock, False
        self.asked, self.slept, self.slept_aside = 0, False, False
        self.sleep = self._sleep

    def _sleep(self, seconds: float) -> None:
        self._clock.advance(seconds)
        self.slept, self.slept_aside = True, self.slept_aside or self._aside

    def aside(self, work: Callable[[], T]) -> T:
        self.asked, self._aside = self.asked + 1, True
        try:
            return work()
        finally:
            self._aside = False


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch, OWNER, account("slow", "1/s"))


class TestFirstRequest:
    """When the first request of a job left is reported once."""

    def test_it_is_reported_with_the_time_since_acceptance(self, world: World) -> None:
        """The connection counts too, for it stands between the job and its call."""
        world.provider.connect_seconds = [0.125]
        world.dial([world.lease()])
        ((job_id, seconds),) = world.watch.named("first_request")
        assert job_id == "job-1" and seconds == pytest.approx(0.125, abs=0.01)

    def test_further_requests_of_a_job_are_not_reported(self, world: World) -> None:
        """Neither those of the same lease nor those of a later one."""
        world.provider.answers = [Redial("no answer")]
        world.dial([world.lease()])
        world.run(60)
        assert len(world.provider.requests) == 2
        assert len(world.watch.named("first_request")) == 1

    def test_a_request_that_does_not_leave_is_not_reported(self, world: World) -> None:
        """The job expired while it connected."""
        lease = world.lease(expires_at="2027-01-15T08:00:02Z")
        world.provider.connect_seconds = [2.5]
        world.dial([lease])
        assert world.watch.named("first_request") == []


class TestSlots:
    """No request leaves outside its slot."""

    def test_a_request_waits_for_its_slot(self, world: World) -> None:
        """Leased a little ahead, the request leaves when the slot opens, not before."""
        world.dial([world.lease("first")])
        world.accept(job("second"), places=0)
        world.clock.advance(world.ledger.lease_due(0).wait_seconds)
        (lease,) = world.ledger.lease_due(1).leases
        assert lease.slot.opens > world.clock()
        world.dial([lease])
        assert world.provider.requests[1] >= lease.slot.opens

    def test_a_slot_that_went_by_is_replaced(self, world: World) -> None:
        """A connection that took longer than the slot: a fresh slot, no attempt spent, one request."""
        lease = world.lease()
        world.provider.connect_seconds = [0.5]
        world.dial([lease])
        assert world.outcome() == ("call.placed", REF, 1)
        assert world.store.records["job-1"].tally == Tally(sent=1)

    def test_a_slot_that_goes_by_again_and_again_ends_with_the_job(self, world: World) -> None:
        """A provider that cannot be reached in time: the job expires, and nothing was sent."""
        world.provider.connect_seconds = [0.5] * 99
        world.dial([world.lease(expires_at="2027-01-15T08:00:30Z")])
        world.run(60)
        assert world.outcome() == ("call.expired", "EXPIRED", 0)
        assert world.provider.requests == []

    def test_without_a_slot_the_job_goes_back(self, world: World) -> None:
        """If no slot comes at once, the thread is given up and does not sleep."""
        lease = world.lease(account_name="slow")
        world.accept(job("next", "slow"), places=0)
        world.clock.advance(1.1)
        world.dial(world.ledger.lease_due(1).leases)
        world.clock.advance(0.1)
        world.dial([lease])
        assert world.store.records["job-1"].why is Reason.RATE_LIMIT

    def test_no_request_begins_that_its_lease_does_not_cover(self, world: World) -> None:
        """The lease is renewed first if less is left of it than one request may take."""
        lease = world.lease()
        world.clock.advance(30 - REQUEST_SECONDS + 1)
        world.dial([lease])
        record = world.store.records["job-1"]
        assert record.event is not None
        assert record.lease_ends_us - world.clock.now_us > REQUEST_SECONDS * 1_000_000

    def test_a_job_that_expires_before_its_first_byte_is_not_sent(self, world: World) -> None:
        """Its time passed while it connected."""
        lease = world.lease(expires_at="2027-01-15T08:00:02Z")
        world.provider.connect_seconds = [2.5]
        world.dial([lease])
        assert world.outcome() == ("call.expired", "EXPIRED", 0)
        assert world.provider.requests == []


class TestFences:
    """A worker that was frozen finds its job in other hands."""

    def recovered(self, world: World) -> Lease:
        """Another worker takes the job over and ends it."""
        world.clock.advance(31)
        (lease,) = world.ledger.reclaim(1)
        decisions.settle(world.ledger, lease, OWNER, lease.tally, failed(lease, "OTHER"))
        return lease

    def test_frozen_in_its_request_it_settles_nothing(self, world: World) -> None:
        """The answer that came too late is dropped, and said."""

        def freeze() -> str:
            self.recovered(world)
            return REF

        world.provider.answers = [freeze]
        world.dial([world.lease()])
        assert world.outcome()[1] == "OTHER" and len(world.events()) == 1
        assert world.watch.named("lease_lost") == ["job-1"] and world.watch.named("finished") == []

    def test_frozen_before_its_request_it_sends_nothing(self, world: World) -> None:
        """Its slot has gone by, and it gets no other."""
        lease = world.lease()
        self.recovered(world)
        world.dial([lease])
        assert world.provider.requests == [] and len(world.events()) == 1
        assert world.watch.named("lease_lost") == ["job-1"]

    @pytest.mark.parametrize("error", [Retry("503", sent=True, retry_after_seconds=9.0), Redial("reset")])
    def test_frozen_before_a_retry_it_parks_nothing(self, world: World, error: Exception) -> None:
        """The job that ended elsewhere does not come back."""

        def freeze() -> str:
            self.recovered(world)
            raise error

        world.provider.answers = [freeze]
        world.dial([world.lease()])
        world.run(60)
        assert len(world.provider.requests) == 1 and len(world.events()) == 1


class TestStoreAway:
    """Redis fails after the request was sent."""

    def broken(self, world: World, monkeypatch: pytest.MonkeyPatch, word: str, times: int) -> list[int]:
        """Let `word` of the ledger fail so often."""
        whole: Callable[..., object] = getattr(MemoryLedger, word)
        left = [times]

        def sometimes(ledger: MemoryLedger, *args: object, **options: object) -> object:
            if left[0] > 0:
                left[0] -= 1
                raise StoreUnavailable("away")
            return whole(ledger, *args, **options)

        monkeypatch.setattr(MemoryLedger, word, sometimes)
        return left

    def test_an_outcome_is_settled_once_the_store_is_back(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Tried until it is taken; the provider is not asked again."""
        left = self.broken(world, monkeypatch, "record", 4)
        world.dial([world.lease()])
        assert left == [0] and world.outcome() == ("call.placed", REF, 1)
        assert len(world.provider.requests) == 1

    @pytest.mark.parametrize("word", ["record", "renew"])
    def test_a_retry_waits_for_the_store(self, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
        """Before the intent of the next attempt is on record nothing is sent."""
        world = World(monkeypatch, OWNER, wait=lambda *_: 5.0 if word == "record" else 0.05)
        left = self.broken(world, monkeypatch, word, 3)
        world.provider.answers = [Retry("503", sent=True)]
        world.dial([world.lease()])
        assert left == [0]
        world.run(10)
        assert world.outcome() == ("call.placed", REF, 2)

    def test_a_call_that_waits_for_the_store_holds_no_thread(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Few threads ask the store for all calls. One whose part is away must not take them from others."""
        waits = NotedWaits(world.clock)
        left = self.broken(world, monkeypatch, "renew", 3)
        world.provider.before_gate = [SlotLapsed()]
        lease = world.lease()
        Calls(world.accounts, world.provider, world.settler, waits, REQUEST_SECONDS).dial(lease)
        world.record()
        # After a short wait for the store its slot is still to come, and it waits for that in its lane.
        world.run(10)
        assert left == [0] and world.outcome() == ("call.placed", REF, 1)
        assert waits.asked == 4 and waits.slept and not waits.slept_aside

    def test_a_worker_that_ends_does_not_wait_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A closing worker raises the error; the lease runs out, and the request counts as perhaps rung."""
        world = World(monkeypatch, OWNER, wait=lambda *_: 0.05)
        world.settler.closing.set()
        world.provider.answers = [Redial("no answer")]
        left = self.broken(world, monkeypatch, "renew", 1)
        with pytest.raises(StoreUnavailable):
            world.dial([world.lease()])
        assert left == [0]
        world.clock.advance(31)
        assert world.ledger.reclaim(1)[0].tally == Tally(sent=1, perhaps_rung=1)


class TestOwnFaults:
    """Faults of this worker, which must not end a job."""

    def test_without_a_key_the_job_is_left_to_others(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the key's file is gone, nothing is sent, the operator is informed, and the job is dialled later."""
        lease = world.lease()
        monkeypatch.delenv("ACME_PROXSTOP_KEY")
        with pytest.raises(ConfigurationError, match="ACME_PROXSTOP_KEY"):
            world.dial([lease])
        record = world.store.records["job-1"]
        assert record.state == "waiting" and record.tally == Tally() and world.provider.requests == []
        monkeypatch.setenv("ACME_PROXSTOP_KEY", "0" * 32)
        world.clock.advance(KEYLESS_WAIT_SECONDS)
        world.run(1)
        assert world.outcome()[0] == "call.placed"

    def test_an_error_nobody_foresaw_counts_as_perhaps_rung(self, world: World) -> None:
        """It reaches the thread's caller; the job is found when its lease runs out."""
        world.provider.answers = [ZeroDivisionError()]
        with pytest.raises(ZeroDivisionError):
            world.dial([world.lease()])
        world.run(40)
        assert world.outcome() == ("call.placed", REF, 2)

    def test_what_the_gate_says_is_not_counted(self, world: World) -> None:
        """A slot that lapses is neither an attempt nor a retry."""
        world.provider.before_gate = [SlotLapsed()] * 3
        world.dial([world.lease()])
        world.run(3)
        assert world.outcome() == ("call.placed", REF, 1) and world.watch.named("retrying") == []


def test_a_lost_lease_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost lease is reported once, whichever decision found it."""

    def gone(*_: object, **__: object) -> None:
        raise LeaseLost("job-1")

    world = World(monkeypatch, OWNER, wait=lambda *_: 0.05)
    monkeypatch.setattr(MemoryLedger, "renew", gone)
    world.provider.answers = [Redial("no answer")]
    world.dial([world.lease()])
    assert world.watch.named("lease_lost") == ["job-1"]


def test_closing_wakes_a_settler_that_waits(world: World) -> None:
    """A thread that waits for Redis ends when the worker does."""
    world.provider.before_gate = [SlotLapsed()]
    lease = world.lease()
    world.store.away = True
    outcome: list[Exception] = []

    def dial() -> None:
        try:
            world.dial([lease])
        except StoreUnavailable as error:
            outcome.append(error)

    thread = threading.Thread(target=dial, daemon=True)
    thread.start()
    world.settler.closing.set()
    thread.join(30)
    assert not thread.is_alive() and len(outcome) == 1
