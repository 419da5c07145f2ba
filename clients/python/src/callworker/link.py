"""The way to one broker: a connection that is made when it is needed, and again after it was lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from callworker.address import broker_urls, check_replicas, is_redis, needed, read
from callworker.errors import BrokerUnavailable
from callworker.message import Message


class Session(Protocol):
    """One live connection to a broker. For one thread. Every method but `send` never raises."""

    def send(self, batch: Sequence[Message]) -> None:
        """Return once the broker has confirmed the whole batch. Raises BrokerUnavailable; then any part may be out."""
        ...

    def close(self) -> None:
        """Say goodbye to the broker."""
        ...

    def drop(self) -> None:
        """Close a connection that failed, without a word to the broker."""
        ...

    def forget(self) -> None:
        """Close this process's copy of a connection that belongs to the process from which it was forked."""
        ...


class Link:
    """Sends batches over one connection, to the first of some addresses that works. For one thread.

    `connects` has a function for each address. It returns a new session, or raises BrokerUnavailable.
    """

    def __init__(self, connects: Sequence[Callable[[], Session]]) -> None:
        self._connects = connects
        self._session: Session | None = None

    def send(self, batch: Sequence[Message]) -> None:
        """Send the batch, and a second time if the first was over a connection that had been used before.

        An idle connection may have been lost unnoticed, and a queue may have been deleted; a new connection shows what
        is the matter. Raises BrokerUnavailable.
        """
        if self._session is not None:
            with suppress(BrokerUnavailable):
                return self._send(self._session, batch)
        self._session = self._connected()
        return self._send(self._session, batch)

    def close(self) -> None:
        """Close the connection; a later `send` makes a new one. Never raises."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def forget(self) -> None:
        """Leave the connection to the process from which this one was forked. Never raises."""
        session, self._session = self._session, None
        if session is not None:
            session.forget()

    def _send(self, session: Session, batch: Sequence[Message]) -> None:
        try:
            session.send(batch)
        except BaseException:
            self._session = None
            session.drop()
            raise

    def _connected(self) -> Session:
        *others, last = self._connects
        for connect in others:
            with suppress(BrokerUnavailable):
                return connect()
        return last()


def link_to(url: str | None, seconds: float, queue_type: str | None, replicas: int = 0) -> Link:
    """Return a link to the broker at `url`, see `address.broker_urls`. It is not connected yet.

    No wait for a connection or an answer is longer than `seconds`. `replicas` of a Redis must have a batch before it
    counts as sent. Raises ConfigurationError.
    """
    connects: list[Callable[[], Session]] = []
    check_replicas(replicas)
    name, urls = broker_urls(url)
    for each in urls:
        address = read(each, name)
        if is_redis(each):
            connects.append(partial(needed("redis", "redis").RedisSession, address, seconds, replicas))
        else:
            connects.append(partial(needed("amqp", "amqp").AmqpSession, address, seconds, queue_type))
    return Link(connects)
