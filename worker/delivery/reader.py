"""Terminal events back from the results queue, for people at a terminal."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from worker.broker.connection import TIMEOUTS, Link, Timeouts, broker_errors
from worker.broker.queues import RESULTS
from worker.errors import BrokerUnavailable

POLL_SECONDS = 0.2

FIRST_SECONDS = 2.0
"""How long the first event is waited for: that of a job that has just ended may still be on its way."""


def read_results(
    broker_url: str,
    *,
    follow: bool = False,
    most: int | None = None,
    pause: Callable[[float], object] = time.sleep,
    queue_type: str | None = None,
    timeouts: Timeouts = TIMEOUTS,
) -> Iterator[str]:
    """Yield the body of each event in queue `results`, oldest first, `most` of them; with `follow`, wait for more. The
    first one is waited for a moment in any case.

    This consumes: an event that was read is gone for every other reader of that queue. A program that must
    see all events beside others binds a queue of its own to exchange `results`. An event is acknowledged
    when the next one is asked for; one that was yielded last before the iterator was closed goes back to
    the queue.

    Known weakness: on Redis a reader that is killed (not stopped) may take one event with it.

    Raises BrokerUnavailable, also in the middle, and ConfigurationError for an address no transport
    understands. `queue_type`: see `worker.broker.queues.of_type`.
    """
    link = Link(broker_url, [RESULTS], queue_type, timeouts=timeouts)
    try:
        left = math.inf if most is None else most
        patience = math.inf if follow else FIRST_SECONDS
        while left > 0:
            message = _next(link)
            if message is not None:
                left, patience = left - 1, patience if follow else 0.0
                yield from _handed_over(message)
            elif patience <= 0:
                return
            else:
                patience -= POLL_SECONDS
                pause(POLL_SECONDS)
    except BrokerUnavailable:
        link.abandon()
        raise
    finally:
        with suppress(BrokerUnavailable):
            link.close()


def peek_results(broker_url: str, most: int, queue_type: str | None = None) -> list[str]:
    """The bodies of the oldest events in queue `results`, `most` of them, oldest first; all of them stay in the queue.

    Known weakness: on AMQP they are taken and given back at once, which RabbitMQ counts as a redelivery, and another
    reader does not see them meanwhile.

    Raises BrokerUnavailable, and ConfigurationError for an address no transport understands.
    """
    link = Link(broker_url, [RESULTS], queue_type)
    try:
        with broker_errors("the results cannot be read"):
            return _stored(link, most) if link.is_redis else _borrowed(link, most)
    finally:
        with suppress(BrokerUnavailable):
            link.close()


def _stored(link: Link, most: int) -> list[str]:
    with link.redis_client() as client:
        rows = client.lrange(RESULTS.name, -most, -1)
    return [_text(link.channel.message_to_python(json.loads(row)).body) for row in reversed(rows)]


def _borrowed(link: Link, most: int) -> list[str]:
    """What is not acknowledged when the link is closed goes back to where it was."""
    queue = RESULTS.bind(link.channel)
    found = iter(lambda: queue.get(no_ack=False), None)
    return [_text(message.body) for message in islice(found, most)]


def _text(body: Any) -> str:
    return body if isinstance(body, str) else bytes(body).decode(errors="replace")


def _next(link: Link) -> Any:
    with broker_errors("the results cannot be read"):
        return RESULTS.bind(link.channel).get(no_ack=False)


def _handed_over(message: Any) -> Iterator[str]:
    try:
        yield _text(message.body)
    except BaseException:
        with broker_errors("the last event cannot be given back"):
            message.requeue()
        raise
    with broker_errors("the event cannot be acknowledged"):
        message.ack()
