"""A store on three servers, one of which hangs: what its threads wait for, and for how long."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from tests.processes import wait_until
from tests.several_servers import PATIENCE_SECONDS, SeveralServers, several_servers
from worker.redisio.connection import connect
from worker.redisio.node import Command, Node
from worker.redisio.reach import Reach
from worker.redisio.together import MUCH_BYTES, exchange

AWAY, KEY = 1, "written"
ECHO: Sequence[Command] = [("ECHO", "here")]
SOCKET_SECONDS, ENOUGH_SECONDS = 120.0, 60.0
"""For how long a connection waits by itself, and within what time a thread ends that does not."""


@pytest.fixture
def store() -> Iterator[SeveralServers]:
    with several_servers(3) as made:
        yield made


@pytest.fixture
def nodes(store: SeveralServers) -> Iterator[list[Node]]:
    """The servers, by connections that nobody else uses."""
    clients = [connect(server.url, seconds=SOCKET_SECONDS) for server in store.servers]
    for client in clients:
        client.connection_pool.connection_kwargs.update(socket_timeout=SOCKET_SECONDS)
    yield [Node(client) for client in clients]
    for client in clients:
        client.close()


def asked(
    nodes: Sequence[Node], commands: Sequence[Command], patience_seconds: float = PATIENCE_SECONDS
) -> list[object]:
    """Send `commands` to the server that is away, and a small one to the others. Returns the answers.

    Fails if that takes as long as it would without patience.
    """
    work = [
        (node, commands if n == AWAY else ECHO, patience_seconds if n == AWAY else ENOUGH_SECONDS)
        for n, node in enumerate(nodes)
    ]
    found = list[object]()
    thread = threading.Thread(target=lambda: found.extend(exchange(work)), daemon=True)
    thread.start()
    thread.join(ENOUGH_SECONDS)
    assert not thread.is_alive()
    return found


def test_a_server_that_must_be_connected_to_holds_up_nobody(store: SeveralServers, nodes: list[Node]) -> None:
    """The system accepts connections in place of a frozen server. What came too late for it is never sent."""
    store.servers[AWAY].freeze()
    first, second, third = asked(nodes, [("SET", KEY, "x")], patience_seconds=0.2)
    assert first == third == [b"here"] and isinstance(second, redis.TimeoutError)
    store.servers[AWAY].thaw()
    wait_until(lambda: nodes[AWAY].ready() is not None, "the connection is kept for later")
    assert store.clients[AWAY].exists(KEY) == 0


def test_a_server_that_does_not_read_holds_up_nobody(store: SeveralServers, nodes: list[Node]) -> None:
    """What is on its way to it already fills the buffers between."""
    much: Sequence[Command] = [("SET", KEY, "x" * 32 * 1024 * 1024)]
    assert asked(nodes, [("ECHO", "x" * MUCH_BYTES)], ENOUGH_SECONDS)[AWAY] == [b"x" * MUCH_BYTES]
    store.servers[AWAY].freeze()
    first, second, third = asked(nodes, much, patience_seconds=0.2)
    assert first == third == [b"here"] and isinstance(second, redis.TimeoutError)
    store.servers[AWAY].thaw()


def test_threads_that_wait_are_told(store: SeveralServers, nodes: list[Node]) -> None:
    """The first one that has waited long enough ends the waits of all, for an answer and for a connection."""
    reach = Reach(patience_seconds=SOCKET_SECONDS)
    work = [(node, ECHO) for node in nodes]
    assert reach.exchange(work) == [[b"here"]] * 3
    store.servers[AWAY].freeze()
    with ThreadPoolExecutor(3) as threads:
        # Only the first one has a connection.
        waiting = [threads.submit(reach.exchange, work) for _ in range(3)]
        wait_until(lambda: not nodes[AWAY]._fresh, "a connection is in use")
        reach.leave(nodes[AWAY], redis.TimeoutError("waited long enough"))
        for one in waiting:
            first, second, third = one.result(ENOUGH_SECONDS)
            assert first == third == [b"here"] and isinstance(second, redis.TimeoutError)
    assert nodes[AWAY].standing.away is not None
    store.servers[AWAY].thaw()
    wait_until(lambda: reach.exchange(work) == [[b"here"]] * 3, "the server is used again")
