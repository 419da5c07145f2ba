"""Celery's consumer, with the way of a message changed: into the intake instead of a pool.

Celery's own path would run one task at a time per pool slot, log a message that it cannot decode with its whole
body, and drop it. Here every message becomes an entry of the intake, which admits in batches and acknowledges what
is on record.

On AMQP messages arrive over Celery's connection. On Redis the engine fetches them itself (`engine.redis_queue`),
because kombu's fetch can lose one; the consumer then has no queue, and only keeps Celery's worker running.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ECONNABORTED
from functools import partial
from typing import Any, ClassVar

from celery.worker.consumer import Consumer
from kombu import Consumer as KombuConsumer
from kombu.message import Message

from worker.broker.acknowledgements import Acknowledgements
from worker.broker.amqp_wire import ease
from worker.broker.declaring import declare
from worker.engine.entry import Entry
from worker.engine.intake import Intake
from worker.engine.messages import Envelope, read_plain, read_task
from worker.failpoints import hit
from worker.intake import Broken, Request
from worker.ports import Source
from worker.queues import INTAKE, TASK_QUEUES

LOOK_UP_SECONDS = 0.5
PREFETCH = 200
"""Messages in hand from each queue. What one queue has in hand lies before a message that comes now in another, and
those of all queues together bound the worker's memory; fewer would make batches smaller than what the intake can do."""


class CallConsumer(Consumer):
    """Hands each message of the task queues, and of `calls.intake`, to the worker's intake.

    Of Celery's steps only those that consume are kept: no gossip, no remote control (which shows arguments, and with
    them PINs), no delayed delivery (which declares 28 exchanges and queues).
    """

    class Blueprint(Consumer.Blueprint):
        """Connect, consume, loop."""

        default_steps: ClassVar[list[str]] = [
            "celery.worker.consumer.connection:Connection",
            "worker.steps.tasks:CallTasks",
            "celery.worker.consumer.consumer:Evloop",
        ]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options | {"initial_prefetch_count": PREFETCH})

    def connect(self) -> Any:
        """A connection on which all queues are there."""
        connection = super().connect()
        if connection.transport.driver_type == "amqp":
            ease(connection.connection)
            declare(connection, [*TASK_QUEUES, INTAKE])
        return connection

    def register_with_event_loop(self, hub: Any) -> None:
        """As Celery does; but a loop that may sleep for ten seconds hears a signal to stop only then."""
        super().register_with_event_loop(hub)
        hub.call_repeatedly(LOOK_UP_SECONDS, lambda: None)

    def create_task_handler(self, promise: Any = None) -> Callable[[Message], None]:
        """The callback for the task queues."""
        return self._taker(self.task_consumer.channel, read_task, Source.CELERY)

    def plain_consumers(self, channel: Any) -> list[KombuConsumer]:
        """The consumer of plain JSON; on Redis a stream of that name takes its place."""
        if self.connection.transport.driver_type != "amqp":
            return []
        callback = self._taker(channel, read_plain, Source.QUEUE)
        return [
            KombuConsumer(channel, [INTAKE], on_message=callback, prefetch_count=PREFETCH, auto_declare=False)
        ]

    def _taker(
        self, channel: Any, read: Callable[[Envelope], Request | Broken], source: Source
    ) -> Callable[[Message], None]:
        """What takes the messages of a channel that is new with this connection."""
        intake: Intake = self.controller.engine.intake
        acknowledgements = Acknowledgements(channel, self.call_soon, self.connection_errors)

        def take(message: Message) -> None:
            done = acknowledgements.expect(message.delivery_tag)
            envelope = _envelope(message)
            redelivered = bool((message.delivery_info or {}).get("redelivered"))
            intake.put(Entry(envelope.body, partial(read, envelope), done, source, redelivered))

        return take


def _envelope(message: Message) -> Envelope:
    """Raises ConnectionAbortedError if the worker itself fails at it.

    Any other error would end the worker, or leave the message with nobody: Celery swallows, as it starts, one without a
    number. On a new connection the broker delivers the message again, and says so.
    """
    try:
        hit("fetch.before")
        envelope = Envelope.of(message)
        hit("fetch.after")
    except Exception as problem:
        raise ConnectionAbortedError(ECONNABORTED, "a message could not be taken") from problem
    return envelope
