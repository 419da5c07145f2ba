"""Publishes terminal events on the results queue."""

from __future__ import annotations

from collections.abc import Sequence

from worker.broker.connection import TIMEOUTS, Timeouts
from worker.broker.message import Message
from worker.broker.publisher import Publisher
from worker.broker.queues import RESULTS, RESULTS_EXCHANGE
from worker.delivery.ports import OutgoingEvent


class ResultsQueue:
    """Publishes events on exchange `results`, with queue `results` bound to it, as plain persistent JSON.

    For one thread only. Raises ConfigurationError at once if no transport understands `broker_url`.
    """

    def __init__(
        self,
        broker_url: str,
        queue_type: str | None = None,
        *,
        replicas: int = 0,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        """`queue_type` and `replicas`: see `worker.broker.publisher.Publisher`."""
        self._publisher = Publisher(broker_url, [RESULTS], queue_type, replicas=replicas, timeouts=timeouts)

    def publish(self, batch: Sequence[OutgoingEvent]) -> None:
        """Send events. The body is sent byte for byte; the type is the routing key.

        Returns when the broker has all of them. Raises BrokerUnavailable if it did not take or confirm one. Any part of
        the batch may then be out: publish it again, because subscribers know repeats by the events' ids. The next call
        connects again.
        """
        self._publisher.publish(
            [
                Message(event.body.encode(), event.type, RESULTS_EXCHANGE.name, event.headers)
                for event in batch
            ]
        )

    def prepare(self) -> None:
        """Connect, and declare exchange and queue, unless that is done. Raises BrokerUnavailable."""
        self._publisher.prepare()

    def close(self) -> None:
        """Close the connection. Does not raise if the broker is away."""
        self._publisher.close()
