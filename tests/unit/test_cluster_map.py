"""The map of a Redis Cluster, while a server hangs that is asked for it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError as LostConnection

from tests.processes import wait_until
from worker.redisio import cluster as module
from worker.redisio.cluster import SLOTS, ClusterNodes, Place

FIRST, SECOND = Place("first.test", 1), Place("second.test", 2)
ENOUGH_SECONDS = 60.0


class Servers:
    """The servers of a cluster that all belong to `owner`. One of `hanging` answers once `go_on` is set."""

    def __init__(self) -> None:
        self.owner, self.hanging, self.asked = FIRST, set[Place](), list[Place]()
        self.go_on = threading.Event()

    def client_at(self, place: Place, _: float | None) -> Any:
        return _Client(self, place)


class _Client(redis.Redis):
    def __init__(self, servers: Servers, place: Place) -> None:
        super().__init__()
        self._servers, self.place = servers, place

    def execute_command(self, *words: Any, **_: Any) -> Any:
        servers = self._servers
        if words[1] == "SLOTS":
            host, port = servers.owner
            return [[0, SLOTS - 1, [host.encode(), port, b"id"]]]
        servers.asked.append(self.place)
        if self.place in servers.hanging and not servers.go_on.wait(ENOUGH_SECONDS):
            raise redis.TimeoutError("nobody went on")
        return b"cluster_state:ok"


@pytest.fixture
def servers() -> Servers:
    return Servers()


@pytest.fixture
def nodes(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> ClusterNodes:
    """They have a map already, and ask again whenever they doubt it."""
    made = ClusterNodes([FIRST, SECOND], servers.client_at)
    made.of("key")
    monkeypatch.setattr(module, "ASK_AGAIN_SECONDS", 0.0)
    return made


def owner(nodes: ClusterNodes) -> Place:
    client: Any = nodes.of("key").client
    place: Place = client.place
    return place


def test_the_map_that_there_is_is_used_while_a_server_hangs(servers: Servers, nodes: ClusterNodes) -> None:
    """What it says in the end counts as ever, also beside what a MOVED taught meanwhile."""
    servers.hanging, servers.owner = {FIRST, SECOND}, SECOND
    nodes.doubt()
    assert owner(nodes) == FIRST
    wait_until(lambda: len(servers.asked) > 1, "the server is asked")
    nodes.learn(0, SECOND)
    assert owner(nodes) == FIRST and not servers.go_on.is_set()
    servers.go_on.set()
    wait_until(lambda: owner(nodes) == SECOND, "the new map is used")


def test_a_server_that_could_not_be_reached_is_asked_last(servers: Servers, nodes: ClusterNodes) -> None:
    """Another one is likely to know who takes its place."""
    nodes.learn(0, SECOND)
    assert servers.asked == [FIRST]
    nodes.of_slot(1).failed(LostConnection("gone"))
    nodes.of("key")
    wait_until(lambda: len(servers.asked) > 1, "another server is asked")
    assert servers.asked[1] == SECOND
