"""Whether RabbitMQ lets this user take jobs and send events, found out without doing either.

RabbitMQ looks at a user's rights first and at the arguments then: each question here has an argument that it refuses,
so nothing is taken or sent. Another broker might not mind the argument, and is not asked.

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
    """Ask over an open AMQP connection for the rights to read `taken` and to write to the exchange of `sent`.

    All of them must exist. Raises BrokerRefused.
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
            # A refused message is told of with the next answer.
            channel.queue_declare(queue.name, passive=True)
        except PreconditionFailed:
            return
