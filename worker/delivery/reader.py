"""Reads terminal events from the results queue, for people at a terminal."""

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
"""How long to wait for the first event: that of a job that has just ended may still be on its way."""


def read_results(
    broker_url: str,
    *,
    follow: bool = False,
    most: int | None = None,
    pause: Callable[[float], object] = time.sleep,
    queue_type: str | None = None,
    timeouts: Timeouts = TIMEOUTS,
) -> Iterator[str]:
    """Yield the body of each event in queue `results`, oldest first, at most `most`. With `follow`, wait for more.

    Waits `FIRST_SECONDS` for the first event in any case. Reading consumes: an event that was read is gone for every
    other reader of the queue. A program that must see all events binds its own queue to the exchange `results`. An
    event is acknowledged when the next one is asked for. The last one before the iterator is closed goes back to the
    queue.

    Raises BrokerUnavailable, also between two events, and ConfigurationError for an address that no transport
    understands. `queue_type`: see `worker.broker.queues.of_type`. Known weakness: on Redis a reader that is killed (not
    stopped) may lose one event.
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
    """Return the bodies of the oldest events in queue `results`, at most `most`, oldest first. All stay in the queue.

    Raises BrokerUnavailable, and ConfigurationError for an address that no transport understands. Known weakness: on
    AMQP they are taken and given back at once, which RabbitMQ counts as a redelivery, and other readers do not see them
    meanwhile.
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
    """Take events without acknowledging them, so that they go back to their place when the link is closed."""
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
