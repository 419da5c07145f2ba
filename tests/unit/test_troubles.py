"""What the log says of Redis and the broker while they are away, and of faults of the program."""

from __future__ import annotations

import pytest
from redis.exceptions import AuthenticationError
from structlog.testing import capture_logs

from tests.doubles.clocks import FakeClock
from worker.errors import BrokerUnavailable, StoreUnavailable
from worker.telemetry.metrics import Metrics
from worker.telemetry.outages import QUIET_SECONDS
from worker.telemetry.watching import Watching


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def watching(metrics: Metrics, clock: FakeClock) -> Watching:
    return Watching(metrics, clock=clock)


def count(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"callworker_{name}", labels)


def quiet(watching: Watching, clock: FakeClock) -> None:
    """Let as much time pass without a failure as an outage needs to be over."""
    clock.advance(QUIET_SECONDS)
    watching.progress()


@pytest.mark.parametrize(
    ("error", "away", "back"),
    [
        (StoreUnavailable("away"), "store.unavailable", "store.back"),
        (BrokerUnavailable("away"), "broker.unavailable", "broker.back"),
    ],
)
def test_service_away_is_said_once_however_many_loops_meet_it(
    metrics: Metrics, watching: Watching, clock: FakeClock, error: Exception, away: str, back: str
) -> None:
    """One line when it goes, one when all loops are over it, as one may only read; not a fault of any loop. (B1)"""
    with capture_logs() as lines:
        for loop in ("releaser", "sweeper", "relay"):
            watching.loop_failed(loop, error)
        for loop in ("releaser", "sweeper", "relay"):
            quiet(watching, clock)
            watching.loop_recovered(loop)
        watching.progress()
        assert len(lines) == 1
        quiet(watching, clock)
    assert [line["event"] for line in lines] == [away, back]
    assert count(metrics, "loop_failures_total", loop="relay") is None


def test_cause_that_shows_behind_a_lost_connection_is_told_too(watching: Watching, clock: FakeClock) -> None:
    """After a change of a password connections are first lost, then refused: the log names each once. (B4, D8)"""
    lost, refused = StoreUnavailable("connection lost"), StoreUnavailable("refuses")
    refused.__cause__ = AuthenticationError("invalid password")
    with capture_logs() as lines:
        for error in (lost, refused, lost, refused):
            for loop in ("releaser", "relay"):
                watching.loop_failed(loop, error)
        for loop in ("releaser", "relay"):
            watching.loop_recovered(loop)
        quiet(watching, clock)
    assert [line.get("problem") for line in lines] == [lost, refused, None]
    assert lines[-1]["event"] == "store.back"


def test_the_first_loop_that_gets_through_wakes_the_others(metrics: Metrics, clock: FakeClock) -> None:
    """The recorder does not sleep on while Redis answers; it is back once all are through. (A1, B1)"""
    woken: list[str] = []
    watching = Watching(metrics, lambda: woken.append("all"), clock=clock)
    with capture_logs() as lines:
        for loop in ("releaser", "recorder"):
            watching.loop_failed(loop, StoreUnavailable("READONLY"))
        watching.loop_recovered("releaser")
        watching.loop_failed("releaser", StoreUnavailable("READONLY"))
        assert woken == ["all"] and [line["event"] for line in lines] == ["store.unavailable"]
        watching.loop_recovered("recorder")
        watching.loop_recovered("releaser")
        quiet(watching, clock)
    assert woken == ["all"] * 2
    assert [line["event"] for line in lines] == ["store.unavailable", "store.back"]


@pytest.mark.parametrize("loop", ["dial", "webhook"])
def test_service_that_goes_again_is_said_again(watching: Watching, clock: FakeClock, loop: str) -> None:
    """The recovery is logged even if a call or a delivery noticed the outage, since these report no recovery."""
    with capture_logs() as lines:
        for _ in range(2):
            watching.loop_failed(loop, StoreUnavailable("away"))
            watching.loop_failed("relay", StoreUnavailable("away"))
            watching.loop_recovered("relay")
            quiet(watching, clock)
    assert [line["event"] for line in lines] == ["store.unavailable", "store.back"] * 2


def test_server_that_comes_and_goes_makes_one_pair(watching: Watching, clock: FakeClock) -> None:
    """Six minutes of a Redis that takes reads and refuses writes: two lines, the second with the time it took."""
    with capture_logs() as lines:
        for _ in range(72):
            watching.loop_failed("releaser", StoreUnavailable("READONLY"))
            clock.advance(2)
            watching.progress()
            watching.loop_recovered("releaser")
            clock.advance(3)
            watching.progress()
        quiet(watching, clock)
        quiet(watching, clock)
    assert [line["event"] for line in lines] == ["store.unavailable", "store.back"]
    assert lines[1]["seconds"] == 71 * 5 + 2


def test_outage_that_only_a_call_noticed_is_over_too(watching: Watching, clock: FakeClock) -> None:
    """A call reports no recovery, so the quiet time alone ends its outage."""
    with capture_logs() as lines:
        watching.loop_failed("dial", BrokerUnavailable("away"))
        quiet(watching, clock)
    assert [line["event"] for line in lines] == ["broker.unavailable", "broker.back"]


def test_fault_of_ours_is_said_each_time_with_its_traceback(watching: Watching) -> None:
    """Each fault of ours is logged with its traceback, which is needed to repair it."""
    error = RuntimeError("x")
    with capture_logs() as lines:
        watching.loop_failed("relay", error)
        watching.loop_failed("relay", error)
        watching.loop_recovered("relay")
    assert [line["event"] for line in lines] == ["loop.failed", "loop.failed", "loop.recovered"]
    assert lines[0]["exc_info"] is error
