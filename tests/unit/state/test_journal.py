"""The journal of a worker keeps the last fact of each job, for a time, and says how far it reaches."""

from __future__ import annotations

import math

from tests.doubles.samples import job
from worker.core.retry import Tally
from worker.state.journal import OWN_BYTES, Journal, Open


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def waits(name: str, fence: int = 0) -> Open:
    return Open(job(name), fence, Tally(), 0, 0)


def test_the_last_fact_of_a_job_counts_and_is_the_newest() -> None:
    journal = Journal(Clock())
    journal.note(waits("a"), waits("b"), waits("a", 1))
    assert journal.facts() == [waits("b"), waits("a", 1)]
    journal.forget("acme", "b")
    journal.forget("acme", "unknown")
    assert journal.facts() == [waits("a", 1)]


def test_it_keeps_each_fact_for_a_time_in_which_there_is_news() -> None:
    """While Redis is away, for however long, nothing is forgotten."""
    clock = Clock()
    journal = Journal(clock, kept_seconds=120)
    journal.note(waits("a"))
    clock.now = 1000
    journal.note()
    assert journal.facts() == [waits("a")] and journal.whole_before(1000) == math.inf
    journal.note(waits("b"))
    assert journal.facts() == [waits("b")]
    assert journal.whole_before(1000) == 1000 and journal.whole_before(0) == 0


def test_it_takes_no_more_than_it_may() -> None:
    journal = Journal(Clock(), max_bytes=3 * OWN_BYTES)
    journal.note(*(waits(f"job-{n}") for n in range(10)))
    assert [fact.key[1] for fact in journal.facts()] == ["job-7", "job-8", "job-9"]
