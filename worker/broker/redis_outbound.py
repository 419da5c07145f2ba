"""Puts messages into kombu's lists in Redis, in kombu's own form.

kombu's producer writes the same, but takes several times as long, and gives way to other threads for the random tag of
each message. kombu's channel still decides where messages go.
"""

from __future__ import annotations

import itertools
import json
import uuid
from base64 import b64encode
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from redis.exceptions import ResponseError

from callworker.replicas import shortfall, wait_command
from worker.broker.connection import Bindings
from worker.broker.message import PERSISTENT, Message
from worker.broker.queues import is_listener
from worker.redisio.connection import SOCKET_SECONDS

NORMAL_PRIORITY = 0
"""The priority of every message; kombu has one list for each priority of a queue."""


class RedisOutbound:
    """Appends batches to the lists of the queues that their exchanges name, over the channel's connections.

    Raises what redis-py raises; then none, some or all may be out. For one thread only.
    """

    def __init__(self, channel: Any, replicas: int = 0, answer_seconds: float = SOCKET_SECONDS) -> None:
        """`channel` is one of kombu's Redis transport. `replicas` of the server must have a batch, see `send`."""
        self._channel, self._replicas, self._answer_seconds = channel, replicas, answer_seconds
        self._tags = map(f"{uuid.uuid4()}-{{}}".format, itertools.count())

    def send(self, batch: Sequence[Message], bindings: Bindings) -> None:
        """Send the batch in one round trip. Keeps the order within a queue; drops a message for which none is bound.

        Returns once as many replicas have it as must.
        """
        queues_of = cache(partial(self._queues, bindings))
        lists: dict[str, list[str]] = {}
        for message in batch:
            packed = envelope(message, next(self._tags))
            for queue in queues_of(message.exchange, message.routing_key):
                lists.setdefault(queue, []).append(packed)
        with self._channel.conn_or_acquire() as client, client.pipeline(transaction=False) as pipeline:
            for queue, messages in lists.items():
                # The list of a listener that was killed has expired, and is not to be made again.
                add = pipeline.lpushx if is_listener(queue) else pipeline.lpush
                add(queue, *messages)
            if self._replicas:
                pipeline.execute_command(*wait_command(self._replicas, self._answer_seconds))
            replies = pipeline.execute(raise_on_error=False)
            for queue, reply in zip(lists, replies[: len(lists)], strict=True):
                if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
                    raise ResponseError(f"WRONGTYPE: a key has another type than it should: {queue}")
                if isinstance(reply, Exception):
                    raise reply
            if self._replicas and (problem := shortfall(replies[-1], self._replicas)):
                raise problem

    def _queues(self, bindings: Bindings, exchange: str, routing_key: str) -> list[str]:
        if not exchange:
            return [routing_key]
        kind = self._channel.typeof(exchange)
        return sorted(kind.lookup(bindings(exchange), exchange, routing_key, None))


def envelope(message: Message, tag: str) -> str:
    """Return a JSON message in the form in which kombu's Redis channel puts it into a list; `tag` must be unique.

    Source: `prepare_message` and `_inplace_augment_message` in kombu/transport/virtual/base.py, kombu 5.
    """
    return json.dumps({
        "body": b64encode(message.body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": dict(message.headers),
        "properties": {
            **message.properties,
            "delivery_mode": PERSISTENT,
            "delivery_info": {"exchange": message.exchange, "routing_key": message.routing_key},
            "priority": NORMAL_PRIORITY,
            "body_encoding": "base64",
            "delivery_tag": tag,
        },
    })  # fmt: skip
