"""When a worker serves the metrics of all, and whose place it takes."""

from __future__ import annotations

import pytest
from redis.exceptions import ResponseError

from tests.doubles.clocks import FakeClock
from tests.doubles.samples import report
from worker.core.fleet import LOST_SECONDS, Report
from worker.engine.presence import BEAT_SECONDS, ELECTED_SECONDS, REPLACES_SECONDS, Presence
from worker.errors import StoreUnavailable


class Register:
    """Answers as it is told to; notes how long a lost worker must be silent."""

    def __init__(self, clock: FakeClock) -> None:
        self.elected, self.replaced, self.trip_seconds = True, False, 0.0
        self.away: Exception | None = None
        self.asked: list[float] = []
        self._clock = clock

    def report(self, _: Report, elected_seconds: float, replaces_seconds: float, /) -> tuple[bool, bool]:
        assert elected_seconds == ELECTED_SECONDS
        self._answer()
        self.asked.append(replaces_seconds)
        return self.elected, self.replaced

    def leave(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self._clock.advance(self.trip_seconds)
        if self.away:
            raise StoreUnavailable("away") from self.away


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def register(clock: FakeClock) -> Register:
    return Register(clock)


@pytest.fixture
def presence(register: Register, clock: FakeClock) -> Presence:
    return Presence(register, report, clock)


def test_worker_serves_from_its_first_report_on(presence: Presence) -> None:
    """Before that it has neither begun nor serves anything."""
    assert (presence.begun, presence.serves()) == (False, False)
    assert presence.turn() == BEAT_SECONDS
    assert (presence.begun, presence.serves()) == (True, True)


def test_worker_that_was_frozen_serves_no_more(presence: Presence, clock: FakeClock) -> None:
    """Another one has been elected meanwhile: it knows without asking."""
    presence.turn()
    clock.advance(ELECTED_SECONDS)
    assert not presence.serves()


@pytest.mark.parametrize(
    ("cause", "goes_on"),
    [(ResponseError("MISCONF Redis cannot write its file"), True), (ConnectionResetError(), False)],
)
def test_elected_worker_goes_on_while_the_disk_is_full(
    presence: Presence, register: Register, clock: FakeClock, cause: Exception, goes_on: bool
) -> None:
    """Redis then elects nobody else. If only this worker does not reach it, another one takes over."""
    presence.turn()
    register.away = cause
    for pause_seconds in (BEAT_SECONDS, 5.0, 5.0):
        clock.advance(pause_seconds)
        with pytest.raises(StoreUnavailable):
            presence.turn()
    assert presence.serves() is goes_on


def test_worker_that_was_not_elected_serves_nothing_while_the_disk_is_full(
    presence: Presence, register: Register
) -> None:
    """A refusal elects nobody."""
    register.away = ResponseError("MISCONF Redis cannot write its file")
    with pytest.raises(StoreUnavailable):
        presence.turn()
    assert not presence.serves()


def test_election_counts_from_before_the_question(
    presence: Presence, register: Register, clock: FakeClock
) -> None:
    """The answer took time, in which the election already ran in the store."""
    register.trip_seconds = 1.0
    presence.turn()
    clock.advance(ELECTED_SECONDS - 1.0)
    assert not presence.serves()


def test_report_that_fails_leaves_the_election_until_its_end(
    presence: Presence, register: Register, clock: FakeClock
) -> None:
    """A short trouble with Redis makes no gap."""
    presence.turn()
    register.away = ConnectionResetError()
    clock.advance(BEAT_SECONDS)
    with pytest.raises(StoreUnavailable):
        presence.turn()
    assert presence.serves()
    clock.advance(ELECTED_SECONDS)
    assert not presence.serves()


def test_lost_election_ends_at_once(presence: Presence, register: Register) -> None:
    """The store's word counts more than the time that was left."""
    presence.turn()
    register.elected = False
    presence.turn()
    assert not presence.serves()


def test_worker_that_stops_serves_no_more_even_without_the_store(
    presence: Presence, register: Register
) -> None:
    """Nothing is raised: the stop goes on."""
    presence.turn()
    register.away = ConnectionResetError()
    presence.leave()
    assert not presence.serves()


def test_place_is_taken_of_one_that_fell_silent_before_the_start(
    presence: Presence, register: Register, clock: FakeClock
) -> None:
    """The longer this worker lives, the longer the other must have been silent; after a minute it looks no more."""
    presence.turn()
    clock.advance(20)
    presence.turn()
    clock.advance(41)
    presence.turn()
    assert register.asked == [LOST_SECONDS, 20.0, 0.0]


def test_only_one_place_is_taken(presence: Presence, register: Register) -> None:
    """A second loss still counts."""
    register.replaced = True
    presence.turn()
    register.replaced = False
    presence.turn()
    assert register.asked == [LOST_SECONDS, 0.0]


def test_others_report_less_often_while_they_have_nothing_new_to_tell(
    register: Register, clock: FakeClock
) -> None:
    """An idle fleet costs Redis little; what is new is told at once, and the elected worker reports at each beat."""
    told = report()
    presence = Presence(register, lambda: told, clock)
    register.elected = False
    presence.turn()
    clock.advance(REPLACES_SECONDS + 1)
    presence.turn()

    def reports(beats: int) -> int:
        before = len(register.asked)
        for _ in range(beats):
            clock.advance(BEAT_SECONDS)
            assert presence.turn() == BEAT_SECONDS
        return len(register.asked) - before

    assert reports(9) == 3
    told = report(used=4)
    assert reports(1) == 1
    register.elected = True
    assert reports(3) == 1
    assert reports(5) == 5
    register.elected = False
    assert reports(1) == 1
    register.elected, told = True, report(used=5)
    assert reports(5) == 5
