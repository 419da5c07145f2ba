"""Declares queues on a broker, and lives with those that somebody else declared otherwise."""

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
"""Of RabbitMQ's 406."""

_IMPOSSIBLE = {"x-expires": -1}


def declare(connection: Any, queues: Sequence[Queue]) -> None:
    """Declare `queues` with their exchanges and bindings over an open kombu connection.

    What exists with other properties, made by a producer's library before the first worker came, is used as it is: to
    refuse it would stop every worker. What the user may not declare must be there. Raises BrokerRefused where it is
    not, or where an exchange has another type, which would lead messages elsewhere; else what the library raises.
    """
    if not queues:
        return
    # py-amqp opens a channel again that the broker has closed over an error.
    channel = connection.channel()
    for queue in queues:
        bound = queue(channel)
        _made(f"queue {queue.name!r}", bound.queue_declare)
        if queue.exchange.name:
            _made(f"exchange {queue.exchange.name!r}", bound.exchange.declare, queue.exchange)
            _bind(bound)
    channel.close()


def wrong_type(connection: Any, exchange: Exchange) -> str | None:
    """In words, that an exchange has another type; None where it has not, or is not there. Makes none."""
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
    """Whether the user may declare queue `name`, which is not there. Makes none.

    RabbitMQ looks at the user's rights first, and refuses the argument then. A broker that knows no such argument makes
    a queue that goes with the connection.
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
            raise BrokerRefused(f"{name} is not there, and the user may not configure it") from error


def _bind(queue: Any) -> None:
    try:
        queue.queue_bind()
    except AccessRefused:
        # What is sent is returned if it is not bound.
        log.debug("queue.not_bound", queue=queue.name)


def _type_told(exchange: Exchange, problem: PreconditionFailed) -> str | None:
    found = _OTHER_TYPE.search(str(problem.reply_text))
    if found is None:
        return None
    return (
        f"exchange {exchange.name!r} is of type {found[1]!r} and must be of type {exchange.type!r}; "
        "delete it, and the next worker makes it as it must be"
    )
