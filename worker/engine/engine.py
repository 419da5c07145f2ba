"""The engine of one worker process: its threads, started and stopped in the right order."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.engine.consumer_watch import ConsumerWatch
from worker.engine.dialler import Dialler
from worker.engine.intake import Intake
from worker.engine.loops import Faults
from worker.engine.recorder import Recorder

JOIN_SECONDS = 2.0

RECORD_SECONDS = 1.0
"""What the last outcomes have for getting on record where the calls have used up the grace."""


class End(Protocol):
    """Where jobs come from, or events go to."""

    def close(self) -> None: ...


class Service(Protocol):
    """Something that runs beside the loops."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Thread(Protocol):
    """Something that runs in a thread of its own; `stop` returns at once."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def join(self, timeout_seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Left:
    """What a worker did, and what it leaves to others.

    Calls that it began, messages that it handed back to the broker, calls that went on beyond the grace, and outcomes
    that are not on record.
    """

    calls: int
    handed_back: int
    calls_unfinished: int
    outcomes_unrecorded: int


@dataclass(frozen=True)
class Engine:
    """What a worker runs beside its consumer.

    `takers` bring jobs into this process and stop first; `sources` then hand back what is not on record. `carriers`
    bring outcomes out and stop last; `sinks` then get what is left. `closing` tells the threads that still wait for
    Redis to give up. `services` start before and stop after everything.
    """

    intake: Intake
    dialler: Dialler
    recorder: Recorder
    takers: Sequence[Thread]
    sources: Sequence[End]
    carriers: Sequence[Thread]
    sinks: Sequence[End]
    closing: threading.Event
    services: Sequence[Service]
    consumer: ConsumerWatch
    faults: Faults

    def start(self) -> None:
        """Start services and threads. Raises ConfigurationError where the metrics port cannot be had."""
        for service in self.services:
            service.start()
        for loop in (*self.takers, *self.carriers):
            loop.start()

    def stop(self, grace_seconds: float, hurry: threading.Event) -> Left:
        """Take nothing more, let the calls in flight end within the grace, publish what is on record, and end.

        `hurry` cuts the grace short. A call that has not ended by then stays under its lease and counts as perhaps
        rung once that runs out. Returns what there is to tell of it.
        """
        ends = time.monotonic() + grace_seconds
        _stop(self.takers)
        handed_back = self.intake.in_hand
        for source in self.sources:
            source.close()
        self.dialler.drain(max(ends - time.monotonic(), 0.0), hurry)
        self.recorder.drain(max(ends - time.monotonic(), RECORD_SECONDS), hurry)
        left = Left(self.dialler.begun, handed_back, self.dialler.in_flight, self.recorder.backlog)
        self.closing.set()
        _stop(self.carriers)
        for sink in self.sinks:
            sink.close()
        for service in self.services:
            service.stop()
        return left


def _stop(loops: Sequence[Thread]) -> None:
    for loop in loops:
        loop.stop()
    for loop in loops:
        loop.join(JOIN_SECONDS)
