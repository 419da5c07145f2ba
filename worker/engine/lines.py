"""Runs webhook deliveries in greenlets: of one endpoint so many at once, and the others of this worker in line."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.delivery.ports import Conclusion, Delivery, Destination, Health, Verdict


@dataclass(slots=True)
class _Line:
    """The deliveries to one endpoint: how many are in flight, and those that wait."""

    busy: int = 0
    waiting: deque[Delivery] = field(default_factory=deque)


def returned(delivery: Delivery, why: str, wait_seconds: float = 0.0) -> Conclusion:
    """Conclude that no attempt was spent."""
    return Conclusion(delivery, Verdict.RETURNED, why, wait_seconds=wait_seconds)


class Lines:
    """Deliveries wait here only while their endpoint answers well. For one thread.

    Once an attempt does not, those behind it go back to the store, which knows the endpoint's health. So do those whose
    lease would end before their attempt.
    """

    def __init__(
        self,
        attempt: Callable[[Delivery], Conclusion],
        ended: Callable[[Conclusion], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ended` is called with each conclusion. Neither may raise. `clock` is that of `Delivery.begins_by`."""
        self._attempt, self._ended, self._clock = attempt, ended, clock
        self._lines: dict[Destination, _Line] = {}

    def enter(self, delivery: Delivery) -> None:
        """Attempt the delivery, and then those that have come into its line; or leave it to a greenlet that does so."""
        line = self._lines.setdefault(delivery.destination, _Line())
        line.waiting.append(delivery)
        if line.busy >= delivery.concurrency:
            return
        line.busy += 1
        while line.waiting:
            self._serve(line)
        line.busy -= 1
        if not line.busy:
            del self._lines[delivery.destination]

    def _serve(self, line: _Line) -> None:
        delivery = line.waiting.popleft()
        late = self._clock() > delivery.begins_by
        conclusion = returned(delivery, "late") if late else self._attempt(delivery)
        self._ended(conclusion)
        while line.waiting and conclusion.health is not Health.GOOD:
            self._ended(returned(line.waiting.popleft(), "behind"))
