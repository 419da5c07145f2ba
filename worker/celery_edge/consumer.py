"""Celery's consumer, with the way of a message changed: into the intake instead of a pool.

Celery's own path would run one task at a time per pool slot, log a message that it cannot decode with its whole
body, and drop it. Here every message becomes an entry of the intake, which admits in batches and acknowledges what
is on record.

On AMQP messages arrive over Celery's connection. On Redis the engine fetches them itself (`engine.redis_queue`),
because kombu's fetch can lose one; the consumer then has no queue, and only keeps Celery's worker running.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ECONNABORTED
from functools import partial
from typing import Any, ClassVar

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu import Consumer as KombuConsumer
from kombu.message import Message

from worker.broker.amqp_frames import Received
from worker.broker.amqp_wire import ease
from worker.broker.connection import broker_errors, establish, let_go
from worker.broker.declaring import declare
from worker.broker.queues import INTAKE, RESULTS, TASK_QUEUES, of_type
from worker.broker.refusal import refuses
from worker.celery_edge.acknowledgements import Acknowledgements
from worker.celery_edge.pacing import Pacing
from worker.core.judging import Broken, Submission
from worker.core.ports import Whole
from worker.core.records import Source
from worker.engine.consumer_watch import ConsumerWatch
from worker.engine.intake import Intake
from worker.errors import BrokerRefused, BrokerUnavailable, ConfigurationError
from worker.failpoints import hit
from worker.inbound.entry import Entry
from worker.inbound.messages import Envelope, read_plain, read_task

LOOK_UP_SECONDS = 0.5
PREFETCH = 200
"""Messages in hand from each queue. What one queue has in hand lies before a message that comes now in another; fewer
would make batches smaller than what the intake can do. RabbitMQ knows no bound in bytes, so that what comes beyond the
intake's is set aside."""


class CallConsumer(Consumer):
    """Hands each message of the task queues, and of `calls.intake`, to the worker's intake.

    Of Celery's steps only those that consume are kept: no gossip, no remote control (which shows arguments, and with
    them PINs), no delayed delivery (which declares 28 exchanges and queues).
    """

    class Blueprint(Consumer.Blueprint):
        """Connect, consume, loop."""

        default_steps: ClassVar[list[str]] = [
            "celery.worker.consumer.connection:Connection",
            "worker.celery_edge.consuming:CallTasks",
            "celery.worker.consumer.consumer:Evloop",
        ]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options | {"initial_prefetch_count": PREFETCH})
        self._acknowledgements: list[Acknowledgements] = []
        self._pacing = Pacing()

    def connect(self) -> Any:
        """A connection on which all queues are there, however long that takes."""
        self._acknowledgements = []
        while True:
            self._wait(self._pacing.next())
            try:
                return self._connected()
            except BrokerUnavailable as error:
                self.watch.failed(error)
            except ConfigurationError as error:
                # The address was good at the start: a file that it names is gone.
                self.watch.failed(BrokerRefused(str(error)))

    def _connected(self) -> Any:
        connection = self.app.connection_for_read(heartbeat=self.amqheartbeat)
        try:
            with broker_errors("the broker cannot be used"):
                self._prepare(connection)
        except BrokerUnavailable:
            let_go(connection)
            raise
        return connection

    def _prepare(self, connection: Any) -> None:
        """`results` is declared too: where events cannot leave, no job is taken."""
        establish(connection)
        over_amqp = connection.transport.driver_type == "amqp"
        if over_amqp:
            declare(connection, of_type(self.app.settings.amqp_queue_type, [*TASK_QUEUES, INTAKE, RESULTS]))
        if self.hub:
            connection.transport.register_with_event_loop(connection.connection, self.hub)
        if over_amqp:
            ease(connection.connection)

    def _wait(self, seconds: float) -> None:
        """Raises Celery's exceptions where the worker is told to stop."""
        ends = time.monotonic() + seconds
        maybe_shutdown()
        while (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_UP_SECONDS))
            maybe_shutdown()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """As Celery does; but it is told once, until the consumer turns again."""
        self.watch.failed(_told(exc))
        super().on_connection_error_after_connected(exc)

    def register_with_event_loop(self, hub: Any) -> None:
        """As Celery does; but a loop that may sleep for ten seconds hears a signal to stop only then."""
        super().register_with_event_loop(hub)
        hub.call_repeatedly(LOOK_UP_SECONDS, self._put_back)

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

    @property
    def watch(self) -> ConsumerWatch:
        """The engine's watch over this consumer."""
        watch: ConsumerWatch = self.controller.engine.consumer
        return watch

    @property
    def _intake(self) -> Intake:
        intake: Intake = self.controller.engine.intake
        return intake

    def _put_back(self) -> None:
        """Have the broker deliver what there was no room for, one channel after the other."""
        for acknowledgements in self._acknowledgements:
            acknowledgements.put_back(self._intake.room_bytes // 2)

    def _taker(
        self, channel: Any, read: Callable[[Envelope], Submission | Broken], source: Source
    ) -> Callable[[Message], None]:
        """What takes the messages of a channel that is new with this connection."""
        errors = (*self.connection_errors, *self.channel_errors)
        acknowledgements = Acknowledgements(channel, self.call_soon, errors)
        self._acknowledgements.append(acknowledgements)

        def take(message: Message) -> None:
            with _failing_with_the_connection():
                done = acknowledgements.expect(message.delivery_tag)
                hit("fetch.before")
                entry = received_entry(message, read, source, done)
                hit("fetch.after")
                if entry.weight <= self._intake.room_bytes:
                    self._intake.put(entry)
                else:
                    acknowledgements.set_aside(message.delivery_tag, entry.weight)

        return take


def _told(problem: Exception) -> BrokerUnavailable:
    """An error of a connection that was there."""
    kind, what = (
        (BrokerRefused, "the broker refuses")
        if refuses(problem)
        else (BrokerUnavailable, "the connection was lost")
    )
    told = kind(f"{what}: {str(problem) or type(problem).__name__}")
    told.__cause__ = problem
    return told


def received_entry(
    message: Message,
    read: Callable[[Envelope], Submission | Broken],
    source: Source,
    done: Callable[[], None],
) -> Entry:
    """Nothing of it is decoded yet: that is done where a message that crashes its worker leaves a mark."""
    redelivered = bool((message.delivery_info or {}).get("redelivered"))
    received = message.body
    if not isinstance(received, Received):
        envelope = Envelope.of(message)
        return Entry(envelope.body, partial(read, envelope), done, source, redelivered)
    cut = Whole(received.size, received.digest) if received.digest else None
    return Entry(
        received.body,
        partial(_read_received, received, read),
        done,
        source,
        redelivered,
        label=received.properties,
        cut=cut,
    )


def _read_received(
    received: Received, read: Callable[[Envelope], Submission | Broken]
) -> Submission | Broken:
    envelope = Envelope.delivered(received)
    return envelope if isinstance(envelope, Broken) else read(envelope)


@contextmanager
def _failing_with_the_connection() -> Iterator[None]:
    """Turn an error of the worker itself into one of the connection.

    Any other would end the worker, or leave the message with nobody: Celery swallows, as it starts, one without a
    number. On a new connection the broker delivers the message again, and says so.
    """
    try:
        yield
    except Exception as error:
        raise ConnectionAbortedError(ECONNABORTED, "a message could not be taken") from error
