"""Declares queues on a broker, and lives with those that somebody else declared otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from amqp.exceptions import PreconditionFailed
from kombu import Queue

log = structlog.get_logger(__name__)


def declare(connection: Any, queues: Sequence[Queue]) -> None:
    """Declare `queues` with their exchanges and bindings over an open kombu connection.

    A queue that exists with other properties, made by a producer's library before the first worker came, is bound
    and used as it is: to refuse it would stop every worker.
    """
    if not queues:
        return
    channel = connection.channel()
    for queue in queues:
        try:
            queue(channel).queue_declare()
        except PreconditionFailed as problem:
            log.warning("queue.declared_otherwise", queue=queue.name, problem=problem.reply_text)
            # The broker has closed the old one over it.
            channel = connection.channel()
        if queue.exchange.name:
            queue.exchange(channel).declare()
            queue(channel).queue_bind()
    channel.close()
