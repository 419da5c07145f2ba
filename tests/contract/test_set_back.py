"""A store that went back in time is noticed by workers that remember more than it does. See docs/decisions/0030."""

from __future__ import annotations

import pytest
import redis

from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, placed
from tests.set_back import Copy
from worker.core.records import Ending, Later, Lease
from worker.core.retry import Tally
from worker.errors import StoreSetBack
from worker.redisio.texts import ScriptCall
from worker.redisio.turns import Turns
from worker.state import keys
from worker.state.ledger import RedisLedger
from worker.state.look import Look
from worker.state.lua import store_scripts

ACME = account("acme", "100/s", concurrency=50)
SHARD = keys.prefix_of("acme")


class Worker:
    """A worker's ledger, and how often it noticed something."""

    def __init__(self, client: redis.Redis) -> None:
        self.noticed = 0
        self.turns = Turns(self._notice)
        self.scripts = store_scripts(client, turns=self.turns)
        self.ledger: RedisLedger = redis_ledger(self.scripts)

    def _notice(self) -> None:
        self.noticed += 1


def test_a_shard_that_lost_changes_is_noticed_and_left_alone(client: redis.Redis) -> None:
    """The reply of the script that finds it has no consequence, and nothing more is sent there."""
    worker, other = Worker(client), account("other", "100/s")
    worker.ledger.admit([application("a", ACME)])
    before = Copy(client)
    worker.ledger.admit([application("b", ACME), application("c", ACME)])
    before.restore()
    with pytest.raises(StoreSetBack):
        worker.ledger.admit([application("d", ACME)])
    assert worker.noticed == 1 and worker.turns.left_alone == {SHARD}
    turn = client.get(f"{SHARD}turn")
    put_off, done = worker.ledger.admit([application("e", ACME), application("x", other)])
    assert isinstance(put_off, Later) and isinstance(put_off.cause, StoreSetBack) and isinstance(done, Lease)
    assert client.get(f"{SHARD}turn") == turn and worker.noticed == 1
    assert worker.ledger.admit([application("f", other)])
    worker.turns.go_on(SHARD, 2)
    assert worker.ledger.admit([application("g", ACME)])


def test_a_worker_that_changes_nothing_notices_too(client: redis.Redis) -> None:
    """The sweeper reads the turns of all shards, whether anything is due or not."""
    busy, idle = Worker(client), Worker(client)
    before = Copy(client)
    (lease,) = busy.ledger.admit([application("a", ACME)])
    assert isinstance(lease, Lease)
    busy.ledger.record([Ending(lease, ACME, Tally(sent=1), placed(lease))])
    assert idle.ledger.reclaim(9) == [] and idle.turns.known[SHARD] == 2
    before.restore()
    with pytest.raises(StoreSetBack):
        idle.ledger.reclaim(9)
    assert idle.turns.left_alone == {SHARD}


def test_the_look_of_an_idle_worker_notices(client: redis.Redis) -> None:
    """It reads the turns of all shards, whatever it finds there."""
    busy, idle = Worker(client), Worker(client)
    look = Look(idle.scripts, idle.ledger.learn)
    before = Copy(client)
    busy.ledger.admit([application("a", ACME)])
    assert look().overdue > 0 and idle.turns.known[SHARD] == 1
    before.restore()
    with pytest.raises(StoreSetBack):
        look()
    assert idle.turns.left_alone == {SHARD}


def test_a_new_worker_has_nothing_to_notice(client: redis.Redis) -> None:
    """An empty Redis is a new installation to a worker that has not seen another one."""
    worker = Worker(client)
    assert worker.ledger.reclaim(9) == []
    assert worker.ledger.admit([application("a", ACME)])
    assert not worker.noticed


def test_a_held_shard_refuses_every_change(client: redis.Redis) -> None:
    """Also of a worker that noticed nothing: the key of the turns holds no number then."""
    worker = Worker(client)
    worker.ledger.admit([application("a", ACME, may_dial=False)])
    client.set(f"{SHARD}turn", "held")
    before = Copy(client).keys
    with pytest.raises(StoreSetBack):
        worker.ledger.lease_due(1)
    assert isinstance(worker.ledger.admit([application("b", ACME)])[0], Later)
    assert worker.ledger.lease_due(1).leases == []
    after = Copy(client).keys
    assert {key: after[key] for key in before if b"{" in key} == {
        key: held for key, held in before.items() if b"{" in key
    }


def test_a_refusal_does_not_leave_a_shard_alone_again(client: redis.Redis) -> None:
    """A call may be refused just before the shard is used again, and end after that."""
    worker = Worker(client)
    worker.turns.leave_alone(SHARD)
    alone = worker.turns.left_alone

    class Late(frozenset[str]):
        """What is left alone when a call is sent, and no more when it has ended."""

        def __contains__(self, prefix: object) -> bool:
            worker.turns.go_on(SHARD, 1)
            return prefix in alone

    worker.turns.left_alone = Late(alone)
    assert isinstance(worker.scripts.run_each([ScriptCall("tell", SHARD, ())])[0], StoreSetBack)
    assert worker.turns.left_alone == frozenset()
