"""One connection to RabbitMQ."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import amqp
from amqp import exceptions
from amqp.method_framing import frame_writer

from callworker.amqp_address import AmqpAddress
from callworker.amqp_tls import SecuredTransport
from callworker.confirms import Confirms
from callworker.errors import BrokerRefused, BrokerUnavailable
from callworker.message import Message

# py-amqp raises AttributeError on a connection that was lost.
AMQP_ERRORS = (exceptions.AMQPError, OSError, AttributeError)

_REFUSALS = (
    exceptions.AccessRefused,
    exceptions.NotAllowed,
    exceptions.NotFound,
    exceptions.PreconditionFailed,
    exceptions.ResourceLocked,
    ssl.SSLCertVerificationError,
)


@contextmanager
def amqp_errors(doing: str) -> Iterator[None]:
    """Turn any error of py-amqp into BrokerUnavailable or BrokerRefused, with `doing` as its beginning."""
    try:
        yield
    except AMQP_ERRORS as error:
        kind = BrokerRefused if isinstance(error, _REFUSALS) else BrokerUnavailable
        raise kind(f"{doing}: {str(error) or type(error).__name__}") from error


class AmqpSession:
    """Publishes mandatory, persistent messages to queues, and waits for the confirm of each; see `link.Session`.

    A queue is declared when it is first needed, as a worker would. One that exists with other properties is used as it
    is. One that the user may not declare must exist. There are no heartbeats, which would need a thread: an idle
    connection that was lost is found by the next message.
    """

    def __init__(self, address: AmqpAddress, seconds: float, queue_type: str | None) -> None:
        """No wait is longer than `seconds`. Raises BrokerUnavailable."""
        self._arguments = {"x-queue-type": queue_type} if queue_type else None
        self._declared: set[str] = set()
        self._connection = connection(address, seconds)
        try:
            with amqp_errors("the broker cannot be used"):
                self._connection.connect()
                # py-amqp's own read_timeout is swallowed by its read loop; the socket's is not.
                self._connection.sock.settimeout(seconds)
                self._channel: Any = self._connection.channel()
                self._confirms = Confirms(self._channel, seconds)
        except BaseException:
            self.drop()
            raise

    def send(self, batch: Sequence[Message]) -> None:
        with amqp_errors("the broker did not take a message"):
            for queue in sorted({message.queue for message in batch} - self._declared):
                self._declare(queue)
            with self._connection.writes.together():
                for message in batch:
                    self._publish(message)
            self._confirms.wait()

    def _publish(self, message: Message) -> None:
        content = amqp.Message(
            message.body,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
            correlation_id=message.task_id,
            application_headers=dict(message.headers),
        )
        self._confirms.expect()
        self._channel.basic_publish(content, routing_key=message.queue, mandatory=True)

    def _declare(self, queue: str) -> None:
        # A channel of its own: the broker closes one after an error, and py-amqp then opens it again.
        with self._connection.channel() as channel:
            try:
                channel.queue_declare(queue, durable=True, auto_delete=False, arguments=self._arguments)
            except exceptions.PreconditionFailed:
                pass
            except exceptions.AccessRefused:
                self._look_for(queue, channel)
        self._declared.add(queue)

    def _look_for(self, queue: str, channel: Any) -> None:
        try:
            channel.queue_declare(queue, passive=True)
        except exceptions.NotFound as error:
            told = f"queue {queue!r} does not exist, and the user may not create it"
            raise BrokerRefused(told) from error

    def close(self) -> None:
        with suppress(*AMQP_ERRORS):
            self._connection.close()

    def drop(self) -> None:
        with suppress(*AMQP_ERRORS):
            self._connection.collect()

    def forget(self) -> None:
        # Close this copy of the socket without a word to the broker: the other process still uses the connection.
        if self._connection.connected:
            transport = self._connection.transport
            sock, transport.sock = transport.sock, None
            sock.close()


class _Writes:
    """The frames that py-amqp writes to a transport. They can be held back and written in one go."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._held: bytearray | None = None

    def write(self, frame: bytes | memoryview) -> None:
        if self._held is None:
            self._transport.write(frame)
        else:
            self._held += frame

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what is written inside the `with` statement at its end. After an exception nothing is written."""
        held = self._held = bytearray()
        try:
            yield
        finally:
            self._held = None
        self._transport.write(held)


class _Connection(amqp.Connection):
    negotiate_capabilities = amqp.Connection.negotiate_capabilities | {"connection.blocked": False}
    """With that capability py-amqp reads the socket before each message. A broker that is blocked confirms none."""

    writes: _Writes

    def Transport(self, host: str, seconds: float, ssl: Any, *times: Any, **more: Any) -> Any:  # noqa: N802
        if not ssl:
            return super().Transport(host, seconds, ssl, *times, **more)
        return SecuredTransport(host, seconds, ssl, **more)


def _frame_writer(connection: _Connection, transport: Any) -> Any:
    connection.writes = _Writes(transport)
    return frame_writer(connection, connection.writes)


def connection(address: AmqpAddress, seconds: float) -> _Connection:
    """Return a connection that is not open yet. `seconds` is the longest wait for it."""
    host = address.host or "localhost"
    port = address.port or (5671 if address.secure else 5672)
    return _Connection(
        host=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        userid=address.user or "guest",
        password=address.password or "guest",
        virtual_host=address.virtual_host or "/",
        login_method=address.options.get("login_method", "PLAIN"),
        ssl=dict(address.secure) if address.secure else False,
        connect_timeout=min(seconds, address.options.get("connect_timeout", seconds)),
        frame_writer=_frame_writer,
    )
