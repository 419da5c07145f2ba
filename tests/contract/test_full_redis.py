"""A Redis without memory refuses all that leads to a call, as a whole, and takes what a call came to. (A2)"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, failed, placed
from worker.core.records import Lease, Parked, Reason, Seen
from worker.core.retry import Tally
from worker.errors import StoreUnavailable
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.admission import portions
from worker.state.lua import store_scripts
from worker.state.outbox import RedisOutbox
from worker.state.releases import AHEAD_US

SHARD = keys.prefix_of("acme")
OWNER = account(rate="100/s", burst=50, concurrency=50)


class Bench:
    """A ledger with a job in hand and others that could go, and the calls of scripts that lead to a call."""

    def __init__(self, client: redis.Redis) -> None:
        self.client, self.scripts = client, store_scripts(client)
        self.ledger = redis_ledger(self.scripts)
        (self.lease, self.other) = (self._go(name) for name in ("in-hand", "other"))
        # A job that has no time left is in front, to be taken out of the lane first.
        self._park("late", expires_at_us=self.lease.accepted_at_us + 1)
        self._park("waits")
        self.call: Any = client.hget(f"{SHARD}job:in-hand", "call")

    def _go(self, name: str) -> Lease:
        (lease,) = self.ledger.admit([application(name, OWNER)])
        assert isinstance(lease, Lease)
        return lease

    def _park(self, name: str, expires_at_us: int | None = None) -> None:
        one = application(name, OWNER, may_dial=False, expires_at_us=expires_at_us)
        (parked,) = self.ledger.admit([one])
        assert isinstance(parked, Parked)

    def admit(self) -> object:
        return self.ledger.admit([application("new", OWNER)])

    def admit_a_claimed_one(self) -> object:
        """Admit a message that comes again: its id was claimed while there was still memory."""
        ((call, _),) = portions([application("new", OWNER)], {0: "name:0"}, 30_000_000, AHEAD_US, 0)
        return self.scripts.run(call)

    def lease_due(self) -> object:
        return self.ledger.lease_due(9)

    def renew(self) -> object:
        return self.ledger.renew(self.lease, OWNER, Tally(sent=1, not_rung=1))

    def regain(self) -> object:
        return self.scripts.run(ScriptCall("regain", keys.prefixes(), (self.call,)))

    def reclaim(self) -> object:
        return self.ledger.reclaim(9)

    def declare(self) -> None:
        self.ledger.declare([OWNER])

    def dump(self) -> dict[bytes, bytes | None]:
        return {key: self.client.dump(key) for key in self.client.scan_iter()}


@pytest.fixture
def bench(client: redis.Redis) -> Bench:
    return Bench(client)


@contextmanager
def full(client: redis.Redis) -> Iterator[None]:
    client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        client.config_set("maxmemory", "0")


STEPS = [
    Bench.admit,
    Bench.admit_a_claimed_one,
    Bench.lease_due,
    Bench.renew,
    Bench.regain,
    Bench.reclaim,
    Bench.declare,
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_what_leads_to_a_call_is_refused_as_a_whole(bench: Bench, step: Callable[[Bench], object]) -> None:
    """No key is changed by it; with memory again the same is done."""
    before = bench.dump()
    with full(bench.client), pytest.raises(StoreUnavailable, match="OOM"):
        step(bench)
    assert bench.dump() == before
    step(bench)


def test_what_a_call_came_to_is_taken(bench: Bench) -> None:
    """Its outcome, or that it is to be tried again, is on record at once, and its event can go out."""
    outbox = RedisOutbox(bench.scripts)
    event = placed(bench.lease)
    with full(bench.client):
        bench.ledger.extend([bench.lease, bench.other])
        decisions.settle(bench.ledger, bench.lease, OWNER, Tally(sent=1), event)
        decisions.park(bench.ledger, bench.other, Tally(not_rung=1), Reason.BACKOFF, 0.0)
        ((shard, batch),) = outbox.next().items()
        outbox.published(shard, len(batch))
        assert outbox.next() == {}
        with pytest.raises(StoreUnavailable):
            bench.lease_due()
    assert [one.body for one in batch] == [event.body]
    assert bench.ledger.admit([application("in-hand", OWNER)]) == [Seen("placed")]
    assert {lease.job.id for lease in bench.ledger.lease_due(9).leases} == {"other", "waits"}


def test_a_rejection_is_refused_and_can_be_repeated(bench: Bench) -> None:
    """Its message is not acknowledged meanwhile; afterwards the same job gets one event."""
    event = failed(bench.lease)
    with full(bench.client), pytest.raises(StoreUnavailable):
        bench.ledger.reject("new", "acme", OWNER, event, "content")
    assert bench.ledger.reject("new", "acme", OWNER, event, "content") is None
    assert bench.client.llen(SHARD + "outbox") == 1
