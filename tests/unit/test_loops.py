"""A loop goes on after any failure of a turn, waits as its turns say, and reports trouble once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from tests.doubles.watchers import NotedFaults
from tests.processes import wait_until
from worker.engine import loops
from worker.engine.loops import Loop, Wakes
from worker.engine.parts import Grace
from worker.errors import BrokerUnavailable, StoreUnavailable

NEVER_SECONDS = 3600.0


@contextmanager
def running(
    turn: Callable[[], float],
    faults: NotedFaults | None = None,
    woken: threading.Event | None = None,
    stalled_after_seconds: float = loops.STALLED_AFTER_SECONDS,
) -> Iterator[Loop]:
    loop = Loop(
        "test",
        turn,
        faults or NotedFaults(),
        woken,
        first_pause_seconds=0.001,
        stalled_after_seconds=stalled_after_seconds,
        join_seconds=30,
    )
    loop.start()
    try:
        yield loop
    finally:
        loop.stop()
        loop.join(Grace(0))


class Turns:
    """Counts turns; each does what `steps` says: seconds to wait, or an error. Then it waits for ever."""

    def __init__(self, *steps: float | Exception) -> None:
        self._steps = list(steps)
        self.count = 0

    def __call__(self) -> float:
        self.count += 1
        step = self._steps.pop(0) if self._steps else NEVER_SECONDS
        if isinstance(step, Exception):
            raise step
        return step


def test_turns_follow_each_other() -> None:
    """A turn that asks for no wait is followed at once; one that asks for a long one is waited for."""
    turns = Turns(0.0, 0.0, 0.0)
    with running(turns):
        wait_until(lambda: turns.count == 4, "four turns")


def test_a_wait_is_cut_short_by_a_wake() -> None:
    """A wake starts the loop's next turn at once, without waiting for its poll."""
    turns, wakes = Turns(), Wakes()
    with running(turns, woken=wakes.of("test")):
        wait_until(lambda: turns.count == 1, "the first turn")
        wakes.of("test").set()
        wait_until(lambda: turns.count == 2, "the second turn")
        wakes.wake_all()
        wait_until(lambda: turns.count == 3, "the third turn")


def test_a_wake_during_a_turn_is_not_lost() -> None:
    """A wake during a turn leads to another turn."""
    begun, go_on, woken = threading.Event(), threading.Event(), threading.Event()
    count: list[int] = []

    def turn() -> float:
        count.append(1)
        begun.set()
        go_on.wait(30)
        return NEVER_SECONDS

    with running(turn, woken=woken):
        assert begun.wait(30)
        woken.set()
        go_on.set()
        wait_until(lambda: len(count) == 2, "the second turn")


def test_a_loop_that_has_not_started_is_no_stall_but_not_ready() -> None:
    """It used to count as stalled. The watch begins before the last loops do, so each start reported stalled loops."""
    loop = Loop("test", Turns(), NotedFaults())
    assert (loop.stalled, loop.trouble) == (False, "test has not started")


def test_stopping_lets_the_turn_under_way_be_the_last() -> None:
    """The thread ends, however long the wait that was asked for, and that is no trouble."""
    turns, woken = Turns(), threading.Event()
    with running(turns, woken=woken) as loop:
        wait_until(lambda: turns.count == 1, "the first turn")
        loop.stop()
        loop.join(Grace(0))
        woken.set()
        assert loop.trouble is None and turns.count == 1


@pytest.mark.parametrize("error", [StoreUnavailable("away"), BrokerUnavailable("away")])
def test_an_outage_is_told_once_and_its_end_once(error: Exception) -> None:
    """An outage and its end are each reported once, however many turns fail in a row."""
    faults, turns = NotedFaults(), Turns(error, error, error, 0.0)
    with running(turns, faults):
        wait_until(lambda: bool(faults.recovered), "recovery")
    assert faults.failed == [("test", error)] and faults.recovered == ["test"]


def test_a_fault_of_ours_is_told_each_time() -> None:
    """An unexpected error does not end the loop, and each one is reported."""
    faults, turns = NotedFaults(), Turns(ZeroDivisionError(), KeyError("x"), 0.0)
    with running(turns, faults):
        wait_until(lambda: bool(faults.recovered), "recovery")
    assert [type(error) for _, error in faults.failed] == [ZeroDivisionError, KeyError]


def test_pauses_after_failures_double_up_to_a_bound() -> None:
    """They grow from a tenth of a second to five."""
    loop = Loop("test", Turns(*(StoreUnavailable("away") for _ in range(9))), NotedFaults())
    pauses = [loop._take_turn() for _ in range(9)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert loop._take_turn() <= loops.STALLED_AFTER_SECONDS / 4


def test_trouble_is_told_while_it_lasts() -> None:
    """An operator asks; a loop that turns has none."""
    failing = threading.Event()
    failing.set()

    def turn() -> float:
        if failing.is_set():
            raise StoreUnavailable("away")
        return 0.01

    with running(turn) as loop:
        wait_until(lambda: loop.trouble == "test fails", "trouble")
        failing.clear()
        wait_until(lambda: loop.trouble is None, "no trouble")
        assert not loop.stalled


def test_a_turn_that_takes_too_long_is_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stall is reported instead of any other trouble."""
    let_go, ahead = threading.Event(), [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead[0])
    monkeypatch.setattr(loops, "time", clock)

    def turn() -> float:
        let_go.wait(30)
        return 0.0

    with running(turn) as loop:
        assert not loop.stalled
        ahead[0] = loops.STALLED_AFTER_SECONDS + 1
        wait_until(lambda: loop.stalled and loop.trouble == "test stalled", "a stall")
        let_go.set()


def test_waits_for_loops_that_were_stopped_together_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each used to have its own time, so that a worker took longer to end than it may while Redis hung (B11)."""
    begun, let_go, real = threading.Event(), threading.Event(), time.monotonic

    def turn() -> float:
        begun.set()
        let_go.wait(30)
        return 0.0

    loop = Loop("test", turn, NotedFaults(), join_seconds=NEVER_SECONDS)
    loop.start()
    assert begun.wait(30)
    loop.stop()
    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: real() + NEVER_SECONDS)
        loop.join(Grace(0))
    assert loop.where != "ended"
    let_go.set()


def test_a_loop_that_is_stuck_tells_where() -> None:
    """The places in the code, innermost last, so that the log names the cause; one that ended says so."""
    let_go = threading.Event()

    def turn() -> float:
        let_go.wait(30)
        return NEVER_SECONDS

    with running(turn, stalled_after_seconds=0.2) as loop:
        wait_until(lambda: loop.stalled, "a stall")
        assert "test_loops.py" in loop.where and "wait" in loop.where.rpartition(">")[2]
        let_go.set()
        loop.stop()
        loop.join(Grace(0))
        assert loop.where == "ended"


def test_a_long_wait_does_not_look_like_a_stall() -> None:
    """However long a turn asks to wait, the loop turns several times within what counts as a stall."""
    loop = Loop("test", lambda: NEVER_SECONDS, NotedFaults())
    assert loop._take_turn() < loops.STALLED_AFTER_SECONDS / 2
