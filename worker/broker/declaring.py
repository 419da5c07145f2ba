"""Declares queues on a broker, and lives with those that somebody else declared otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import structlog
from amqp.exceptions import PreconditionFailed
from kombu import Queue

log = structlog.get_logger(__name__)


def declare(connection: Any, queues: Sequence[Queue]) -> None:
    """Declare `queues` with their exchanges and bindings over an open kombu connection.

    A queue that exists with other properties, made by a producer's library before the first worker came, is bound
    and used as it is: to refuse it would stop every worker. From then on this process leaves its declaration alone.
    """
    for queue in queues:
        try:
            with connection.channel() as channel:
                queue(channel).queue_declare()
        except PreconditionFailed as problem:
            log.warning("queue.declared_otherwise", queue=queue.name, problem=problem.reply_text)
            cast(Any, queue).no_declare = True
        if queue.exchange.name:
            with connection.channel() as channel:
                _bind(queue(channel))


def _bind(queue: Queue) -> None:
    queue.exchange.declare()
    queue.queue_bind()
