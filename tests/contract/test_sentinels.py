"""Three Redis and three Sentinels: every client finds the master, and leaves it when another one is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError

from callworker import AsyncClient, BrokerUnavailable, Client
from callworker.message import queue_of
from callworker.sentinels import NoMaster
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application
from tests.processes import wait_until
from tests.redis_server import RedisServer
from tests.sentinels import Installation, client_of
from worker.broker.connection import Link
from worker.broker.queues import CALLS, RESULTS
from worker.core.records import Lease
from worker.delivery.ports import OutgoingEvent
from worker.delivery.results import ResultsQueue
from worker.errors import BrokerUnavailable as BrokerIsUnavailable
from worker.errors import StoreUnavailable
from worker.inbound.redis_lists import RedisLists
from worker.preflight.greeting import ask_broker, ask_store
from worker.producer import Producer
from worker.redisio.connection import connect
from worker.settings import Settings

OWNER = account(rate="1000/s", burst=50, concurrency=50)
FIELDS = {"account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}
QUEUE = queue_of("acme")
LONG_SECONDS = 300.0
"""A wait for an answer that no test sits out: something has to end it."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with ExitStack() as stack:
        yield Installation(stack, tmp_path_factory.mktemp("machines"))


@pytest.fixture
def url(machines: Installation) -> str:
    """The address of an empty installation whose servers all run and follow the master."""
    machines.wait_until_whole()
    with client_of(machines.master()) as master:
        master.flushall()
    return machines.url


def keys_at(server: RedisServer, key: str) -> int:
    with client_of(server) as client:
        return int(client.llen(key))


def test_address_leads_every_client_to_the_master(machines: Installation, url: str) -> None:
    """Store, results queue, kombu's channel, producer and the clients meet there, and a worker may start."""
    assert Settings.from_env({"REDIS_URL": url, "BROKER_URL": url}).redis_url == url
    ask_store(url)
    ask_broker(url, "BROKER_URL")
    with (
        connect(url) as store,
        closing(ResultsQueue(url)) as results,
        Producer(url) as producer,
        Client(url) as client,
        closing(Link(url, [RESULTS])) as link,
        client.events(timeout=60) as events,
    ):
        (lease,) = redis_ledger(store).admit([application("one", OWNER)])
        assert isinstance(lease, Lease)
        producer.enqueue({"id": "one", **FIELDS})
        client.enqueue({"id": "two", **FIELDS})
        asyncio.run(_send_with_asyncio(url, "three"))
        results.publish([OutgoingEvent("call.placed", EVENT)])
        assert next(iter(events)).type == "call.placed"
        assert RESULTS.bind(link.channel).get(no_ack=True) is not None
        assert link.connection.as_uri() == url.removesuffix("/0")
    assert keys_at(machines.master(), QUEUE) == 3


EVENT = (
    """{"id": "e", "type": "call.placed", "timestamp": "2026-11-27T08:15:30.123Z", "data": {"id": "one"}}"""
)


async def _send_with_asyncio(url: str, job_id: str) -> None:
    async with AsyncClient(url) as client:
        await client.enqueue({"id": job_id, **FIELDS})


def test_every_client_goes_on_at_the_next_master(machines: Installation, url: str) -> None:
    """The master is killed; no client has to be made again, and the old one comes back as a replica."""
    with (
        connect(url) as store,
        connect(url) as broker,
        closing(ResultsQueue(url)) as results,
        Client(url, timeout=2.0) as client,
    ):
        ledger, lists = redis_ledger(store), RedisLists(broker, [CALLS.name], CALLS.name)
        ledger.admit([application("before", OWNER)])
        results.publish([OutgoingEvent("call.placed", "before")])
        client.enqueue({"id": "before", **FIELDS})
        assert lists.fetch(1, []).messages == []
        old = machines.master()
        old.kill()
        with pytest.raises((StoreUnavailable, BrokerIsUnavailable)):
            results.publish([OutgoingEvent("call.placed", "meanwhile")])
        new = machines.wait_for_another_than(old)
        wait_until(lambda: _works(lambda: ledger.admit([application("after", OWNER)])), "the store goes on")
        wait_until(
            lambda: _works(lambda: results.publish([OutgoingEvent("call.placed", "after")])), "events go out"
        )
        wait_until(lambda: _works(lambda: client.enqueue({"id": "after", **FIELDS})), "jobs are sent")
        wait_until(lambda: _works(lambda: lists.fetch(1, [])), "jobs are fetched")
        asyncio.run(_send_with_asyncio(url, "with-asyncio"))
        old.start()
        wait_until(lambda: _works(lambda: ledger.admit([application("later", OWNER)])), "it stays there")
    assert keys_at(new, QUEUE) == 3 and keys_at(new, RESULTS.name) >= 2
    with client_of(new) as master:
        assert master.exists("callworker:id:after", "callworker:id:later") == 2


def _works(call: Any) -> bool:
    try:
        call()
    except (StoreUnavailable, BrokerIsUnavailable, BrokerUnavailable):
        return False
    return True


def test_wait_for_a_frozen_master_ends_with_the_failover(machines: Installation, url: str) -> None:
    """A thread that waits for an answer learns that there is another master, long before its wait is over."""
    old = machines.master()
    ended = threading.Event()
    with connect(url, seconds=LONG_SECONDS) as client:
        client.connection_pool.connection_kwargs["socket_timeout"] = LONG_SECONDS
        assert client.ping()
        old.freeze()

        def wait() -> None:
            with pytest.raises(ConnectionError):
                client.set("a", "1")
            ended.set()

        threading.Thread(target=wait, daemon=True).start()
        try:
            machines.wait_for_another_than(old)
            wait_until(ended.is_set, "the wait has ended")
            wait_until(lambda: _port_of(client) not in (None, old.port), "it goes on at the new master")
        finally:
            old.thaw()
    wait_until(lambda: _followed(old), "the old master is a replica")


def _followed(server: RedisServer) -> bool:
    with client_of(server) as client:
        facts = client.info("replication")
    return bool(facts["role"] == "slave" and facts["master_link_status"] == "up")


def test_old_master_that_goes_on_answering_is_left(machines: Installation, url: str) -> None:
    """It takes every write and refuses none, but the Sentinels name another: connections leave it by themselves."""
    with connect(url) as store, Client(url) as client, asyncio.Runner() as loop:
        asynchronous = AsyncClient(url)

        def blocking(name: str) -> None:
            client.enqueue({"id": name, **FIELDS})

        def with_asyncio(name: str) -> None:
            loop.run(asynchronous.enqueue({"id": name, **FIELDS}))

        for send in (blocking, with_asyncio):
            send("before")
        assert store.set("a", "1")
        with machines.split() as (old, new), client_of(old) as direct:
            wait_until(lambda: _port_of(store) == new.port, "the store's connections have left")
            for send in (blocking, with_asyncio):
                wait_until(partial(_sent_to, new, send), f"the client has left: {send.__name__}")
                left = int(direct.llen(QUEUE))
                send("after")
                assert int(direct.llen(QUEUE)) == left
            assert direct.role()[0] == b"master"
        loop.run(asynchronous.close())


def test_writes_that_wait_for_replicas_go_only_where_most_sentinels_lead(
    machines: Installation, url: str
) -> None:
    """A master with a minority of them may have been replaced. Who waits for no replicas goes on with it."""
    certain, careless = connect(url, replicas=1), connect(url)
    with certain, careless, ExitStack() as minority:
        wait_until(lambda: _refusal(certain) is None, "all of them name the master")
        minority.enter_context(machines.sentinels[0].frozen())
        wait_until(lambda: _refusal(certain) is None, "two of three are most of them")
        minority.enter_context(machines.sentinels[1].frozen())
        wait_until(lambda: _refusal(certain) is not None, "the word of most Sentinels is too old")
        wait_until(lambda: _refusal(careless) is None, "the last Sentinel is asked")
        assert isinstance(_refusal(certain), NoMaster)
        minority.close()
        wait_until(lambda: _refusal(certain) is None, "most Sentinels name the master again")


def _refusal(client: redis.Redis) -> ConnectionError | None:
    try:
        client.set("a", "3")
    except ConnectionError as error:
        return error
    return None


def _port_of(store: redis.Redis) -> int | None:
    with suppress(ConnectionError):
        facts: Any = store.info("server")
        return int(facts["tcp_port"])
    return None


def _sent_to(server: RedisServer, send: Callable[[str], object]) -> bool:
    before = keys_at(server, QUEUE)
    send("meanwhile")
    return keys_at(server, QUEUE) > before
