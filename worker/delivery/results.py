"""Terminal events out to the results queue."""

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
        self, broker_url: str, queue_type: str | None = None, *, timeouts: Timeouts = TIMEOUTS
    ) -> None:
        """`queue_type`: see `worker.broker.queues.of_type`."""
        self._publisher = Publisher(broker_url, [RESULTS], queue_type, timeouts=timeouts)

    def publish(self, batch: Sequence[OutgoingEvent]) -> None:
        """Send events: the body goes out byte for byte, the type is its routing key.

        Returns when the broker has them all. Raises BrokerUnavailable when it did not take or confirm one,
        and then any part of the batch may be out: publish it again, the events' ids tell repeats. The next
        call reconnects.
        """
        self._publisher.publish(
            [Message(event.body.encode(), event.type, RESULTS_EXCHANGE.name) for event in batch]
        )

    def prepare(self) -> None:
        """Have a connection on which exchange and queue are there. Raises BrokerUnavailable."""
        self._publisher.prepare()

    def close(self) -> None:
        """Close the connection. Never raises for a broker that is away."""
        self._publisher.close()
