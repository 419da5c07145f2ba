"""Another server becomes the primary, the address leads to it, and what is connected to the old one stays connected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from tests.contract.forwarder import Forwarder
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application
from tests.processes import wait_until
from tests.redis_server import RedisServer, fail_over, follow
from worker.broker.queues import CALLS
from worker.core.records import Lease
from worker.delivery.ports import OutgoingEvent
from worker.delivery.results import ResultsQueue
from worker.errors import StoreUnavailable
from worker.inbound.redis_lists import RedisLists
from worker.redisio.connection import connect

OWNER = account(rate="1000/s", burst=50, concurrency=50)


class Place(NamedTuple):
    """Two servers, and the address that leads to one of them."""

    old: Any
    new: Any
    address: Forwarder

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.address.port}/0"

    def fail_over(self) -> None:
        """The address leads to the new server, which has everything; the old one keeps its clients."""
        fail_over(self.old, self.new)
        self.address.target = self.new.connection_pool.connection_kwargs["port"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        clients = []
        for name in ("old", "new"):
            (tmp_path / name).mkdir()
            server = stack.enter_context(RedisServer(tmp_path / name))
            clients.append(stack.enter_context(redis.Redis(port=server.port)))
        old, new = clients
        follow(new, old)
        address = stack.enter_context(Forwarder(old.connection_pool.connection_kwargs["port"]))
        yield Place(old, new, address)


@pytest.fixture
def client(place: Place) -> Iterator[redis.Redis]:
    with connect(place.url) as connected:
        yield connected


def test_a_refusal_by_the_old_primary_leads_to_the_new_one(place: Place, client: redis.Redis) -> None:
    """One call fails and names the cause, though it had nothing to write; the next ones go to the new server. (B1)"""
    ledger = redis_ledger(client)
    ledger.admit([application("before", OWNER)])
    place.fail_over()
    with pytest.raises(StoreUnavailable, match="READONLY"):
        ledger.lease_due(1)
    (lease,) = ledger.admit([application("after", OWNER)])
    assert isinstance(lease, Lease) and place.new.exists("callworker:id:after")


def test_one_refusal_moves_every_connection_of_the_process(place: Place, client: redis.Redis) -> None:
    """Idle ones of the same pool, other clients' and kombu's: none has to fail by itself. (B1)"""
    pool: Any = client.connection_pool
    held = [pool.get_connection() for _ in range(3)]
    for connection in held:
        pool.release(connection)
    with connect(place.url) as other, closing(ResultsQueue(place.url)) as results:
        lists = RedisLists(other, [CALLS.name], CALLS.name)
        assert lists.fetch(1, []).messages == []
        results.publish([OutgoingEvent("call.placed", "before")])
        place.fail_over()
        with pytest.raises(redis.ReadOnlyError):
            client.set("a", "1")
        for connection in [pool.get_connection() for _ in range(3)]:
            connection.send_command("SET", "b", "2")
            assert connection.read_response() == b"OK"
            pool.release(connection)
        results.publish([OutgoingEvent("call.placed", "after")])
        assert place.new.llen("results") == 2
        place.new.lpush(CALLS.name, '{"body": ""}')
        assert len(lists.fetch(1, []).messages) == 1


def test_a_wait_that_the_old_primary_broke_off_moves_too(place: Place, client: redis.Redis) -> None:
    """Redis ends what blocks when it becomes a replica; that is word enough. (B1)"""
    pool: Any = client.connection_pool
    connection = pool.get_connection()
    connection.send_command("BLPOP", "nothing", 0)
    wait_until(lambda: place.old.info("clients")["blocked_clients"] == 1, "it waits at the old server")
    place.fail_over()
    with pytest.raises(redis.ResponseError, match="UNBLOCKED"):
        connection.read_response()
    connection.send_command("SET", "a", "1")
    assert connection.read_response() == b"OK" and place.new.get("a") == b"1"
