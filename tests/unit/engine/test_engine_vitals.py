"""The watch over loops and consumer: what no longer turns is told, and left alone; what fails is not ready."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import redis

from tests.doubles.clocks import FakeClock
from worker.engine.consumer_watch import LOSSES_WITHIN_SECONDS, MAX_LOSSES, ConsumerWatch
from worker.engine.vitals import Vitals
from worker.errors import BrokerUnavailable


class Loop:
    """A loop that can be said to be stuck; it has no way to be started again."""

    trouble = None
    where = "scrubbing.py:12 scrub"

    def __init__(self, name: str) -> None:
        self.name, self.stalled = name, False


class Bench:
    """Vitals over two loops, and what they told."""

    def __init__(self) -> None:
        self.rounds, self.told = 0, list[tuple[str, str]]()
        self.wrong: frozenset[str] = frozenset()
        self.vitals = Vitals(MagicMock(), MagicMock(), None, [], self)
        self.vitals.consumer.attach(lambda: None)
        self.intake, self.relay = Loop("intake"), Loop("relay")
        self.vitals.loops = (self.intake, self.relay)

    def progress(self) -> None:
        self.rounds += 1

    def stalled(self, loop: str, where: str) -> None:
        self.told.append((loop, where))

    def restarted(self, loop: str) -> None:
        raise AssertionError("no loop is started again")

    def wrong_keys(self, keys: frozenset[str]) -> None:
        self.wrong = keys


def test_a_stall_is_told_once_and_makes_the_process_unlive() -> None:
    """As long as it lasts, with the place at which it is; a turn that goes on is no second thread's business (E1)."""
    bench = Bench()
    bench.vitals.beat()
    assert (bench.vitals.live(), bench.rounds) == ([], 1)
    bench.intake.stalled = True
    for _ in range(3):
        bench.vitals.beat()
        assert bench.vitals.live() == ["intake stalled"]
    assert bench.told == [("intake", "scrubbing.py:12 scrub")] and bench.rounds == 1
    bench.intake.stalled = False
    bench.vitals.beat()
    assert (bench.vitals.live(), bench.rounds) == ([], 2)


def test_readiness_names_each_part_that_fails_and_why() -> None:
    """A wrong password and a broker that is away are told apart, without a word of what the libraries said (D8)."""
    client, depths = MagicMock(), MagicMock()
    client.ping.side_effect = redis.exceptions.AuthenticationError("tulip")
    away = BrokerUnavailable("tulip")
    away.__cause__ = ConnectionRefusedError("tulip")
    depths.read.side_effect = away
    vitals = Vitals(client, depths, None, [], Bench())
    vitals.consumer.attach(lambda: None)
    assert vitals.ready() == [
        "Redis cannot be used: the user name or password is refused",
        "the broker cannot be used: nothing listens there",
    ]


def test_a_second_stall_is_told_again() -> None:
    """Of the same loop after it had turned, or of another one meanwhile."""
    bench = Bench()
    for stalled in (True, False, True):
        bench.intake.stalled = stalled
        bench.vitals.beat()
    bench.relay.stalled = True
    bench.vitals.beat()
    assert [name for name, _ in bench.told] == ["intake", "intake", "relay"]


def test_a_worker_whose_consumer_is_not_connected_is_not_ready() -> None:
    """Nothing comes from the broker then, however well all else is (E2)."""
    bench = Bench()
    assert bench.vitals.ready() == []
    bench.vitals.consumer.detach()
    assert bench.vitals.ready() == ["the consumer is not connected to the broker"]


def test_a_consumer_that_fails_at_each_start_is_in_trouble() -> None:
    """It is connected most of the time, and consumes nothing; a few losses in an hour are none (E2)."""
    clock = FakeClock()
    watch = ConsumerWatch(clock)
    for pause_seconds, trouble in ((LOSSES_WITHIN_SECONDS, None), (1.0, "again and again")):
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
    """Of all ways in together; the worker is not ready where one of these ways takes nothing for it (B8)."""
    bench = Bench()
    bench.vitals.sources = [
        SimpleNamespace(wrong=frozenset({"calls.7"}), blocked=blocked),
        SimpleNamespace(wrong=frozenset(), blocked=False),
    ]
    bench.vitals.beat()
    assert bench.wrong == {"calls.7"}
    told = ["the key calls.7 holds something else than it should"]
    assert bench.vitals.ready() == (told if blocked else [])
