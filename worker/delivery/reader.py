"""Terminal events back from the results queue, for people at a terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from worker.broker.connection import Link, translated
from worker.errors import BrokerUnavailable
from worker.queues import RESULTS

POLL_SECONDS = 0.2


def read_results(
    broker_url: str,
    *,
    follow: bool = False,
    most: int | None = None,
    pause: Callable[[float], object] = time.sleep,
) -> Iterator[str]:
    """Yield the body of each event in queue `results`, oldest first, `most` of them; with `follow`, wait for more.

    This consumes: an event that was read is gone for every other reader of that queue. A program that must
    see all events beside others binds a queue of its own to exchange `results`. An event is acknowledged
    when the next one is asked for; one that was yielded last before the iterator was closed goes back to
    the queue.

    Known weakness: on Redis a reader that is killed (not stopped) may take one event with it.

    Raises BrokerUnavailable, also in the middle, and ConfigurationError for an address no transport
    understands.
    """
    link = Link(broker_url, [RESULTS])
    try:
        left = math.inf if most is None else most
        while left > 0:
            message = _next(link)
            if message is not None:
                left -= 1
                yield from _handed_over(message)
            elif follow:
                pause(POLL_SECONDS)
            else:
                return
    except BrokerUnavailable:
        link.abandon()
        raise
    finally:
        with suppress(BrokerUnavailable):
            link.close()


def _next(link: Link) -> Any:
    with translated("the results cannot be read"):
        return RESULTS.bind(link.channel).get(no_ack=False)


def _handed_over(message: Any) -> Iterator[str]:
    body = message.body
    try:
        yield body if isinstance(body, str) else bytes(body).decode(errors="replace")
    except BaseException:
        with translated("the last event cannot be given back"):
            message.requeue()
        raise
    with translated("the event cannot be acknowledged"):
        message.ack()
