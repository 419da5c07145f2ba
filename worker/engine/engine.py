"""The engine of one worker process: all its parts, started and stopped in order."""

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
    """The counts at the end of a worker: what it did, and what it leaves to other workers.

    `calls` were begun. `handed_back` counts messages that go back to the broker, `calls_unfinished` calls that went on
    beyond the grace, and `outcomes_unrecorded` outcomes that are not on record.
    """

    calls: int = 0
    handed_back: int = 0
    calls_unfinished: int = 0
    outcomes_unrecorded: int = 0


class Deadline(Part):
    """The moment after which a worker that stops waits for nothing more. Other workers take over what is left.

    `closing` tells the threads that still wait for Redis to give up.
    """

    def __init__(
        self, intake: Intake, dialler: Dialler, recorder: Recorder, closing: threading.Event
    ) -> None:
        self._intake, self._dialler, self._recorder, self._closing = intake, dialler, recorder, closing
        self.left = Left()

    def stop(self) -> None:
        """Count what is left, and set `closing`."""
        calls, unfinished = self._dialler.begun, self._dialler.in_flight
        self.left = Left(calls, self._intake.in_hand, unfinished, self._recorder.unrecorded)
        self._closing.set()


@dataclass(frozen=True)
class Engine:
    """All that a worker runs beside Celery's consumer, which puts messages into `intake` and reports to `consumer`.

    `stages` are started one after the other and stopped in reverse order: the parts that take jobs in start last and
    stop first, and the parts that carry outcomes out start first and stop last. The parts of one stage stop side by
    side.
    """

    stages: Sequence[Sequence[Part]]
    deadline: Deadline
    intake: Intake
    dialler: Dialler
    consumer: ConsumerWatch

    def start(self) -> None:
        """Start all parts. Raises ConfigurationError if the metrics port cannot be used."""
        for stage in self.stages:
            for part in stage:
                part.start()

    def begin_no_more_calls(self) -> None:
        """Leave waiting jobs to other workers from now on, while Celery's consumer stops. `stop` is still to come."""
        self.dialler.stop()

    def stop(self, grace_seconds: float, hurry: threading.Event) -> Left:
        """Take no more jobs, let the calls in flight end within the grace, publish what is on record, and end.

        `hurry` cuts the grace short. A call that has not ended by then keeps its lease, and counts as perhaps rung once
        the lease runs out. Returns what the worker did and what it leaves.
        """
        grace = Grace(grace_seconds, hurry)
        for stage in reversed(self.stages):
            for part in stage:
                part.stop()
            for part in stage:
                part.join(grace)
        return self.deadline.left
