"""How often a job may be tried, and how long apart."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.retry import (
    BACKOFF_BASE_SECONDS,
    MAX_BACKOFF_SECONDS,
    Budget,
    Tally,
    backoff_seconds,
    repeated,
)
from worker.errors import AccountProblem, CallError, Misconfigured, Redial, Refused, Retry, SlotLapsed

NOT_RUNG, PERHAPS_RUNG = Retry("503", sent=True), Redial("no answer")

ends = st.lists(st.sampled_from([NOT_RUNG, Retry("refused", sent=False), PERHAPS_RUNG]), max_size=40)


@given(st.integers(0, 2000))
def test_backoff_is_full_jitter(tries: int) -> None:
    """The wait is random from 0 to the base, doubled by each try, and never above the bound."""
    ceiling = min(BACKOFF_BASE_SECONDS * 2 ** min(max(tries, 1) - 1, 60), MAX_BACKOFF_SECONDS)
    assert 0 <= backoff_seconds(tries) <= ceiling


@pytest.mark.parametrize(("tries", "ceiling"), [(1, 0.5), (2, 1.0), (4, 4.0), (7, 30.0), (1000, 30.0)])
def test_backoff_uses_its_whole_range(tries: int, ceiling: float) -> None:
    """The jitter is full: low and high waits both come, so that workers do not return all at once."""
    waits = [backoff_seconds(tries) for _ in range(500)]
    assert min(waits) < ceiling * 0.2 and ceiling * 0.8 < max(waits) <= ceiling


@given(st.integers(0, 50), st.floats(0, 3600))
def test_backoff_is_no_less_than_the_providers_wish(tries: int, wish_seconds: float) -> None:
    """`Retry-After` is honoured."""
    assert wish_seconds <= backoff_seconds(tries, wish_seconds) <= max(wish_seconds, MAX_BACKOFF_SECONDS)


@pytest.mark.parametrize(
    ("error", "tally"),
    [
        (Retry("x", sent=False), Tally(sent=0, not_rung=1)),
        (Retry("x", sent=True), Tally(sent=1, not_rung=1)),
        (Redial("x"), Tally(sent=1, perhaps_rung=1)),
        (Refused("X", "x"), Tally(sent=1)),
        (AccountProblem("X", "x"), Tally(sent=1)),
        (Misconfigured("x", sent=False), Tally()),
        (Misconfigured("x", sent=True), Tally(sent=1)),
    ],
)
def test_tally_counts_what_was_spent(error: CallError, tally: Tally) -> None:
    """Only what reached the network counts as sent, and only Retry and Redial against a budget."""
    assert Tally().after(error) == tally
    assert tally.tries == tally.not_rung + tally.perhaps_rung


@pytest.mark.parametrize(
    ("tally", "spent"),
    [
        (Tally(), False),
        (Tally(not_rung=4), False),
        (Tally(not_rung=5), True),
        (Tally(perhaps_rung=1), False),
        (Tally(perhaps_rung=2), True),
        (Tally(not_rung=4, perhaps_rung=1), False),
    ],
)
def test_budget_has_two_purses(tally: Tally, spent: bool) -> None:
    """Attempts while the phone was certainly not rung, redials after it may have been."""
    assert Budget(attempts=5, redials=1).spent(tally) is spent


def dial(ends: Sequence[CallError], budget: Budget, start: Tally | None = None) -> tuple[Tally, int, object]:
    """Dial until it ends: the tally, the number of requests, and the ref or the error."""
    tally, requests, left = start or Tally(), 0, list(ends)

    def attempt() -> str:
        nonlocal tally, requests
        requests += 1
        if not left:
            return "ref"
        error = left.pop(0)
        tally = tally.after(error)
        raise error

    try:
        outcome: object = repeated(attempt, budget, lambda: tally, lambda seconds: None)
    except CallError as error:
        outcome = error
    return tally, requests, outcome


@given(ends, st.integers(1, 8), st.integers(0, 4))
def test_budget_is_never_exceeded(ends: list[CallError], attempts: int, redials: int) -> None:
    """At most 1 + `redials` requests may have rung the phone, at most `attempts` did not."""
    tally, requests, outcome = dial(ends, Budget(attempts, redials))
    assert tally.perhaps_rung <= 1 + redials and tally.not_rung <= attempts
    assert requests == tally.tries + (outcome == "ref")


@given(ends, st.integers(1, 8), st.integers(0, 4))
def test_budget_is_used_up_before_giving_up(ends: list[CallError], attempts: int, redials: int) -> None:
    """A job fails only when a purse is empty, with the last error as it was raised."""
    tally, requests, outcome = dial(ends, Budget(attempts, redials))
    if outcome == "ref":
        assert requests == len(ends) + 1
    else:
        assert Budget(attempts, redials).spent(tally) and outcome is ends[requests - 1]


@given(ends, ends, st.integers(1, 8), st.integers(0, 4))
def test_budget_holds_over_several_workers(
    first: list[CallError], second: list[CallError], attempts: int, redials: int
) -> None:
    """The tally travels with the job: a second worker goes on where the first one stopped."""
    start = Tally()
    budget = Budget(attempts, redials)
    for error in first:
        if budget.spent(start):
            return
        start = start.after(error)
    if not budget.spent(start):
        tally, _, _ = dial(second, budget, start)
        assert tally.perhaps_rung <= 1 + redials and tally.not_rung <= attempts


@pytest.mark.parametrize(
    "error",
    [Refused("X", "x"), AccountProblem("X", "x"), Misconfigured("x", sent=True)],
    ids=lambda e: type(e).__name__,
)
def test_other_ends_are_not_repeated(error: CallError) -> None:
    """A refusal, an account's problem and a wrong set-up are raised at once."""
    _, requests, outcome = dial([error], Budget(5, 5))
    assert requests == 1 and outcome is error


def test_wait_is_asked_with_all_that_it_depends_on() -> None:
    """The attempts that all workers have made, and what the provider asked for with the last one."""
    tally, asked = Tally(not_rung=2), list[object]()
    ends: list[CallError] = [Retry("429", sent=True, retry_after_seconds=7.0), Redial("reset")]

    def dial() -> str:
        nonlocal tally
        if not ends:
            return "ref"
        error = ends.pop(0)
        tally = tally.after(error)
        raise error

    def wait(*facts: object) -> float:
        asked.append(facts)
        return 3.0

    assert repeated(dial, Budget(9, 9), lambda: tally, asked.append, wait=wait) == "ref"
    assert asked == [(3, 7.0), 3.0, (4, None), 3.0]


def test_pause_is_told_the_wait_and_may_leave_the_loop() -> None:
    """Long waits are spent in the lane: the exception of `pause` comes through as it is."""
    waits: list[float] = []
    tally = Tally(not_rung=1)

    def pause(seconds: float) -> None:
        waits.append(seconds)
        raise SlotLapsed

    def attempt() -> str:
        raise Retry("503", sent=True, retry_after_seconds=45.0)

    with pytest.raises(SlotLapsed):
        repeated(attempt, Budget(5, 1), lambda: tally, pause)
    assert waits == [45.0]
