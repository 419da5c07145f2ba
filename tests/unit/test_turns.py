"""Turns of shards: what shows that a shard went back, whatever the order in which replies come."""

from __future__ import annotations

import pytest

from tests.doubles.clocks import FakeClock
from worker.errors import StoreJustBack, StoreSetBack, StoreUnavailable
from worker.redisio.turns import AWAY_SECONDS, CAREFUL_SECONDS, HELD, JUMP, Contact, Turns

A, B = "callworker:{0}:", "callworker:{1}:"


class Noticed(list[set[str]]):
    """The shards that were left alone each time that this was told."""


@pytest.fixture
def noticed() -> Noticed:
    return Noticed()


@pytest.fixture
def turns(noticed: Noticed) -> Turns:
    made = Turns(lambda: noticed.append(set(made.left_alone)), lambda: 3.0)
    return made


def test_replies_may_overtake_each_other(turns: Turns, noticed: Noticed) -> None:
    """What a later script replied says nothing against a script that was sent before it."""
    first, second = turns.known, turns.known
    assert turns.learn(second, [A.encode(), 2]) is None
    assert turns.learn(first, [A.encode(), 1]) is None
    assert turns.known == {A: 2} and noticed == []


def test_one_lost_change_is_noticed(turns: Turns, noticed: Noticed) -> None:
    turns.learn({}, [A.encode(), 5, B.encode(), b"7"])
    assert isinstance(turns.learn(turns.known, [B.encode(), 8, A.encode(), 5]), StoreSetBack)
    assert noticed == [{A}]


def test_what_was_only_read_is_no_change(turns: Turns, noticed: Noticed) -> None:
    turns.learn({}, [A.encode(), 5])
    assert turns.learn(turns.known, [A.encode(), b"5"]) is None
    assert isinstance(turns.learn(turns.known, [A.encode(), b"4"]), StoreSetBack)
    assert noticed == [{A}]


def test_a_shard_is_left_alone_until_it_goes_on(turns: Turns, noticed: Noticed) -> None:
    turns.learn({}, [A.encode(), 5])
    for _ in range(2):
        turns.learn(turns.known, [A.encode(), 3])
    assert noticed == [{A}]
    assert turns.refusal(B) is None and isinstance(turns.refusal([B, A]), StoreSetBack)
    turns.go_on(A, 100)
    assert turns.refusal([B, A]) is None
    assert turns.learn(turns.known, [A.encode(), 101]) is None


def test_a_shard_that_others_hold_is_left_alone(turns: Turns, noticed: Noticed) -> None:
    """Even by a worker that knows nothing of it."""
    assert isinstance(turns.learn({}, [A.encode(), HELD, B.encode(), b"7"]), StoreSetBack)
    assert noticed == [{A}]
    turns.leave_alone(A)
    turns.leave_alone()
    assert noticed == [{A}]


def test_a_hold_that_passed_unseen_is_noticed(turns: Turns, noticed: Noticed) -> None:
    """A worker that was away for the whole hold has not put back what it knows. A new one has nothing to put back."""
    assert turns.learn(turns.known, [A.encode(), 5 + JUMP, B.encode(), 5]) is None
    assert isinstance(turns.learn(turns.known, [B.encode(), 6 + JUMP]), StoreSetBack)
    assert noticed == [{B}]


def test_the_last_contact_is_the_one_before_the_loss(turns: Turns) -> None:
    """It tells how much time is lost."""
    turns.learn({}, [A.encode(), b"5", b"clock", b"1000000"])
    turns.learn(turns.known, [A.encode(), b"4", b"clock", b"400000"])
    assert turns.contacts == {A: Contact(1_000_000, 3.0)} and turns.known == {A: 5}


def test_a_loss_is_told_from_a_hold_of_others(turns: Turns) -> None:
    """Only who has seen that changes are gone may begin a hold."""
    turns.learn({}, [A.encode(), 5, B.encode(), 5])
    turns.learn(turns.known, [A.encode(), 3])
    turns.learn(turns.known, [B.encode(), HELD])
    assert (turns.has_lost(A), turns.has_lost(B)) == (True, False)
    turns.go_on(A, 9)
    assert not turns.has_lost(A)


class Away:
    """A process that has no contact to its store for a while."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.turns = Turns(lambda: None, self.clock)

    def look(self) -> None:
        self.turns.learn(self.turns.known, [A.encode(), b"5", b"clock", b"1000000"])

    def caution(self) -> type[Exception] | None:
        found = self.turns.caution([B, A])
        return type(found) if found else None


def test_a_process_that_was_away_dials_nothing_before_others_have_looked() -> None:
    """They may know of changes that the store has lost, and that this process never saw."""
    away = Away()
    assert away.caution() is None
    away.look()
    away.clock.advance(AWAY_SECONDS + 0.1)
    assert away.caution() is StoreUnavailable
    away.look()
    assert away.caution() is StoreJustBack and away.turns.caution(B) is None
    away.clock.advance(CAREFUL_SECONDS)
    away.look()
    assert away.caution() is None


def test_a_short_absence_and_the_end_of_a_hold_are_no_reason_to_wait() -> None:
    away = Away()
    for _ in range(3):
        away.look()
        away.clock.advance(AWAY_SECONDS)
    away.turns.leave_alone(A)
    away.clock.advance(AWAY_SECONDS)
    away.turns.go_on(A, 7)
    found = [away.caution()]
    away.turns.learn({}, [A.encode(), b"7", b"clock", b"9000000"])
    assert [*found, away.caution()] == [None, None]
