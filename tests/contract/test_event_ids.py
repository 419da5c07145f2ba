"""What is told again from a state that was set back is the same event: subscribers drop the second telling."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.contract.hooks import SHARD, Lanes
from tests.doubles.clocks import StoredClock
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import REF, account, accounts, application
from tests.doubles.watchers import NotedFaults, NotedWatch
from worker.core.canceling import Canceling
from worker.core.cancels import Cancel, Withdrawn
from worker.core.events import Failure, Status
from worker.core.records import Lease
from worker.core.retry import Tally
from worker.core.settling import Settler
from worker.delivery.ports import Destination
from worker.engine.recorder import Recorder
from worker.state import keys
from worker.state.endpoints import RedisEndpoints
from worker.state.installation import Installation
from worker.state.ledger import RedisLedger
from worker.state.lua import store_scripts

OWNER = account()
ACCOUNTS = accounts(OWNER)


def set_back(client: Any) -> Callable[[], None]:
    """Keep the whole state; return what puts it back as it is now, as a restored backup does."""
    kept = {key: client.dump(key) for key in client.scan_iter()}

    def back() -> None:
        client.flushall()
        for key, value in kept.items():
            client.restore(key, 0, value)

    return back


def settle(ledger: RedisLedger, lease: Lease, status: Status, outcome: str | Failure) -> None:
    recorder = Recorder(ledger, NotedWatch(), NotedFaults())
    Settler(ledger, recorder, NotedWatch()).settle(lease, OWNER, Tally(sent=1), status, outcome)
    recorder.turn()


def told(client: Any) -> list[str]:
    """Return the ids of the events of the shard, and take them out."""
    rows = client.lrange(f"{SHARD}outbox", 0, -1)
    client.delete(f"{SHARD}outbox")
    return [json.loads(row.partition(b" ")[2])["id"] for row in rows]


def test_the_end_of_a_call_is_the_same_event_after_the_state_went_back(
    client: redis.Redis, clock: StoredClock
) -> None:
    """Even if another worker tells it and the second call has another end; the next job's event is another one."""
    ids = []
    redis_ledger(client, clock).admit([application("a", OWNER, may_dial=False)])
    back = set_back(client)
    for outcome in (REF, Failure("INVALID_TELEPHONE", "no")):
        back()
        ledger = redis_ledger(client, clock)
        (lease,) = ledger.lease_due(1).leases
        settle(ledger, lease, Status.PLACED if outcome == REF else Status.FAILED, outcome)
        ids.append(told(client))
        clock.advance(3)
    (one,), (other,) = ids
    assert one == other
    client.delete(keys.claim("a"), f"{keys.prefix_of('acme')}job:a")
    (again,) = ledger.admit([application("a", OWNER)])
    assert isinstance(again, Lease)
    settle(ledger, again, Status.PLACED, REF)
    assert told(client) not in ids


def test_a_cancel_is_the_same_event_after_the_state_went_back(
    client: redis.Redis, clock: StoredClock
) -> None:
    """It ends the job as it waits, and that is the same way each time."""
    ids = list[list[str]]()
    redis_ledger(client, clock).admit([application("a", OWNER, may_dial=False)])
    back = set_back(client)
    for _ in range(2):
        back()
        clock.advance(3)
        (ended,) = Canceling(redis_ledger(client, clock), ACCOUNTS).take_back([Cancel("a")])
        assert isinstance(ended, Withdrawn)
        ids.append(told(client))
        assert ids[-1] == [ended.event.id]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("operator", [False, True])
def test_what_happens_to_an_endpoint_is_the_same_event_after_the_state_went_back(
    client: redis.Redis, clock: StoredClock, operator: bool
) -> None:
    """A warning and the end that come with one failure are two events, each the same the next time."""
    lanes, ids = Lanes(client, clock), []
    lanes.end("a")
    client.hset(f"{SHARD}hook:acme|one", mapping={"fails": 49, "bad_from": clock.now_us // 1000})
    told(client)
    back = set_back(client)
    for _ in range(2):
        back()
        if operator:
            RedisEndpoints(client).disable(Destination("acme", "one"))
        else:
            lanes.again(lanes.one(), 60.0, disable="asked")
        ids.append(told(client))
    assert ids[0] == ids[1] and len(set(ids[0])) == (1 if operator else 2)


def test_an_endpoint_that_is_disabled_again_is_another_event(client: redis.Redis, clock: StoredClock) -> None:
    """Each time that an operator disables it is told."""
    there, ids = Destination("acme", "one"), []
    for _ in range(2):
        RedisEndpoints(client).disable(there)
        ids += told(client)
        RedisEndpoints(client).enable(there)
        clock.advance(1)
    assert len(set(ids)) == 2


def test_the_installation_has_one_id(client: redis.Redis) -> None:
    """Every worker gets the one that the first has made; the state of another Redis has another one."""
    first = Installation(store_scripts(client)).id()
    assert Installation(store_scripts(client)).id() == first and len(first) == 32
    client.flushall()
    assert Installation(store_scripts(client)).id() != first


def test_a_key_of_another_type_stops_nothing(client: redis.Redis) -> None:
    """The process then has an id of its own, and keeps it."""
    client.rpush(keys.INSTALLATION, "something else")
    installation = Installation(store_scripts(client))
    assert len(installation.id()) == 32 and installation.id() == installation.id()
