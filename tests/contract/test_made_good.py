"""A shard that went back in time is made good: what workers know is put back, the rest counts as perhaps rung.

See docs/decisions/0030.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import redis

from tests.doubles.clocks import StoredClock
from tests.doubles.samples import account, application, placed, rejection
from tests.set_back import Copy, servers_of
from worker.cli.doctor import servers
from worker.cli.doctor.finding import Finding, Grade
from worker.core.accounts import Accounts
from worker.core.canceling import Canceling
from worker.core.cancels import Cancel, Withdrawn
from worker.core.making_good import Over
from worker.core.records import Due, Ending, Later, Lease, Parked, Parking, Reason, Recorded, Seen
from worker.core.retry import Tally
from worker.core.shards import ONE_SERVER
from worker.errors import StoreSetBack, StoreUnavailable
from worker.redisio.turns import AWAY_SECONDS, CAREFUL_SECONDS, Turns
from worker.settings import Settings
from worker.state import keys
from worker.state.journal import Journal
from worker.state.look import Look
from worker.state.lua import store_scripts
from worker.state.outbox import RedisOutbox
from worker.state.remembering import RememberingLedger
from worker.state.set_back import LEAST_SECONDS, LONGEST_SECONDS, Member, SetBackShards

ACME = account("acme", "100/s", burst=10, concurrency=50)
SHARD = keys.prefix_of("acme")
SLOW = account("slow", "1/s", burst=1, concurrency=50)
ACCOUNTS = {one.name: one for one in (ACME, SLOW)}
LOST_SECONDS = 2.0


def at_most_one() -> int:
    """Ask for so many leases to get one of each server."""
    return 1 if keys.layout().version == ONE_SERVER else 3


class Worker:
    """A worker's ledger with its journal, and its part in making good."""

    def __init__(self, client: redis.Redis, clock: StoredClock, name: str, living: list[str]) -> None:
        self.turns, self.journal = Turns(lambda: None, clock), Journal(clock)
        options: dict[str, Any] = {"lease_seconds": 30.0, "retention_seconds": 3600, "clock": clock}
        options["unix_clock"] = lambda: clock.now_us / 1_000_000
        scripts = store_scripts(client, turns=self.turns)
        self.ledger = RememberingLedger(scripts, journal=self.journal, **options)
        self.look = Look(scripts, self.ledger.learn, clock)
        member, ledger = Member(name, lambda: living, ACCOUNTS.get), self.ledger
        self.shards = SetBackShards(
            store_scripts(client), self.turns, self.journal, member, ledger.kept, ledger.lease_us, clock=clock
        )

    def park(self, *job_ids: str) -> None:
        """Put jobs on record that wait."""
        parked = self.ledger.admit([application(name, ACME, may_dial=False) for name in job_ids])
        assert all(isinstance(one, Parked) for one in parked)

    def take(self, job_id: str) -> Lease:
        """Put a job on record that goes at once."""
        (lease,) = self.ledger.admit([application(job_id, ACME)])
        assert isinstance(lease, Lease)
        return lease

    def lease(self) -> Lease:
        (lease,) = self.ledger.lease_due(at_most_one()).leases
        return lease

    def end(self, lease: Lease) -> str:
        """End a job; return its event."""
        event = placed(lease)
        assert self.ledger.record([Ending(lease, ACME, Tally(sent=1), event)])[0] is not Recorded.LOST
        return event.body


class Scene:
    """Two workers on a Redis whose state goes back, and the clock of all."""

    def __init__(self, client: redis.Redis, clock: StoredClock) -> None:
        self.client, self.clock, self.registered = client, clock, ["a", "b"]
        self.a, self.b = (Worker(client, clock, name, self.registered) for name in self.registered)
        self.look()

    def look(self) -> None:
        """Have both look at all shards, as workers do all the time."""
        for worker in (self.a, self.b):
            worker.look()

    def let_pass(self, seconds: float, *workers: Worker) -> None:
        """Let time pass in which these workers look now and then."""
        times = math.ceil(seconds / AWAY_SECONDS)
        for _ in range(times):
            self.clock.advance(seconds / times)
            for worker in workers:
                worker.look()

    def lose(self, *happened: Callable[[], Any]) -> list[Any]:
        """Let something happen, and set the store back to the time before. Returns what happened."""
        before, began_us = Copy(self.client), self.clock.now_us
        found = [step() for step in happened]
        self.clock.advance(LOST_SECONDS)
        self.look()
        before.restore()
        self.clock.go_back((self.clock.now_us - began_us) / 1_000_000)
        return found

    def make_good(self, *workers: Worker, seconds: float = LEAST_SECONDS) -> Over:
        """Let workers notice and take part, until the hold is over: not before `seconds` have passed."""
        taking_part = workers or (self.a, self.b)
        for worker in taking_part:
            with suppress(StoreSetBack):
                worker.ledger.reclaim(9)
            assert worker.shards.count and worker.shards.step().over == []
        self.let_pass(seconds - 0.1, *taking_part)
        assert [worker.shards.step().over for worker in taking_part] == [[] for _ in taking_part]
        self.clock.advance(0.2)
        overs = [over for worker in taking_part for over in worker.shards.step().over]
        assert all(worker.shards.count == 0 for worker in taking_part)
        return overs[0]

    def record(self, job_id: str) -> dict[str, str]:
        found: Any = self.client.hgetall(f"{SHARD}job:{job_id}")
        return {name.decode(): value.decode() for name, value in found.items()}

    def events(self) -> list[str]:
        return [
            event.body for batch in RedisOutbox(store_scripts(self.client)).next().values() for event in batch
        ]


@pytest.fixture
def scene(client: redis.Redis, clock: StoredClock) -> Scene:
    return Scene(client, clock)


def test_what_ended_meanwhile_ends_again_with_the_same_event(scene: Scene) -> None:
    """Whether the job waits in the state that is back, is in hand there, or is not on record. Nothing is dialled."""
    a, b = scene.a, scene.b
    in_hand = b.take("in-hand")
    a.park("waits")
    scene.clock.advance(1)
    events = scene.lose(lambda: a.end(a.lease()), lambda: b.end(in_hand), lambda: b.end(b.take("unknown")))
    assert scene.make_good() == Over(3, 0, all_known=True, seconds=LEAST_SECONDS + 0.1)
    assert sorted(scene.events()) == sorted(events)
    assert {scene.record(name)["state"] for name in ("waits", "in-hand", "unknown")} == {"placed"}
    assert a.ledger.lease_due(9).leases == []
    assert b.ledger.admit([application("unknown", ACME)]) == [Seen("placed")]
    assert scene.client.hget(f"{SHARD}limit:acme", "inflight") == b"0"
    for index in ("lane:acme", "expiry", "leases"):
        assert scene.client.zcard(f"{SHARD}{index}") == 0


def test_jobs_that_came_meanwhile_wait_again(scene: Scene) -> None:
    scene.lose(lambda: scene.a.park("first"), lambda: scene.b.park("second"))
    assert scene.make_good().put_back == 2
    assert [lease.job.id for lease in scene.b.ledger.lease_due(9).leases] == ["first", "second"]


def test_a_call_in_hand_stays_in_hand_and_is_recorded(scene: Scene) -> None:
    """The job waits in the state that is back. Nobody else gets it, and its outcome counts."""
    scene.a.park("one")
    (lease,) = scene.lose(scene.a.lease)
    assert scene.make_good().put_back == 1
    assert scene.b.ledger.lease_due(9).leases == []
    assert scene.client.hget(f"{SHARD}limit:acme", "inflight") == b"1"
    event = scene.a.end(lease)
    assert scene.events() == [event]


def test_a_lease_that_the_old_state_gave_is_not_dialled(scene: Scene) -> None:
    """A worker leases a job that has ended, notices, and asks again for what it was given."""
    scene.a.park("one")
    scene.lose(lambda: scene.a.end(scene.a.lease()))
    with suppress(StoreSetBack):
        assert scene.b.ledger.lease_due(at_most_one()).leases == []
    assert scene.b.shards.count == 1
    assert scene.record("one")["state"] == "dialling"
    scene.make_good()
    assert scene.record("one")["state"] == "placed"
    assert scene.b.ledger.lease_due(9).leases == []


def test_a_job_that_was_put_off_comes_with_its_tally(scene: Scene) -> None:
    """It is not dialled sooner or more often than it was to be."""
    scene.a.park("one")
    tally = Tally(sent=1, perhaps_rung=1)

    def put_off() -> Any:
        return scene.b.ledger.record([Parking(scene.b.lease(), tally, Reason.BACKOFF, 30.0, "no answer")])

    scene.lose(put_off)
    scene.make_good()
    assert scene.b.ledger.lease_due(9).leases == []
    scene.let_pass(30, scene.a)
    lease = scene.a.lease()
    assert (lease.fence, lease.tally, lease.waited_for) == (2, tally, Reason.BACKOFF)


def test_what_was_refused_or_canceled_meanwhile_is_over(scene: Scene) -> None:
    scene.a.park("canceled")

    def cancel() -> Any:
        (answer,) = Canceling(scene.a.ledger, Accounts({"acme": ACME})).take_back([Cancel("canceled")])
        assert isinstance(answer, Withdrawn)
        return answer.event.body

    def reject() -> Any:
        event = rejection("wrong", "acme")
        assert scene.b.ledger.reject("wrong", "acme", ACME, event, "content") is None
        return event.body

    events = scene.lose(cancel, reject)
    scene.make_good()
    assert sorted(scene.events()) == sorted(events)
    claim: Any = scene.client.get(keys.end("canceled", "acme"))
    assert claim.endswith(b" canceled")
    assert scene.a.ledger.lease_due(9).leases == []


@pytest.mark.parametrize("order", ["ab", "ba", "aba"])
def test_the_order_of_workers_does_not_matter(scene: Scene, order: str) -> None:
    """One knows that the job waited, the other one that it has ended."""
    scene.lose(lambda: scene.a.park("one"), lambda: scene.b.end(scene.b.lease()))
    workers = {"a": scene.a, "b": scene.b}
    scene.make_good(*(workers[name] for name in dict.fromkeys(order)))
    assert scene.record("one")["state"] == "placed" and len(scene.events()) == 1


def test_without_a_worker_what_it_may_have_dialled_counts_as_perhaps_rung(scene: Scene) -> None:
    """The hold waits for it, not for ever. What the account cannot have dialled in that time waits on."""
    names = [f"job-{n}" for n in range(30)]
    scene.a.ledger.admit([application(name, SLOW, may_dial=False) for name in names])
    scene.lose(lambda: scene.b.end(scene.b.lease()))
    over = scene.make_good(scene.a, seconds=LONGEST_SECONDS)
    assert not over.all_known and LOST_SECONDS <= over.perhaps_rung <= 20
    lost = scene.a.ledger.reclaim(99)
    assert {lease.job.id for lease in lost} == {*names[: over.perhaps_rung]}
    assert {(lease.due, lease.tally) for lease in lost} == {(Due.LOST, Tally(sent=1, perhaps_rung=1))}
    # The event of an end has the id that it had from the worker that is gone.
    assert {lease.fence for lease in lost} == {1}
    waiting = scene.client.zcard(f"{keys.prefix_of('slow')}lane:slow")
    assert waiting == len(names) - over.perhaps_rung


@pytest.mark.parametrize("name", ["due", "leases", "expiry", "lane:slow", "limit:slow", "job:two"])
def test_a_hold_ends_whatever_has_another_type(scene: Scene, name: str) -> None:
    """The key is told of elsewhere. The others count as perhaps rung all the same, where that can be told."""
    scene.a.ledger.admit([application(job_id, SLOW, may_dial=False) for job_id in ("one", "two", "three")])
    scene.lose(lambda: scene.b.end(scene.b.lease()))
    key = f"{keys.prefix_of('slow')}{name}"
    scene.client.delete(key)
    scene.client.rpush(key, "something else")
    over = scene.make_good(scene.a, seconds=LONGEST_SECONDS)
    assert not over.all_known and over.perhaps_rung == (3 if name == "job:two" else 0)


def test_a_worker_that_comes_late_still_puts_back_what_it_knows(scene: Scene) -> None:
    """It was away for the whole hold. It notices at its first look, and what it is given then is not dialled."""
    scene.a.park("one")
    (event,) = scene.lose(lambda: scene.b.end(scene.b.lease()))
    scene.make_good(scene.a, seconds=LONGEST_SECONDS)
    (lost,) = scene.a.ledger.reclaim(9)
    parking = Parking(lost, lost.tally, Reason.BACKOFF)
    assert scene.a.ledger.record([parking])[0] is not Recorded.LOST
    with suppress(StoreUnavailable):
        assert scene.b.ledger.lease_due(at_most_one()).leases == []
    with suppress(StoreSetBack):
        scene.b.look()
    assert scene.b.shards.count == 1
    (over,) = scene.b.shards.step().over
    scene.let_pass(CAREFUL_SECONDS, scene.b)
    assert scene.events() == [event] and scene.b.ledger.lease_due(9).leases == []
    assert scene.b.shards.count == 0 and over.perhaps_rung == 1


def test_a_journal_that_does_not_reach_so_far_back_is_no_full_knowledge(scene: Scene) -> None:
    """What a worker forgot may have been dialled, by whomever."""
    scene.a.park("one", "two")
    scene.a.journal = Journal(scene.clock)
    scene.b.journal._kept_seconds = LOST_SECONDS / 4
    scene.lose(
        lambda: scene.b.end(scene.b.lease()), lambda: scene.clock.advance(1), lambda: scene.b.park("x")
    )
    over = scene.make_good()
    assert not over.all_known and over.perhaps_rung == 3


def test_an_empty_redis_gets_back_what_is_known(scene: Scene) -> None:
    """Workers that remember more than nothing tell it from a new installation."""
    scene.a.park("before")
    scene.look()
    for server in servers_of(scene.client):
        server.flushall()
    scene.clock.go_back(0)
    assert scene.make_good().put_back == 1
    assert scene.record("before")["state"] == "waiting"
    # The rate of the account is on record too: nothing goes faster than it may.
    assert scene.client.hget(f"{SHARD}limit:acme", "pace") == ACME.pace.packed().encode()
    assert scene.b.lease().job.id == "before"


def test_an_account_has_no_burst_left(scene: Scene) -> None:
    """The old state does not know what was used of it."""
    bursting = account("slow", "1/s", burst=60, concurrency=99)
    jobs = [application(f"job-{n}", bursting, may_dial=False) for n in range(120)]
    scene.a.ledger.admit(jobs)
    (released,) = scene.lose(lambda: scene.a.ledger.lease_due(300))
    scene.make_good()
    assert len(released.leases) > 50
    assert len(scene.a.ledger.lease_due(99).leases) <= LEAST_SECONDS + LOST_SECONDS


def test_nothing_happens_while_a_shard_is_held(scene: Scene) -> None:
    """A worker that did not notice anything is stopped too, and takes part."""
    scene.a.park("one", "two")
    new = Worker(scene.client, scene.clock, "c", scene.registered)
    scene.lose(lambda: scene.a.end(scene.a.lease()))
    with suppress(StoreSetBack):
        assert scene.a.ledger.reclaim(9) == []
    scene.a.shards.step()
    with suppress(StoreSetBack):
        assert new.ledger.lease_due(at_most_one()).leases == []
    assert isinstance(new.ledger.admit([application("new", ACME)])[0], Later)
    assert new.ledger.lease_due(at_most_one()).leases == []
    with suppress(StoreSetBack):
        assert scene.events() == []
    assert new.shards.count == 1 and scene.record("two")["state"] == "waiting"
    assert scene.record("new") == {}


def test_doctor_tells_of_a_hold_and_of_the_last_day(scene: Scene, redis_url: str) -> None:
    def told() -> list[Finding]:
        found = servers.store(Settings.from_env({"REDIS_URL": redis_url, "BROKER_URL": "amqp://localhost:1"}))
        return [finding for finding in found if finding.name == "Redis state"]

    assert told() == []
    scene.lose(lambda: scene.a.park("one"))
    with suppress(StoreSetBack):
        assert scene.a.ledger.reclaim(9) == []
    scene.a.shards.step()
    (held,) = told()
    assert (
        held.grade is Grade.WARN
        and held.text.startswith("1 of 16 shards came back")
        and "are held" in held.text
    )
    scene.make_good()
    (over,) = told()
    assert over.grade is Grade.WARN and "1 jobs were put back, 0 count as perhaps rung" in over.text
