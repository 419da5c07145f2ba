"""The watch over the loops: what no longer turns is told, and left alone."""

from __future__ import annotations

from typing import Any, cast

from worker.engine.vitals import Vitals


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
        nothing = cast(Any, None)
        self.vitals = Vitals(nothing, nothing, None, [], self)
        self.intake, self.relay = Loop("intake"), Loop("relay")
        self.vitals.loops = (self.intake, self.relay)

    def progress(self) -> None:
        self.rounds += 1

    def stalled(self, loop: str, where: str) -> None:
        self.told.append((loop, where))

    def restarted(self, loop: str) -> None:
        raise AssertionError("no loop is started again")


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


def test_a_second_stall_is_told_again() -> None:
    """Of the same loop after it had turned, or of another one meanwhile."""
    bench = Bench()
    for stalled in (True, False, True):
        bench.intake.stalled = stalled
        bench.vitals.beat()
    bench.relay.stalled = True
    bench.vitals.beat()
    assert [name for name, _ in bench.told] == ["intake", "intake", "relay"]
