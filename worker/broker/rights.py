"""Finds out whether RabbitMQ allows this user to take jobs and send events, without doing either.

RabbitMQ checks a user's rights first and the arguments second. Each request here has an argument that it refuses, so
nothing is taken or sent. Another broker might accept the argument, so it is not asked.

Source: `basic.consume` and `basic.publish` in RabbitMQ's rabbit_channel.erl.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import amqp
from amqp.exceptions import AccessRefused, PreconditionFailed
from kombu import Queue

from worker.errors import BrokerRefused


def try_rights(connection: Any, taken: Iterable[Queue], sent: Queue) -> None:
    """Check the rights to read the queues `taken` and to write to the exchange of `sent`.

    All of them must exist. `connection` is an open AMQP connection. Does nothing on a broker other than RabbitMQ.
    Raises BrokerRefused.
    """
    if connection.connection.server_properties.get("product") != "RabbitMQ":
        return
    try:
        for queue in taken:
            _try_to_read(connection, queue)
        _try_to_write(connection, sent)
    except AccessRefused as error:
        raise BrokerRefused(f"the user lacks a right: {error.reply_text}") from error


def _try_to_read(connection: Any, queue: Queue) -> None:
    with connection.channel() as channel:
        try:
            channel.basic_consume(queue.name, arguments={"x-priority": "none"})
        except PreconditionFailed:
            return


def _try_to_write(connection: Any, queue: Queue) -> None:
    with connection.channel() as channel:
        try:
            message = amqp.Message("", expiration="none")
            channel.basic_publish(message, exchange=queue.exchange.name, routing_key=queue.name)
            # RabbitMQ reports a refused message with its next answer.
            channel.queue_declare(queue.name, passive=True)
        except PreconditionFailed:
            return
