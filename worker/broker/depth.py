"""How many messages lie in the broker's queues; also the answer to whether the broker answers."""

from __future__ import annotations

import threading

from worker.broker.connection import Link, translated
from worker.errors import BrokerUnavailable
from worker.queues import INTAKE, RESULTS, TASK_QUEUES


class QueueDepths:
    """Asks over a connection of its own. Thread-safe; one asks at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._link: Link | None = None
        self._lock = threading.Lock()

    def read(self) -> dict[str, int]:
        """Messages per queue that are ready to be taken. Raises BrokerUnavailable within seconds."""
        with self._lock:
            try:
                return self._ask()
            except BrokerUnavailable:
                self._drop()
                raise

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _ask(self) -> dict[str, int]:
        link = self._link = self._link or Link(self._url, [*TASK_QUEUES, RESULTS])
        # On Redis a stream takes the place of the plain intake queue.
        queues = [*TASK_QUEUES, RESULTS, *([INTAKE] if link.confirms else [])]
        with translated("the broker does not tell its queues' depths"):
            return {
                queue.name: queue.bind(link.channel).queue_declare(passive=link.confirms).message_count
                for queue in queues
            }

    def _drop(self) -> None:
        if self._link is not None:
            self._link.abandon()
            self._link = None
