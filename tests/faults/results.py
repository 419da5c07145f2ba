"""An independent reader of queue `results` that loses no event itself."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import kombu
import redis

from tests.faults.load import TROUBLE
from tests.integration.outside import RESULTS

Take = Callable[[bytes, float], None]
"""Given an event's bytes and when they came (Unix seconds)."""


class ResultsReader:
    """Reads in a thread, through every outage of its broker. A context manager.

    On RabbitMQ it is a plain kombu consumer that acknowledges what it has. On Redis it reads kombu's list directly
    and trims it afterwards, because kombu's consumer may lose a message when the server crashes.
    """

    def __init__(self, broker_url: str, take: Take) -> None:
        self._url, self._take = broker_url, take
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="results", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join(30)

    def _run(self) -> None:
        read = self._read_amqp if self._url.startswith("amqp") else self._read_redis
        while not self._leaving.is_set():
            try:
                read()
            except TROUBLE:
                self._leaving.wait(0.2)

    def _read_amqp(self) -> None:
        with kombu.Connection(self._url, connect_timeout=5, heartbeat=10) as connection:
            consumer = kombu.Consumer(
                connection.channel(), [RESULTS], on_message=self._arrived, accept=["json"], prefetch_count=200
            )
            with consumer:
                while not self._leaving.is_set():
                    _drain(connection)

    def _arrived(self, message: Any) -> None:
        body = message.body
        self._take(body.encode() if isinstance(body, str) else bytes(body), time.time())
        message.ack()

    def _read_redis(self) -> None:
        with redis.Redis.from_url(self._url, socket_timeout=20) as client:
            while not self._leaving.is_set():
                found: Any = client.lrange("results", -200, -1)
                for raw in reversed(found):
                    self._take(_body(raw), time.time())
                if found:
                    client.ltrim("results", 0, -len(found) - 1)
                else:
                    self._leaving.wait(0.05)


def _drain(connection: Any) -> None:
    connection.heartbeat_check()
    try:
        connection.drain_events(timeout=0.5)
    except TimeoutError:
        return


def _body(raw: bytes) -> bytes:
    """Return the event in a message as kombu stores it."""
    document = json.loads(raw)
    body: str = document["body"]
    encoded = document.get("properties", {}).get("body_encoding") == "base64"
    return base64.b64decode(body) if encoded else body.encode()
