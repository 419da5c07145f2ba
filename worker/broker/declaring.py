"""Declares queues on a broker, and accepts queues that somebody else has declared with other properties."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed
from kombu import Exchange, Queue

from worker.errors import BrokerRefused

log = structlog.get_logger(__name__)

_OTHER_TYPE = re.compile(r"inequivalent arg 'type'.*current is '?([\w-]+)", re.DOTALL)
"""The text of RabbitMQ's error 406."""

_IMPOSSIBLE = {"x-expires": -1}
"""Arguments that RabbitMQ refuses for any queue."""


def declare(connection: Any, queues: Sequence[Queue]) -> None:
    """Declare `queues` with their exchanges and bindings over an open kombu connection.

    A queue that exists with other properties is used as it is, with a warning in the log: a producer's library may have
    made it before the first worker came, and refusing it would stop every worker. A queue that the user may not declare
    must exist. Raises BrokerRefused if it does not, or if an exchange has another type, which would route messages
    elsewhere; otherwise what the library raises.
    """
    if not queues:
        return
    # py-amqp opens the channel again after the broker has closed it because of an error.
    channel = connection.channel()
    for queue in queues:
        bound = queue(channel)
        _made(f"queue {queue.name!r}", bound.queue_declare)
        if queue.exchange.name:
            _made(f"exchange {queue.exchange.name!r}", bound.exchange.declare, queue.exchange)
            _bind(bound)
    channel.close()


def wrong_type(connection: Any, exchange: Exchange) -> str | None:
    """Return a text if an exchange has another type; None if not, or if it does not exist. Creates nothing."""
    bound = exchange(connection.default_channel)
    try:
        bound.declare(passive=True)
        bound.declare()
    except PreconditionFailed as error:
        return _type_told(exchange, error)
    except (NotFound, AccessRefused):
        return None
    return None


def may_make(connection: Any, name: str) -> bool:
    """Return whether the user may declare queue `name`, which does not exist. Creates nothing on RabbitMQ.

    RabbitMQ checks the user's rights first and then refuses the argument. A broker that does not know the argument
    creates a queue that it removes with the connection.
    """
    with connection.channel() as channel:
        try:
            channel.queue_declare(name, exclusive=True, arguments=_IMPOSSIBLE)
        except AccessRefused:
            return False
        except PreconditionFailed:
            return True
    return True


def _made(name: str, declare: Callable[..., object], exchange: Exchange | None = None) -> None:
    try:
        declare()
    except PreconditionFailed as error:
        if exchange is not None and (told := _type_told(exchange, error)):
            raise BrokerRefused(told) from error
        log.warning("queue.declared_otherwise", queue=name, problem=error.reply_text)
    except AccessRefused:
        try:
            declare(passive=True)
        except NotFound as error:
            raise BrokerRefused(f"{name} does not exist, and the user may not create it") from error


def _bind(queue: Any) -> None:
    try:
        queue.queue_bind()
    except AccessRefused:
        # If the queue is not bound, the broker returns what is sent to it.
        log.debug("queue.not_bound", queue=queue.name)


def _type_told(exchange: Exchange, error: PreconditionFailed) -> str | None:
    found = _OTHER_TYPE.search(str(error.reply_text))
    if found is None:
        return None
    return (
        f"exchange {exchange.name!r} is of type {found[1]!r} and must be of type {exchange.type!r}; "
        "delete it, and the next worker creates it with the right type"
    )
