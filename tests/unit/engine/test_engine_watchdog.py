"""The watch over loops and consumer: one that stops is reported and left alone; one that fails is not ready."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import redis

from tests.doubles.clocks import FakeClock
from tests.doubles.watchers import NotedFaults
from worker.engine.consumer_watch import LOSSES_WITHIN_SECONDS, MAX_LOSSES, ConsumerWatch
from worker.engine.watchdog import Watchdog
from worker.errors import BrokerUnavailable
from worker.telemetry.readiness import Readiness, Server


class Loop:
    """A loop that can be said to be stuck; it has no way to be started again."""

    trouble = None
    where = "scrubbing.py:12 scrub"

    def __init__(self, name: str) -> None:
        self.name, self.stalled = name, False


class Told:
    """The reports of a watchdog."""

    def __init__(self) -> None:
        self.rounds, self.stalls = 0, list[tuple[str, str]]()
        self.wrong: frozenset[str] = frozenset()

    def progress(self) -> None:
        self.rounds += 1

    def stalled(self, loop: str, where: str) -> None:
        self.stalls.append((loop, where))

    def restarted(self, loop: str) -> None:
        raise AssertionError("no loop is started again")

    def wrong_keys(self, keys: frozenset[str]) -> None:
        self.wrong = keys

    def loop_failed(self, loop: str, error: Exception) -> None:
        raise AssertionError from error

    def loop_recovered(self, loop: str) -> None:
        raise AssertionError("nothing has failed")


class Bench:
    """A watchdog over two loops and a connected consumer, with a store and a broker that answer."""

    def __init__(self, *sources: Any) -> None:
        self.told = Told()
        self.consumer = ConsumerWatch(self.told)
        self.consumer.attach(lambda: None)
        self.intake, self.relay = Loop("intake"), Loop("relay")
        self.watchdog = Watchdog((self.intake, self.relay), sources, self.consumer, self.told)
        self.store, self.ask_broker = MagicMock(), MagicMock()

    def ready(self) -> list[str]:
        store = Server("Redis", "REDIS_URL", self.store.ping, lambda: None)
        broker = Server("the broker", "BROKER_URL", self.ask_broker, lambda: None)
        return Readiness(self.watchdog, lambda: None, [store, broker]).problems()


def test_a_stall_is_told_once_and_makes_the_process_unlive() -> None:
    """A stall is reported once, with its place, and the process counts as not alive while it lasts (E1)."""
    bench = Bench()
    bench.watchdog.beat()
    assert (bench.watchdog.live(), bench.told.rounds) == ([], 1)
    bench.intake.stalled = True
    for _ in range(3):
        bench.watchdog.beat()
        assert bench.watchdog.live() == ["intake stalled"]
    assert bench.told.stalls == [("intake", "scrubbing.py:12 scrub")] and bench.told.rounds == 1
    bench.intake.stalled = False
    bench.watchdog.beat()
    assert (bench.watchdog.live(), bench.told.rounds) == ([], 2)


def test_readiness_names_each_part_that_fails_and_why() -> None:
    """A wrong password and a broker that is away have different texts, without words of the libraries (D8)."""
    bench = Bench()
    bench.store.ping.side_effect = redis.exceptions.AuthenticationError("tulip")
    away = BrokerUnavailable("tulip")
    away.__cause__ = ConnectionRefusedError("tulip")
    bench.ask_broker.side_effect = away
    assert bench.ready() == [
        "Redis cannot be used: the user name or password is refused; correct the user name and password in "
        "REDIS_URL, or the server's own",
        "the broker cannot be used: nothing listens there; start that server, or correct BROKER_URL",
    ]


def test_a_second_stall_is_told_again() -> None:
    """A second stall is reported, of the same loop after a turn or of another one meanwhile."""
    bench = Bench()
    for stalled in (True, False, True):
        bench.intake.stalled = stalled
        bench.watchdog.beat()
    bench.relay.stalled = True
    bench.watchdog.beat()
    assert [name for name, _ in bench.told.stalls] == ["intake", "intake", "relay"]


def test_a_worker_whose_consumer_is_not_connected_is_not_ready() -> None:
    """Nothing comes from the broker then, however well all else is (E2)."""
    bench = Bench()
    assert bench.ready() == []
    bench.consumer.detach()
    assert bench.ready() == ["the consumer is not connected to the broker"]


def test_a_consumer_that_fails_at_each_start_is_in_trouble() -> None:
    """It is connected most of the time, and consumes nothing; a few losses in an hour are none (E2)."""
    clock = FakeClock()
    watch = ConsumerWatch(NotedFaults(), clock)
    for pause_seconds, trouble in (
        (LOSSES_WITHIN_SECONDS, None),
        (1.0, "loses its connection to the broker"),
    ):
        for _loss in range(MAX_LOSSES):
            watch.attach(lambda: None)
            clock.advance(pause_seconds)
            watch.detach()
        watch.attach(lambda: None)
        assert (watch.trouble or "").endswith(trouble or "") and bool(watch.trouble) == bool(trouble)
    clock.advance(LOSSES_WITHIN_SECONDS)
    assert watch.trouble is None


@pytest.mark.parametrize("blocked", [False, True])
def test_keys_that_hold_something_else_are_told(blocked: bool) -> None:
    """Wrong keys of all ways in are reported together; the worker is not ready if one blocks its way in (B8)."""
    bench = Bench(
        SimpleNamespace(wrong=frozenset({"calls.7"}), blocked=blocked),
        SimpleNamespace(wrong=frozenset(), blocked=False),
    )
    bench.watchdog.beat()
    assert bench.told.wrong == {"calls.7"}
    told = ["the key calls.7 has a wrong type"]
    assert bench.ready() == (told if blocked else [])
