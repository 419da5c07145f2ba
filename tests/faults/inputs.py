"""Hostile messages among other jobs: no worker may crash on them."""

from __future__ import annotations

import json
import random
import struct
import uuid
from collections.abc import Callable
from functools import partial

import kombu
import redis

from tests.faults.cell import Cell, alone, meanwhile
from tests.faults.run import Run

BOMB = b"code=" * 12_000
HUGE = json.dumps({"id": "x" * 8_000_000}).encode()
MESSAGES = 8
QUEUES = ("calls", "calls.intake", *(f"calls.{shard}" for shard in range(16)))


def _property(bit: int, value: bytes) -> bytes:
    """Return an AMQP property list with only the property of this flag."""
    return struct.pack(">H", 1 << bit) + value


def _nested_tables(depth: int) -> bytes:
    table = struct.pack(">I", 0)
    for _ in range(depth):
        entry = b"\x01aF" + table
        table = struct.pack(">I", len(entry)) + entry
    return table


UNDECODABLE = (
    _property(6, struct.pack(">Q", 1_764_000_000_000)),  # a timestamp in milliseconds
    _property(6, struct.pack(">Q", 2**60)),
    _property(10, bytes([16]) + uuid.UUID(int=2**128 - 1).bytes),  # a correlation_id that is no text
    _property(3, b"\x06caf\xe9 x"),  # an app_id in Latin-1
    _property(13, _nested_tables(1500)),
)
"""Property lists that RabbitMQ takes and py-amqp cannot read."""


def hostile_messages(broker: str, jobs: int) -> list[Cell]:
    """Return a cell for each kind of message; none of them touches workers or provider."""
    kinds: dict[str, Callable[[Run], None]] = {
        "bomb": lambda run: _send(run, BOMB),
        "huge": lambda run: _send(run, HUGE),
    }
    if broker == "amqp":
        kinds["undecodable"] = _send_undecodable
    return [
        alone(f"message.{name}", partial(meanwhile, send, jobs=jobs), unharmed=True, trials_per_drain=4)
        for name, send in kinds.items()
    ]


def _send(run: Run, body: bytes) -> None:
    """Send the same text several times, by every way that a producer has."""
    with kombu.Connection(run.bench.broker_url) as connection, connection.Producer() as producer:
        for queue in random.sample(QUEUES, MESSAGES):
            if queue == "calls.intake" and run.bench.rabbit is None:
                continue
            producer.publish(body, exchange="", routing_key=queue, content_type="application/json")
    if run.bench.rabbit is None:
        with redis.Redis.from_url(run.bench.broker_url) as client:
            client.xadd("calls.intake", {"job": body})
            client.lpush(random.choice(("calls", "calls.3")), body)


def _send_undecodable(run: Run) -> None:
    with kombu.Connection(run.bench.broker_url) as connection, connection.channel() as channel:
        for properties in UNDECODABLE:
            message = channel.prepare_message(b"{}", content_type="application/json")
            message._serialize_properties = lambda properties=properties: properties
            channel.basic_publish(message, exchange="", routing_key=random.choice(QUEUES))
