"""Counts the messages in the broker's queues, which also tells whether the broker answers."""

from __future__ import annotations

import threading
from collections import Counter

from redis.exceptions import ResponseError

from worker.broker.connection import TIMEOUTS, Link, Timeouts, broker_errors
from worker.broker.queues import INTAKE, RESULTS, TASK_QUEUES
from worker.errors import BrokerUnavailable
from worker.inbound.redis_lists import PRIORITY_SUFFIXES


class QueueDepths:
    """Asks the broker over a connection of its own. Thread-safe: one thread asks at a time, the others wait."""

    def __init__(self, url: str, queue_type: str | None = None, *, timeouts: Timeouts = TIMEOUTS) -> None:
        """`queue_type`: see `worker.broker.queues.of_type`."""
        self._url, self._queue_type, self._timeouts = url, queue_type, timeouts
        self._link: Link | None = None
        self._lock = threading.Lock()

    def read(self) -> dict[str, int]:
        """Return the number of messages of each queue that are ready to be taken.

        On Redis, queues whose key has another type are left out. Raises BrokerUnavailable within seconds.
        """
        with self._lock:
            try:
                return self._ask()
            except BrokerUnavailable:
                self._drop()
                raise

    def close(self) -> None:
        """Close the connection; a later `read` would make a new one."""
        with self._lock:
            self._drop()

    def _ask(self) -> dict[str, int]:
        link = self._link = self._link or Link(self._url, [], self._queue_type, timeouts=self._timeouts)
        with broker_errors("the broker does not give the depths of its queues"):
            if link.is_redis:
                return _lengths(link)
            # On a broker that is neither there is no way in for plain jobs.
            queues = [*TASK_QUEUES, RESULTS, *([INTAKE] if link.confirms else [])]
            link.declare(queues)
            return {
                queue.name: queue.bind(link.channel).queue_declare(passive=link.confirms).message_count
                for queue in queues
            }

    def _drop(self) -> None:
        if self._link is not None:
            self._link.abandon()
            self._link = None


def _lengths(link: Link) -> dict[str, int]:
    """Ask in one round trip; a stream takes the place of the queue of plain jobs. Raises what redis-py raises."""
    lists = [(queue.name, suffix) for queue in (*TASK_QUEUES, RESULTS) for suffix in PRIORITY_SUFFIXES]
    with link.redis_client() as client, client.pipeline(transaction=False) as pipeline:
        for name, suffix in lists:
            pipeline.llen(name + suffix)
        pipeline.xlen(INTAKE.name)
        lengths = pipeline.execute(raise_on_error=False)
    depths: Counter[str] = Counter()
    wrong = set()
    for (name, _), length in zip([*lists, (INTAKE.name, "")], lengths, strict=True):
        if isinstance(length, ResponseError) and "WRONGTYPE" in str(length):
            wrong.add(name)
        elif isinstance(length, Exception):
            raise length
        else:
            depths[name] += length
    return {name: depth for name, depth in depths.items() if name not in wrong}
