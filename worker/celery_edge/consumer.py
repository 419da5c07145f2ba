"""Celery's consumer, changed so that messages go to the intake instead of a pool.

Celery would run one task at a time for each slot of the pool. It would drop a message that it cannot decode, and log
its whole body. Here every message becomes an entry of the intake, which admits jobs in batches and acknowledges those
on record.

On AMQP messages arrive over Celery's connection. On Redis the engine fetches them (`worker.inbound.redis_queue`),
because kombu's fetch can lose one. Then the consumer has no queue and only keeps Celery's worker running.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ECONNABORTED
from functools import partial
from typing import Any, ClassVar

import amqp
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu import Consumer as KombuConsumer
from kombu.message import Message

from worker.broker.amqp_frames import Received
from worker.broker.amqp_wire import ease
from worker.broker.connection import TIMEOUTS, bound, broker_errors, establish, let_go
from worker.broker.declaring import declare
from worker.broker.queues import CALLS, INTAKE, RESULTS, TASK_QUEUES, of_type
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
"""Unacknowledged messages from each queue. A new message of another queue waits behind them, so there should be few;
with fewer than this, batches would be smaller than the intake can handle. RabbitMQ has no bound in bytes, so messages
beyond the intake's bound are set aside."""

MAX_PREFETCH = 12_800
"""The most from a queue that all accounts share, while some of its messages wait for a part of the store. Known
weakness: if more of them wait, the queue stands still for this worker."""

LEAVE_SECONDS = 1.0
"""How long a broker is waited for, for each of its answers, once the worker ends."""


class CallConsumer(Consumer):
    """Passes each message of the task queues, and of `calls.intake`, to the worker's intake.

    Of Celery's steps only those that consume are kept. There is no gossip, no remote control (it shows arguments with
    PINs) and no delayed delivery (it declares 28 exchanges and queues).
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
        self._plain: list[KombuConsumer] = []
        self._resting = False
        self._prefetch = PREFETCH

    def connect(self) -> Any:
        """Connect and declare all queues, and try again until that succeeds."""
        self._acknowledgements, self._resting, self._prefetch = [], False, PREFETCH
        while True:
            self._wait(self._pacing.next())
            try:
                return self._connected()
            except BrokerUnavailable as error:
                self.watch.failed(error)
            except ConfigurationError as error:
                # The address was valid at the start, so a file that it names has been removed.
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
        """Declare the queues. `results` is one of them, because no job may be taken if events cannot be published."""
        establish(connection)
        over_amqp = connection.transport.driver_type == "amqp"
        if over_amqp:
            # A node may hang before the consumer's event loop turns, which looks for heartbeats.
            bound(connection.connection, TIMEOUTS.answer_seconds)
            declare(connection, of_type(self.app.settings.amqp_queue_type, [*TASK_QUEUES, INTAKE, RESULTS]))
        if self.hub:
            connection.transport.register_with_event_loop(connection.connection, self.hub)
        if over_amqp:
            ease(connection.connection)

    def _wait(self, seconds: float) -> None:
        """Wait. Raises Celery's exceptions if the worker is told to stop."""
        ends = time.monotonic() + seconds
        maybe_shutdown()
        while (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_UP_SECONDS))
            maybe_shutdown()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Handle a lost connection as Celery does, but log it only once until the consumer runs again."""
        self.watch.failed(_told(exc))
        super().on_connection_error_after_connected(exc)

    def stop(self) -> None:
        """Stop as Celery does, for the worker ends. No call begins any more, although the engine stops only later."""
        self.controller.engine.begin_no_more_calls()
        wire = self.connection.connection if self.connection and self.connection.connected else None
        if isinstance(wire, amqp.Connection):
            bound(wire, LEAVE_SECONDS)
        super().stop()

    def register_with_event_loop(self, hub: Any) -> None:
        """Register as Celery does, and wake the loop often: else it would notice a signal to stop up to 10 s late."""
        super().register_with_event_loop(hub)
        hub.call_repeatedly(LOOK_UP_SECONDS, self._put_back)
        hub.call_repeatedly(LOOK_UP_SECONDS, self._make_way)

    def create_task_handler(self, promise: Any = None) -> Callable[[Message], None]:
        """The callback for the task queues."""
        return self._taker(self.task_consumer.channel, read_task, Source.CELERY)

    def plain_consumers(self, channel: Any) -> list[KombuConsumer]:
        """The consumer of plain JSON. On Redis there is none, because a stream with that name takes its place."""
        if self.connection.transport.driver_type != "amqp":
            return []
        callback = self._taker(channel, read_plain, Source.QUEUE)
        self._plain = [
            KombuConsumer(channel, [INTAKE], on_message=callback, prefetch_count=PREFETCH, auto_declare=False)
        ]
        return self._plain

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
        """Let the broker deliver the messages without room again, one channel after the other.

        While the intake is closed nothing is consumed, and all of them go back to their queues: a broker closes the
        channel of a consumer that keeps messages for long.
        """
        closed = self._intake.closed
        if closed is not self._resting:
            self._rest(closed)
        room_bytes = sys.maxsize if closed else self._intake.room_bytes // 2
        for acknowledgements in self._acknowledgements:
            acknowledgements.put_back(room_bytes)

    def _make_way(self) -> None:
        """Let messages that wait for a part of the store, unacknowledged, not keep others from being delivered.

        Those of one shard are left in its own queue, so only the queues that all accounts share need more prefetch. It
        counts for consumers that begin after it is set.
        """
        put_off, wished = self._intake.put_off, PREFETCH
        while wished < min(put_off + PREFETCH // 2, MAX_PREFETCH):
            wished *= 2
        if wished == self._prefetch or self._resting or (put_off and wished < self._prefetch):
            return
        for consumer in self._amqp_consumers:
            for queue in consumer.queues or ():
                if queue.name in (CALLS.name, INTAKE.name):
                    consumer.cancel_by_queue(queue)
                    consumer.qos(prefetch_count=wished)
                    consumer.add_queue(queue)
                    consumer.consume()
        self._prefetch = wished

    def _rest(self, on: bool) -> None:
        """Stop consuming, or consume again. On Redis this consumer has no queues."""
        for consumer in self._amqp_consumers:
            if on:
                consumer.cancel()
            else:
                consumer.consume()
        self._resting = on

    @property
    def _amqp_consumers(self) -> list[KombuConsumer]:
        over_amqp = self.connection.transport.driver_type == "amqp"
        return [self.task_consumer, *self._plain] if over_amqp else []

    def _taker(
        self, channel: Any, read: Callable[[Envelope], Submission | Broken], source: Source
    ) -> Callable[[Message], None]:
        """The callback for the messages of a new channel of this connection."""
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
    """Translate the error of an established connection."""
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
    """Make an entry without decoding the message. That is done where a message that crashes its worker is marked."""
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

    Any other error would end the worker, or leave the message unhandled: during its start Celery ignores an error
    without a number. On a new connection the broker delivers the message again, marked as redelivered.
    """
    try:
        yield
    except Exception as error:
        raise ConnectionAbortedError(ECONNABORTED, "a message could not be taken") from error
