"""Many calls in one thread: whatever one waits for, the others go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import gevent
import pytest

from tests.processes import wait_until
from worker.engine.greenlets import GivingWay, Greenlets
from worker.engine.loops import STALLED_AFTER_SECONDS

SECONDS = 30.0


class Noted:
    """The work that greenlets of one thread did, and in which thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.greenlets = Greenlets("calls", clock)
        self.done: list[str] = []
        self.threads: set[int] = set()

    def do(self, name: str, work: Callable[[], object] = lambda: None) -> None:
        def run() -> None:
            work()
            self.threads.add(threading.get_ident())
            self.done.append(name)

        self.greenlets.submit(run)

    def wait_for(self, *names: str) -> None:
        wait_until(lambda: self.done == list(names), f"{names} are done, in this order")


@pytest.fixture
def noted() -> Noted:
    return Noted()


def test_what_sleeps_lets_others_go_on(noted: Noted) -> None:
    """The second, submitted later, is through while the first still waits."""
    let_go = threading.Event()
    waits = GivingWay()

    def sleep_until_let_go() -> None:
        while not let_go.is_set():
            waits.sleep(0.005)

    noted.do("first", sleep_until_let_go)
    noted.do("second")
    noted.wait_for("second")
    let_go.set()
    noted.wait_for("second", "first")
    assert len(noted.threads) == 1 and threading.get_ident() not in noted.threads


def test_what_is_done_aside_lets_others_go_on(noted: Noted) -> None:
    """Work that keeps its thread waiting is done in another one; its result comes back."""
    let_go, results = threading.Event(), list[object]()

    def wait() -> int:
        assert let_go.wait(SECONDS)
        return threading.get_ident()

    noted.do("first", lambda: results.append(GivingWay().aside(wait)))
    noted.do("second")
    noted.wait_for("second")
    let_go.set()
    noted.wait_for("second", "first")
    assert results and results[0] not in noted.threads


def test_what_fails_aside_fails_where_it_was_asked_for(
    noted: Noted, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same exception, and nothing is printed of it."""
    problem, caught = ValueError("4711"), list[Exception]()

    def fail() -> None:
        raise problem

    def ask() -> None:
        try:
            GivingWay().aside(fail)
        except ValueError as error:
            caught.append(error)

    noted.do("asked", ask)
    noted.wait_for("asked")
    assert caught == [problem]
    assert "4711" not in capfd.readouterr().err


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.0101])
def test_a_sleep_is_never_too_short(noted: Noted, seconds: float) -> None:
    """A sleep is never too short for its slot, although the event loop counts from a slightly earlier moment."""
    slept: list[float] = []

    def sleep() -> None:
        # What the event loop takes for the time is old by now.
        time.sleep(0.003)
        began = time.monotonic()
        GivingWay().sleep(seconds)
        slept.append(time.monotonic() - began)

    noted.do("slept", sleep)
    noted.wait_for("slept")
    assert slept[0] >= seconds


def test_what_many_threads_submit_is_all_done(noted: Noted) -> None:
    """Nothing that is submitted while the thread starts, or just goes to sleep, is overheard."""
    count = 500

    def submit() -> None:
        for _ in range(count):
            noted.do("one")

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(noted.done) == 4 * count, "all are done")
    assert len(noted.threads) == 1


class TestStall:
    """A thread that something keeps from its work."""

    def test_it_is_told_and_nothing_runs_beside_it(self) -> None:
        """Work submitted meanwhile begins when the thread turns again, and in no second thread before (E1).

        This test once expected a second thread: what had stuck the first would have stuck that one too.
        """
        ahead = [0.0]
        noted = Noted(lambda: time.monotonic() + ahead[0])
        let_go, stuck = threading.Event(), threading.Event()

        def block() -> None:
            stuck.set()
            let_go.wait(SECONDS)

        assert not noted.greenlets.stalled
        noted.do("blocked", block)
        assert stuck.wait(SECONDS)
        assert not noted.greenlets.stalled
        ahead[0] = STALLED_AFTER_SECONDS + 1
        assert noted.greenlets.trouble == "calls stalled"
        assert "block" in noted.greenlets.where
        noted.do("next")
        let_go.set()
        noted.wait_for("blocked", "next")
        wait_until(lambda: not noted.greenlets.stalled, "it turns again")

    def test_a_thread_that_waits_for_calls_is_well(self) -> None:
        """It beats as long as it can turn, with nothing to do and with calls that wait."""
        ahead = [0.0]
        noted = Noted(lambda: time.monotonic() + ahead[0])
        noted.do("slow", lambda: gevent.sleep(0.001))
        noted.wait_for("slow")
        ahead[0] = STALLED_AFTER_SECONDS + 1
        wait_until(lambda: not noted.greenlets.stalled, "it has beaten")
