"""Several servers, one of which is slow or away: how long the others wait for it, and when it is tried again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tests.doubles.clocks import FakeClock
from tests.processes import wait_until
from worker.redisio import reach as module
from worker.redisio import together
from worker.redisio.node import Command, Failure, Node, Sent
from worker.redisio.reach import FORGOTTEN_SECONDS, LATELY_SECONDS, MAX_PATIENCE_SECONDS, Reach

WORK: Sequence[Command] = [("GET", "key")]
PATIENCE_SECONDS = 0.5
NOW = 1000.0
"""The moment at which all is sent."""


class Server(Node):
    """Answers a small question if it is `alive`, and others if it is not `slow` either. Notes how long was waited."""

    def __init__(self) -> None:
        super().__init__(redis.Redis())
        self.alive, self.slow, self.waits = True, False, list[float]()
        self.asked, self.doubted = 0, 0
        self.answers: list[Any] = [b"value"]

    def failed(self, error: Failure) -> None:
        self.doubted += 1

    def ready(self) -> object:
        return object()

    def write(self, commands: Sequence[Command]) -> Sent:
        return _Sent(self, small=True)

    def send(self, content: bytes, count: int, connection: Any) -> Sent:
        return _Sent(self, small=False)


class _Sent(Sent):
    def __init__(self, server: Server, *, small: bool) -> None:
        super().__init__(server, None, 0)
        self._server, self._small = server, small

    def read(self, by: float | None = None, is_over: Callable[[], bool] = bool) -> list[Any]:
        server = self._server
        if self._small:
            server.asked += 1
        else:
            assert by is not None
            server.waits.append(by - NOW)
        if not server.alive or (server.slow and not self._small):
            raise redis.TimeoutError("no answer")
        return [b"PONG"] if self._small else list(server.answers)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reach(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Reach:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(module, "MAX_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(together, "time", SimpleNamespace(monotonic=lambda: NOW))
    return Reach(clock, PATIENCE_SECONDS)


def is_left_alone(reach: Reach, server: Server) -> bool:
    """Whether a call is not even sent."""
    before = len(server.waits)
    reach.exchange([(server, WORK)])
    return len(server.waits) == before


def test_a_server_that_is_away_fails_at_once(reach: Reach) -> None:
    """It is not written to again until it has answered a question."""
    server, other = Server(), Server()
    server.alive = False
    first = reach.exchange([(server, WORK), (other, WORK)])
    second = reach.exchange([(server, WORK), (other, WORK)])
    assert [isinstance(one, redis.TimeoutError) for one in (*first, *second)] == [True, False, True, False]
    assert len(server.waits) == 1 and len(other.waits) == 2
    server.alive = True
    wait_until(lambda: not is_left_alone(reach, server), "the server is used again")
    assert reach.exchange([(server, WORK)]) == [[b"value"]]


def test_a_server_that_is_left_alone_is_doubted_again_and_again(reach: Reach, clock: FakeClock) -> None:
    """Another one may take its place at any time. Asking for that at every call would be too much."""
    server = Server()
    server.standing.away = redis.TimeoutError("no answer")
    found = list[int]()
    for _ in range(3):
        clock.advance(1.0)
        for _ in range(5):
            reach.exchange([(server, WORK)])
        found.append(server.doubted)
    assert found == [1, 2, 3] and server.waits == []


def test_a_server_that_is_only_slow_is_waited_for_longer(reach: Reach) -> None:
    """Otherwise it would never get anything done. After a reply in time the others wait for it as briefly as before."""
    server = Server()
    server.slow = True
    for _ in range(6):
        wait_until(lambda: not is_left_alone(reach, server), "the server is tried again")
    assert server.waits == [0.5, 1.0, 2.0, 4.0, MAX_PATIENCE_SECONDS, MAX_PATIENCE_SECONDS]
    server.slow = False
    wait_until(lambda: not is_left_alone(reach, server), "the server is tried again")
    reach.exchange([(server, WORK)])
    assert server.waits[-1] == PATIENCE_SECONDS


def test_a_server_that_nobody_wants_is_asked_no_more(reach: Reach, clock: FakeClock) -> None:
    """It may have left the cluster. If somebody wants it after all, it is tried."""
    server, others = Server(), set(threading.enumerate())
    server.alive = False
    reach.exchange([(server, WORK)])
    wait_until(lambda: server.asked > 1, "the server is asked")
    clock.advance(FORGOTTEN_SECONDS)
    wait_until(lambda: others.issuperset(threading.enumerate()), "nobody asks")
    assert not is_left_alone(reach, server)


def test_a_store_counts_as_there_while_any_server_answers_well(reach: Reach, clock: FakeClock) -> None:
    """A server that refuses everything is no part that answers."""
    server, found = Server(), [reach.answers]
    reach.exchange([(server, WORK)])
    found.append(reach.answers)
    clock.advance(LATELY_SECONDS)
    server.answers = [redis.ResponseError("CLUSTERDOWN")]
    reach.exchange([(server, WORK)])
    assert [*found, reach.answers] == [False, True, False]
