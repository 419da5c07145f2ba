"""Dialling stops while outcomes cannot leave, or too many of them wait."""

from __future__ import annotations

import pytest

from worker.core.records import Pause
from worker.engine.backlog import Backlog
from worker.engine.dialler import Dialler
from worker.errors import BrokerRefused, BrokerUnavailable, StoreUnavailable


class Known:
    """The refusal that all workers know of."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.away = False

    def tell(self, problem: str) -> None:
        self._look()
        self.text = problem

    def withdraw(self) -> None:
        self._look()
        self.text = None

    def read(self) -> str | None:
        self._look()
        return self.text

    def _look(self) -> None:
        if self.away:
            raise StoreUnavailable("away")


class Heard:
    """The reports to the watch, in order."""

    def __init__(self) -> None:
        self.facts: list[str] = []

    def backlog_full(self, unpublished: int) -> None:
        self.facts.append(f"full at {unpublished}")

    def backlog_cleared(self, unpublished: int) -> None:
        self.facts.append(f"cleared at {unpublished}")

    def results_refused(self, problem: str) -> None:
        self.facts.append(problem)

    def results_accepted(self) -> None:
        self.facts.append("accepted")


class NoFaults:
    def loop_failed(self, loop: str, error: Exception) -> None: ...

    def loop_recovered(self, loop: str) -> None: ...


class Bench:
    """One worker's backlog; `known` is shared with others'."""

    def __init__(self, known: Known | None = None) -> None:
        self.unpublished, self.known, self.heard = 0, known or Known(), Heard()
        self.dialler = Dialler(5, lambda *_: None, NoFaults())
        self.backlog = Backlog(lambda: self.unpublished, 10, self.known, self.dialler, self.heard)

    @property
    def dials(self) -> bool:
        taken = self.dialler.reserve(1)
        self.dialler.give_back(taken)
        return taken == 1

    def relay(self, error: Exception | None) -> None:
        """One turn of a relay that fails with `error`, or gets an event out."""

        def turn() -> float:
            if error is not None:
                raise error
            self.backlog.confirmed()
            return 0.0

        self.backlog.guarding(turn)()


REFUSED = BrokerRefused("exchange 'results' is of type 'direct'")


def test_causes_of_a_pause_are_told_apart() -> None:
    """Metric and /readyz name the refusal, the number of events, or both, and nothing while dialling goes on."""
    bench = Bench()
    assert (bench.backlog.pauses, bench.backlog.trouble) == (frozenset(), None)
    bench.unpublished = 11
    bench.backlog.turn()
    assert bench.backlog.pauses == {Pause.RESULTS_BACKLOG}
    assert bench.backlog.trouble == "more events wait for the results queue than RESULTS_BACKLOG allows (10)"
    with pytest.raises(BrokerRefused):
        bench.relay(REFUSED)
    assert bench.backlog.pauses == {Pause.RESULTS_BACKLOG, Pause.RESULTS_REFUSED}
    assert bench.backlog.trouble == f"events cannot be published: {REFUSED}"
    bench.unpublished = 0
    bench.relay(None)
    bench.backlog.turn()
    assert bench.backlog.pauses == frozenset()


def test_refusal_stops_dialling_at_once_and_a_confirm_lets_it_go_on() -> None:
    """Dialling stops from the turn of the refusal until that of the confirm; each is reported once (B3)."""
    bench = Bench()
    for _ in range(2):
        with pytest.raises(BrokerRefused):
            bench.relay(REFUSED)
        bench.backlog.turn()
        assert not bench.dials
    assert bench.backlog.refusal == str(REFUSED)
    bench.relay(None)
    assert bench.dials
    assert bench.heard.facts == [str(REFUSED), "accepted"]


def test_refusal_that_one_worker_met_stops_all() -> None:
    """A relay works for the events of all workers: none of them dials until it got one out (B3)."""
    first = Bench()
    second = Bench(first.known)
    with pytest.raises(BrokerRefused):
        first.relay(REFUSED)
    second.backlog.turn()
    second.relay(None)
    second.backlog.turn()
    assert not second.dials
    first.relay(None)
    second.backlog.turn()
    assert second.dials


def test_broker_that_is_away_stops_nothing() -> None:
    """Events wait for it, up to the operator's bound."""
    bench = Bench()
    with pytest.raises(BrokerUnavailable):
        bench.relay(BrokerUnavailable("away"))
    bench.backlog.turn()
    assert bench.dials and bench.heard.facts == []


def test_too_many_unpublished_events_stop_dialling_until_half_are_out() -> None:
    """Above the bound nothing is dialled, and between it and its half what was so stays so."""
    bench = Bench()
    for unpublished, dials in ((10, True), (11, False), (6, False), (5, True), (10, True)):
        bench.unpublished = unpublished
        bench.backlog.turn()
        assert bench.dials is dials
    assert bench.heard.facts == ["full at 11", "cleared at 5"]


def test_either_reason_is_enough() -> None:
    """The end of one does not end the other."""
    bench = Bench()
    bench.unpublished = 11
    bench.backlog.turn()
    with pytest.raises(BrokerRefused):
        bench.relay(REFUSED)
    bench.relay(None)
    assert not bench.dials
    bench.unpublished = 0
    bench.backlog.turn()
    assert bench.dials


def test_refusal_counts_while_the_store_is_away() -> None:
    """A refusal that cannot be shared with other workers still stops this one."""
    bench = Bench()
    bench.known.away = True
    with pytest.raises(BrokerRefused):
        bench.relay(REFUSED)
    assert not bench.dials
