"""Turns of shards: what shows that a shard went back, whatever the order in which replies come."""

from __future__ import annotations

import pytest

from worker.errors import StoreSetBack
from worker.redisio.turns import Turns

A, B = "callworker:{0}:", "callworker:{1}:"


@pytest.fixture
def noticed() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture
def turns(noticed: list[tuple[str, int, int]]) -> Turns:
    return Turns(lambda *found: noticed.append(found))


def test_replies_may_overtake_each_other(turns: Turns, noticed: list[tuple[str, int, int]]) -> None:
    """What a later script replied says nothing against a script that was sent before it."""
    first, second = turns.known, turns.known
    assert turns.learn(second, [A.encode(), 2]) is None
    assert turns.learn(first, [A.encode(), 1]) is None
    assert turns.known == {A: 2} and noticed == []


def test_one_lost_change_is_noticed(turns: Turns, noticed: list[tuple[str, int, int]]) -> None:
    turns.learn({}, [A.encode(), 5, B.encode(), b"7"])
    assert isinstance(turns.learn(turns.known, [B.encode(), 8, A.encode(), 5]), StoreSetBack)
    assert noticed == [(A, 5, 4)]


def test_what_was_only_read_is_no_change(turns: Turns, noticed: list[tuple[str, int, int]]) -> None:
    turns.learn({}, [A.encode(), 5])
    assert turns.learn(turns.known, [A.encode(), b"5"]) is None
    assert isinstance(turns.learn(turns.known, [A.encode(), b"4"]), StoreSetBack)
    assert noticed == [(A, 5, 4)]


def test_a_shard_is_left_alone_until_it_goes_on(turns: Turns, noticed: list[tuple[str, int, int]]) -> None:
    turns.learn({}, [A.encode(), 5])
    for _ in range(2):
        turns.learn(turns.known, [A.encode(), 3])
    assert noticed == [(A, 5, 2)]
    assert turns.refusal(B) is None and isinstance(turns.refusal([B, A]), StoreSetBack)
    turns.go_on(A, 100)
    assert turns.refusal([B, A]) is None
    assert turns.learn(turns.known, [A.encode(), 101]) is None
