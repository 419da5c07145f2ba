"""The engine of one worker process: its parts, started and stopped in the right order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from worker.engine.consumer_watch import ConsumerWatch
from worker.engine.dialler import Dialler
from worker.engine.intake import Intake
from worker.engine.parts import Grace, Part
from worker.engine.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Left:
    """What a worker did, and what it leaves to others.

    Calls that it began, messages that it handed back to the broker, calls that went on beyond the grace, and outcomes
    that are not on record.
    """

    calls: int = 0
    handed_back: int = 0
    calls_unfinished: int = 0
    outcomes_unrecorded: int = 0


class Deadline(Part):
    """The moment as the worker stops from which nothing more is waited for: what is left by then is left to others.

    `closing` tells the threads that still wait for Redis to give up.
    """

    def __init__(
        self, intake: Intake, dialler: Dialler, recorder: Recorder, closing: threading.Event
    ) -> None:
        self._intake, self._dialler, self._recorder, self._closing = intake, dialler, recorder, closing
        self.left = Left()

    def stop(self) -> None:
        """Count what is left, and say that it is over."""
        calls, unfinished = self._dialler.begun, self._dialler.in_flight
        self.left = Left(calls, self._intake.in_hand, unfinished, self._recorder.backlog)
        self._closing.set()


@dataclass(frozen=True)
class Engine:
    """What a worker runs beside Celery's consumer, which puts messages into `intake` and tells `consumer` how it is.

    `stages` are started one after the other, and stopped in the reverse order: what takes jobs in is the last to start
    and the first to stop, what takes outcomes out the other way round. The parts of a stage end side by side.
    """

    stages: Sequence[Sequence[Part]]
    deadline: Deadline
    intake: Intake
    consumer: ConsumerWatch

    def start(self) -> None:
        """Start all parts. Raises ConfigurationError where the metrics port cannot be had."""
        for stage in self.stages:
            for part in stage:
                part.start()

    def stop(self, grace_seconds: float, hurry: threading.Event) -> Left:
        """Take nothing more, let the calls in flight end within the grace, publish what is on record, and end.

        `hurry` cuts the grace short. A call that has not ended by then stays under its lease and counts as perhaps
        rung once that runs out. Returns what there is to tell of it.
        """
        grace = Grace(grace_seconds, hurry)
        for stage in reversed(self.stages):
            for part in stage:
                part.stop()
            for part in stage:
                part.join(grace)
        return self.deadline.left
