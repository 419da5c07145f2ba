"""Posts the events of one account to a receiver that is being worked on."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from worker.core.endpoints import Endpoint
from worker.core.events import rfc3339
from worker.delivery.ports import Attempt, Sender

if TYPE_CHECKING:
    from worker.broker.own_queue import OwnQueue

POLL_SECONDS = 0.2
_EVENT_ID = re.compile(r"[\w.-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Incoming:
    """An event from the exchange, with the bytes that are posted."""

    id: str
    type: str
    account: str
    job_id: str
    body: bytes

    @classmethod
    def of(cls, body: bytes) -> Incoming | None:
        """Read the bytes of an event; None for a message that is none."""
        try:
            event = json.loads(body)
            data = event["data"]
            facts = (event["id"], event["type"], data["account"], data["id"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if not all(isinstance(fact, str) for fact in facts) or not _EVENT_ID.fullmatch(facts[0]):
            return None
        return cls(*facts, body)


@dataclass(frozen=True, slots=True)
class Selection:
    """The events to post: those of one account whose type fits one of the patterns."""

    account: str
    patterns: tuple[str, ...]

    def has(self, event: Incoming) -> bool:
        return event.account == self.account and self.fits(event.type)

    def fits(self, event_type: str) -> bool:
        return any(fnmatchcase(event_type, pattern) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Posted:
    """An event that was posted, at this time (Unix µs), and how that ended. `sequence` counts from 1 in each run."""

    event: Incoming
    unix_us: int
    sequence: int
    attempt: Attempt

    def document(self) -> dict[str, Any]:
        attempt = self.attempt
        return {
            "time": rfc3339(self.unix_us),
            "event_id": self.event.id,
            "type": self.event.type,
            "job": self.event.job_id,
            "sequence": self.sequence,
            "result": attempt.result.value,
            "status": attempt.status,
            "seconds": round(attempt.seconds, 6),
            "cause": attempt.cause and attempt.cause.value,
            "problem": attempt.problem,
        }

    def line(self) -> str:
        """Time, type, job id, status and duration, in one line for a person."""
        attempt = self.attempt
        came = attempt.status or f"no answer: {attempt.problem or attempt.result.value}"
        moment = rfc3339(self.unix_us)
        return (
            f"{moment}  {self.event.type:<13}  {self.event.job_id}  {came}  {attempt.seconds * 1000:.0f} ms"
        )


def events(
    queue: OwnQueue, selection: Selection, pause: Callable[[float], object] = time.sleep
) -> Iterator[Incoming]:
    """Yield each event of the selection, without end. Raises BrokerUnavailable.

    The queue is looked at before each event, so that it does not expire while a slow receiver is waited for. Known
    weakness: events for which the receiver is too slow wait in this process, without a bound.
    """
    waiting = deque[Incoming]()
    while True:
        came = map(Incoming.of, queue.take())
        waiting.extend(event for event in came if event is not None and selection.has(event))
        if waiting:
            yield waiting.popleft()
        else:
            pause(POLL_SECONDS)


def forward(sender: Sender, endpoint: Endpoint, found: Iterator[Incoming]) -> Iterator[Posted]:
    """Post each event once. Yields how each ended; one that fails does not keep back the next."""
    for sequence, event in enumerate(found, 1):
        now_us = time.time_ns() // 1000
        attempt = sender.send(endpoint, event.id, event.body, now_us // 1_000_000, sequence=sequence)
        yield Posted(event, now_us, sequence, attempt)
