"""One connection to a broker, with a bound on every wait.

The errors of kombu and the libraries under it become BrokerUnavailable here, or ConfigurationError for an address that
no transport understands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import amqp
from amqp.exceptions import AMQPError, MessageNacked
from kombu import Connection, Queue
from kombu.exceptions import KombuError
from kombu.transport import redis, virtual
from redis.exceptions import RedisError, ResponseError

from worker.broker.amqp_wire import ease
from worker.broker.declaring import declare
from worker.broker.queues import of_type
from worker.broker.refusal import refuses
from worker.broker.transports import BrokerConnection
from worker.errors import BrokerRefused, BrokerUnavailable, ConfigurationError
from worker.redisio.written import wait_for_file


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a broker is waited for, in seconds: for a connection, and for each answer."""

    connect_seconds: float = 5.0
    answer_seconds: float = 10.0


TIMEOUTS = Timeouts()


# py-amqp raises AttributeError on a connection that was lost, kombu's Redis channel KeyError once it is dropped.
BROKER_ERRORS = (AMQPError, MessageNacked, KombuError, RedisError, OSError, AttributeError, KeyError)

Bindings = Callable[[str], Sequence[Sequence[str]]]
"""The bindings of the exchange of that name: of each its routing key, a pattern, and the queue's name."""

_COMMAND_ECHO = " of pipeline caused error: "


@contextmanager
def broker_errors(doing: str) -> Iterator[None]:
    """Turn any error of a broker's library into BrokerUnavailable or BrokerRefused, with `doing` as its beginning.

    redis-py quotes the failed command of a pipeline in its error, and so a part of the message. That part is first cut
    out of the error and its cause.
    """
    try:
        yield
    except BROKER_ERRORS as error:
        for each in (error, error.__cause__):
            if each is not None and _COMMAND_ECHO in str(each):
                each.args = (str(each).rpartition(_COMMAND_ECHO)[2],)
        origin = error.__cause__ or error
        kind = BrokerRefused if refuses(error) else BrokerUnavailable
        raise kind(f"{doing}: {str(origin) or type(origin).__name__}") from error


class Link:
    """A live connection with one channel, on which `queues` are declared and bound.

    Opening it raises BrokerUnavailable if the broker is away, refuses, or does not answer within
    `timeouts.connect_seconds`. Every later wait ends after `timeouts.answer_seconds` with an OSError. For one thread.
    """

    def __init__(
        self,
        url: str,
        queues: Sequence[Queue],
        queue_type: str | None = None,
        *,
        timeouts: Timeouts = TIMEOUTS,
        **options: Any,
    ) -> None:
        """`queue_type`: see `worker.broker.queues.of_type`. `options` are kombu's."""
        self._queue_type = queue_type
        self.queues: list[Queue] = []
        self.timeouts = timeouts
        self.connection: Any = connection_to(url, timeouts, **options)
        try:
            with broker_errors("the broker cannot be used"):
                self.channel: Any = self._open()
                self.declare(queues)
        except BaseException:
            self.abandon()
            raise

    def _open(self) -> Any:
        establish(self.connection)
        wire = self.connection.connection
        if isinstance(wire, amqp.Connection):
            ease(wire)
            bound(wire, self.timeouts.answer_seconds)
        return self.connection.channel()

    def declare(self, queues: Iterable[Queue]) -> None:
        """Declare and bind those of `queues` that were not declared over this connection before.

        Raises what the broker's library raises.
        """
        known = {queue.name for queue in self.queues}
        fresh = [queue for queue in queues if queue.name not in known]
        try:
            declare(self.connection, of_type(self._queue_type, fresh))
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            # Redis does not say which key it is.
            names = ", ".join(queue.name for queue in fresh)
            raise ResponseError(f"WRONGTYPE: a key has another type than it should: {names}") from None
        self.queues += fresh

    @property
    def confirms(self) -> bool:
        """True on AMQP, where a message is only on its way until the broker confirms it."""
        return isinstance(self.channel, amqp.Channel)

    @property
    def is_redis(self) -> bool:
        """True where the broker is a Redis; `redis_client` speaks to it."""
        return isinstance(self.channel, redis.Channel)

    def redis_client(self) -> AbstractContextManager[Any]:
        """Return a client over the connections of the channel, for a `with` statement. Its errors are redis-py's."""
        client: AbstractContextManager[Any] = self.channel.conn_or_acquire()
        return client

    def bindings(self) -> Bindings:
        """Return a function that reads the bindings of an exchange, and reads them once: on Redis each is a round trip.

        Use it for one batch only. On AMQP only the broker knows the bindings.
        """
        return cache(self._bindings_of)

    def _bindings_of(self, exchange: str) -> Sequence[Sequence[str]]:
        found: Sequence[Sequence[str]] = self.channel.get_table(exchange)
        return found

    def intact(self, bindings: Bindings) -> bool:
        """Return False if the broker has forgotten the bindings, without which kombu drops a message.

        kombu keeps them in Redis and reconnects to a Redis that came back empty without an error, so ask before each
        batch. On AMQP there is nothing to ask: the broker returns a message that it cannot route.
        """
        if not isinstance(self.channel, virtual.Channel):
            return True
        with broker_errors("the broker does not answer"):
            return all(_is_bound(queue, bindings) for queue in self.queues if queue.exchange.name)

    def wait_until_written(self) -> None:
        """Return when a broker that is Redis has written to its file what it took. Others confirm no sooner.

        Raises BrokerUnavailable.
        """
        if self.is_redis:
            with broker_errors("the broker does not answer"):
                wait_for_file(self.channel.client)

    def close(self) -> None:
        """Say goodbye to the broker; unacknowledged messages go back to their queue."""
        with broker_errors("the broker connection did not close"):
            self.connection.release()

    def abandon(self) -> None:
        """Drop a connection that failed, without a word to the broker."""
        let_go(self.connection, self.timeouts)


def _is_bound(queue: Queue, bindings: Bindings) -> bool:
    wanted = (queue.routing_key, queue.name)
    return any((key, name) == wanted for key, _, name in bindings(queue.exchange.name))


def establish(connection: Connection) -> None:
    """Connect, with one try for each address of a failover list and without pauses: the caller has its own schedule."""
    tries = max(1, len(connection.alt))
    connection.ensure_connection(
        max_retries=tries, interval_start=0, interval_step=0, reraise_as_library_errors=False
    )


def bound(wire: amqp.Connection, seconds: float) -> None:
    """Let no wait for an answer of RabbitMQ be longer than this; it then ends with an OSError."""
    # py-amqp's own read_timeout is swallowed by its read loop; the socket's is not.
    wire.sock.settimeout(seconds)


def let_go(connection: Connection, timeouts: Timeouts = TIMEOUTS) -> None:
    """Drop a connection that failed, without a word to the broker."""
    with suppress(*BROKER_ERRORS):
        connection.collect(timeouts.connect_seconds)


def over_amqp(url: str) -> bool:
    """Return whether the broker at `url` speaks AMQP. Raises ConfigurationError, as `connection_to` does."""
    return bool(connection_to(url).transport.driver_type == "amqp")


def connection_to(url: str, timeouts: Timeouts = TIMEOUTS, **options: Any) -> BrokerConnection:
    """Return a kombu connection that is not open yet. Of several addresses, separated by `;`, each is tried in turn.

    `options` are kombu's. Raises ConfigurationError for an address that no transport understands.
    """
    defaults = {
        "connect_timeout": timeouts.connect_seconds,
        "transport_options": {
            "socket_timeout": timeouts.answer_seconds,
            "socket_connect_timeout": timeouts.connect_seconds,
        },
    }
    try:
        connection = BrokerConnection.to(url, **defaults | options)
        connection.transport  # noqa: B018  (the transport's module is only looked for here)
    except ValueError as error:
        raise ConfigurationError(f"BROKER_URL: {error}") from None
    except (KeyError, ImportError) as error:
        scheme = url.partition("://")[0]
        raise ConfigurationError(f"BROKER_URL: no transport for {scheme}://…: {error}") from None
    except (TypeError, NameError):
        raise ConfigurationError("BROKER_URL: has an option that its transport does not know") from None
    return connection
