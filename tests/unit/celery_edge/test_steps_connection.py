"""The connection step between Celery's consumer and a broker that refuses it."""

from __future__ import annotations

from types import SimpleNamespace

from worker.celery_edge.beat import BeatStep
from worker.celery_edge.pacing import LASTING_SECONDS, Pacing
from worker.celery_edge.plain_intake import PlainIntakeStep
from worker.engine.loops import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS


def test_steps_may_be_stopped_without_a_start() -> None:
    """Celery stops every step after one failed, also those behind it, and writes a traceback for each error (B4)."""
    consumer = SimpleNamespace()
    for step in (BeatStep(consumer), PlainIntakeStep(consumer)):
        step.stop(consumer)


def test_pauses_double_until_an_attempt_lasts() -> None:
    """The first attempt comes at once, failing ones ever later, up to a bound; after a good one soon again (B4)."""
    now = [0.0]
    pacing = Pacing(lambda: now[0])
    pauses = [pacing.next() for _ in range(9)]
    assert pauses[:3] == [0.0, FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS]
    assert pauses[-1] == MAX_PAUSE_SECONDS
    now[0] += MAX_PAUSE_SECONDS + LASTING_SECONDS + 0.1
    assert pacing.next() == FIRST_PAUSE_SECONDS
