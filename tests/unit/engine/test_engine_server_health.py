"""The newest facts about the store, and when they are too old to count."""

from __future__ import annotations

import pytest

from tests.doubles.clocks import FakeClock
from worker.core.figures import StoreFacts
from worker.engine.server_health import BEAT_SECONDS, STALE_SECONDS, ServerHealth
from worker.errors import StoreUnavailable

OLD = StoreFacts(StoreUnavailable("not asked"))


def test_nothing_is_known_before_the_first_answer() -> None:
    """No fact is made up."""
    assert ServerHealth(StoreFacts, OLD).latest() is None


def test_refused_write_fails_the_turn_and_is_kept() -> None:
    """The loop reports the failure as any other; the pages read it from what is kept."""
    refusal = StoreUnavailable("full")
    answers = [StoreFacts(problem=refusal), StoreFacts()]
    health = ServerHealth(lambda: answers.pop(0), OLD)
    with pytest.raises(StoreUnavailable, match="full"):
        health.turn()
    assert health.problem() is refusal
    assert health.turn() == BEAT_SECONDS
    assert health.latest() == StoreFacts()


def test_old_facts_count_as_a_store_that_takes_nothing() -> None:
    """A check that hangs must not leave a metric at 1."""
    clock = FakeClock()
    health = ServerHealth(StoreFacts, OLD, clock)
    health.turn()
    clock.advance(STALE_SECONDS + 1)
    assert health.latest() is OLD
