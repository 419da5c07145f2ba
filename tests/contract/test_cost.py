"""What a job costs at Redis, counted: a guard against regressions that no machine's speed can hide or feign."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, accounts, application, placed, report
from worker.broker.queues import CALLS, TASK_QUEUES
from worker.core.canceling import Canceling
from worker.core.cancels import Cancel, Noted, Withdrawn
from worker.core.records import Ending, Lease, Parked, Seen
from worker.core.retry import Tally
from worker.core.shards import SHARDS
from worker.delivery.ports import OutgoingEvent
from worker.delivery.results import ResultsQueue
from worker.inbound.redis_lists import RedisLists
from worker.producer import enqueue_many
from worker.redisio.nodes import OneNode
from worker.redisio.runner import Scripts
from worker.redisio.trips import Trips
from worker.state.census import Census
from worker.state.ledger import RedisLedger
from worker.state.lua import source
from worker.state.outbox import RedisOutbox
from worker.state.workers import RedisWorkers

JOBS = 100
JOB = {"account": "acme", "country": "1", "phone": "2125550123", "code": "4711"}
OWNER = account(rate="100000/s", burst=2 * JOBS, concurrency=2 * JOBS)


class CountedTrips(Trips):
    count = 0

    def send(self, *args: Any, **options: Any) -> dict[int, Any]:
        self.count += 1
        return super().send(*args, **options)


class Counted(Scripts):
    """Scripts whose round trips are counted."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client, source)
        self._trips = self._counted_trips = CountedTrips(OneNode(client))

    @property
    def trips(self) -> int:
        return self._counted_trips.count


class Bill:
    """Round trips, and commands of scripts per job, since it was last asked."""

    def __init__(self, client: redis.Redis, scripts: Counted) -> None:
        self._client, self._scripts = client, scripts
        self._seen = self._commands()
        self._trips = scripts.trips

    def __call__(self) -> tuple[int, float]:
        commands, trips = self._commands(), self._scripts.trips
        spent = trips - self._trips, (commands - self._seen) / JOBS
        # The counting itself is a command.
        self._seen, self._trips = self._commands(), trips
        return spent

    def _commands(self) -> int:
        return sum(calls for name, calls in commands(self._client).items() if name != "cmdstat_info")


def commands(client: redis.Redis) -> dict[str, int]:
    """Return how often each command ran, those of scripts too."""
    stats: Any = client.info("commandstats")
    return {name: entry["calls"] for name, entry in stats.items()}


@pytest.fixture
def scripts(client: redis.Redis) -> Counted:
    warm = Counted(client)
    ledger = redis_ledger(warm)
    (lease,) = ledger.admit([application("warm", OWNER)])
    assert isinstance(lease, Lease)
    ledger.lease_due(1)
    ledger.record([Ending(lease, OWNER, Tally(sent=1), placed(lease))])
    outbox = RedisOutbox(warm)
    ((shard, batch),) = outbox.next().items()
    outbox.published(shard, len(batch))
    assert outbox.next() == {}
    return warm


@pytest.fixture
def ledger(scripts: Counted) -> RedisLedger:
    """A worker's ledger that knows the installation, which it asks for once."""
    found = redis_ledger(scripts)
    found.installation()
    return found


@pytest.fixture
def bill(client: redis.Redis, scripts: Counted) -> Bill:
    return Bill(client, scripts)


@pytest.fixture
def lists(client: redis.Redis) -> RedisLists:
    """The lists of a broker whose connection and scripts have been used before."""
    found = RedisLists(client, [queue.name for queue in TASK_QUEUES], CALLS.name)
    found.fetch(1, [])
    return found


@pytest.fixture
def results(redis_url: str) -> Iterator[ResultsQueue]:
    with closing(ResultsQueue(redis_url)) as queue:
        queue.publish([OutgoingEvent("call.placed", "{}")])
        yield queue


def test_file_is_asked_about_once_a_trip(client: redis.Redis, ledger: RedisLedger) -> None:
    """A batch runs a script on each shard; that its writes are in Redis' file is asked once for all of them."""
    owners = [account(f"account-{n}") for n in range(JOBS)]
    before = commands(client)
    ledger.admit([application(f"job-{n}", owner) for n, owner in enumerate(owners)])
    after = commands(client)
    assert after["cmdstat_evalsha"] - before["cmdstat_evalsha"] == SHARDS
    # The counting itself is the second one.
    assert after["cmdstat_info"] - before["cmdstat_info"] == 2


def test_workers_report_costs_a_round_trip_and_few_commands(client: redis.Redis) -> None:
    """An idle worker reports each second, whatever the number of others."""
    workers = [RedisWorkers(client) for _ in range(20)]
    for worker in workers:
        worker.report(report(), 60.0, 0.0)
    before = commands(client)
    for _ in range(JOBS):
        workers[-1].report(report(), 60.0, 0.0)
    after = commands(client)
    assert after["cmdstat_evalsha"] - before["cmdstat_evalsha"] == JOBS
    assert sum(after.values()) - sum(before.values()) <= 8.1 * JOBS


def names(prefix: str) -> list[str]:
    return [f"{prefix}-{n}" for n in range(JOBS)]


def test_a_batch_that_goes_at_once_costs_four_round_trips(
    ledger: RedisLedger, scripts: Counted, bill: Bill
) -> None:
    """Claims, admissions, outcomes, and the relay's look: one each for the whole batch, and so many commands a job."""
    leases = ledger.admit([application(name, OWNER) for name in names("a")])
    assert all(isinstance(lease, Lease) for lease in leases)
    trips, commands = bill()
    assert trips == 2 and commands <= 7.4
    endings = [
        Ending(lease, OWNER, Tally(sent=1), placed(lease)) for lease in leases if isinstance(lease, Lease)
    ]
    ledger.record(endings)
    trips, commands = bill()
    # One of them puts the outcome beside the claim of the id, so that the record may go after an hour.
    assert trips == 1 and commands <= 8.2
    ((_, batch),) = RedisOutbox(scripts).next().items()
    trips, commands = bill()
    assert trips == 1 and commands <= 0.3 and len(batch) == JOBS


def test_a_batch_that_waits_costs_one_round_trip_more(ledger: RedisLedger, bill: Bill) -> None:
    """The jobs that are due come in one answer, from whatever shards."""
    parked = ledger.admit([application(name, OWNER, may_dial=False) for name in names("b")])
    assert all(isinstance(one, Parked) for one in parked)
    trips, commands = bill()
    assert trips == 2 and commands <= 3.5
    assert len(ledger.lease_due(JOBS).leases) == JOBS
    trips, commands = bill()
    assert trips == 1 and commands <= 8.5


def test_a_batch_of_many_accounts_costs_a_look_at_each(ledger: RedisLedger, bill: Bill) -> None:
    """A batch in which every job has another account still costs one call for each shard."""
    owners = [account(f"a{n}", rate="1/h") for n in range(JOBS)]
    ledger.declare(owners)
    bill()
    ledger.admit([application(f"d-{owner.name}", owner, may_dial=False) for owner in owners])
    trips, commands = bill()
    assert trips == 2 and commands * JOBS <= 10 * JOBS + 2 * SHARDS


def test_repeated_ids_cost_a_round_trip_more(ledger: RedisLedger, bill: Bill) -> None:
    """Repeated ids cost a question whose they are, and one for their state. Each script call reads the clock. (B6)"""
    batch = [application(name, OWNER, may_dial=False) for name in names("e")]
    for _ in range(2):
        ledger.admit(batch)
    bill()
    assert ledger.admit(batch) == [Seen("waiting")] * JOBS
    trips, commands = bill()
    assert trips == 3 and commands <= 5.2


def test_a_batch_of_cancels_costs_three_round_trips(ledger: RedisLedger, bill: Bill) -> None:
    """Whose the ids are, how the jobs wait, and their ends; a job whose cancel came first costs one trip more."""
    batch = [application(name, OWNER, may_dial=False) for name in names("f")]
    ledger.admit(batch)
    ledger.cancel([Cancel("warm-up"), Cancel(batch[0].job.id)])
    ledger.admit([application("warm-up", OWNER)])
    bill()
    cancels = [Cancel(name) for name in names("f")]
    answers = Canceling(ledger, accounts(OWNER)).take_back(cancels)
    assert all(isinstance(answer, Withdrawn) for answer in answers)
    trips, commands = bill()
    assert trips == 3 and commands <= 13
    assert ledger.cancel([Cancel(name) for name in names("g")]) == [Noted()] * JOBS
    trips, commands = bill()
    assert trips == 1 and commands <= 3.1
    early = ledger.admit([application(name, OWNER) for name in names("g")])
    assert all(isinstance(one, Withdrawn) for one in early)
    trips, commands = bill()
    assert trips == 3 and commands <= 15.5


def test_looking_for_work_costs_two_commands_a_shard(ledger: RedisLedger, bill: Bill) -> None:
    """However many jobs wait for slots that have not come."""
    slow = account(rate="1/h", burst=1)
    ledger.admit([application(name, slow) for name in names("c")])
    bill()
    assert ledger.lease_due(JOBS).leases == []
    trips, commands = bill()
    assert trips == 1 and commands * JOBS <= 2 * SHARDS + 5


def test_counting_idle_accounts_costs_a_command_each(
    client: redis.Redis, ledger: RedisLedger, bill: Bill
) -> None:
    """However many accounts there are, what has nothing to tell costs one look at its limits."""
    found = Census(client)
    found.accounts(["warm"])
    names = [f"account-{n}" for n in range(50 * JOBS)]
    bill()
    assert found.accounts(names) == []
    _, commands = bill()
    assert commands / 50 <= 1.1


def test_a_batch_of_messages_is_taken_and_struck_off_in_bulk(
    redis_url: str, lists: RedisLists, bill: Bill
) -> None:
    """Beside a look at each list, a command a message to file it, and none to strike it off.

    It was two: those that say when it was filed now go together. Lists are taken from eight at a time (E6), and the
    keys looked at first (B8), which is a tenth of a command a message.
    """
    enqueue_many([dict(JOB, id=name) for name in names("m")], broker_url=redis_url)
    bill()
    filed = lists.fetch(JOBS, []).messages
    assert len(filed) == JOBS
    _, commands = bill()
    assert commands <= 2.0
    lists.fetch(0, [message.tag for message in filed])
    _, commands = bill()
    assert commands <= 0.1


def test_a_batch_of_events_costs_two_commands_and_a_question(results: ResultsQueue, bill: Bill) -> None:
    """The commands ask for the bindings and send the events; the question whether they are written is not counted."""
    results.publish([OutgoingEvent("call.placed", "{}")] * JOBS)
    _, commands = bill()
    assert commands * JOBS <= 2
