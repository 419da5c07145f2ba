"""Connects readers of events to a broker, by the same addresses as the clients that send jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from callworker.address import broker_urls, is_redis, needed, read
from callworker.errors import BrokerUnavailable
from callworker.reading.iterating import Events, Source
from callworker.reading.lists import queue_of
from callworker.reading.names import checked_queue, checked_types

Maker = Callable[[], Callable[..., Any]]
"""Imports what makes a source, and the library that it needs. Raises ConfigurationError if that is not installed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads events where a client sends jobs. `seconds` is the longest wait for an answer."""

    url: str | None
    seconds: float
    queue_type: str | None

    def events(self, types: str | Iterable[str], queue: str | None, timeout: float | None) -> Events:
        """See `Client.events`."""
        opens = self.opens(
            types,
            queue,
            lambda: needed("reading.redis_source", "redis").RedisSource,
            lambda: needed("reading.amqp_source", "amqp").AmqpSource,
        )
        return Events(partial(_first, opens), timeout=timeout, durable=queue is not None)

    def opens(
        self, types: str | Iterable[str], queue: str | None, in_redis: Maker, in_amqp: Maker
    ) -> list[Callable[[], Any]]:
        """Return a function for each address that makes a source there. Raises ConfigurationError."""
        wanted, named = checked_types(types), queue if queue is None else checked_queue(queue)
        name, urls = broker_urls(self.url)
        addresses = [read(url, name) for url in urls]
        if is_redis(urls[0]):
            make = partial(in_redis(), queue=queue_of(wanted, named))
        else:
            make = partial(in_amqp(), types=wanted, name=named, queue_type=self.queue_type)
        return [partial(make, address, self.seconds) for address in addresses]


def _first(opens: list[Callable[[], Source]]) -> Source:
    """Open the first source that can be opened. Raises the last one's BrokerUnavailable."""
    *others, last = opens
    for opened in others:
        with suppress(BrokerUnavailable):
            return opened()
    return last()
