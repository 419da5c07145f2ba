"""A consumer that stops waits for no broker for ever."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import amqp
import pytest
from celery.worker.consumer import Consumer

from worker.celery_edge.consumer import LEAVE_SECONDS, CallConsumer


def test_a_broker_that_hangs_does_not_keep_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """While RabbitMQ hung, a worker that was told to stop waited for its answers until it was killed."""
    sock, stopped = socket.socket(), list[float | None]()
    wire: Any = object.__new__(amqp.Connection)
    wire._transport = SimpleNamespace(sock=sock)
    consumer: Any = object.__new__(CallConsumer)
    consumer.controller = SimpleNamespace(engine=SimpleNamespace(begin_no_more_calls=lambda: None))
    consumer.connection = SimpleNamespace(connected=True, connection=wire)
    monkeypatch.setattr(Consumer, "stop", lambda _: stopped.append(sock.gettimeout()))
    with sock:
        consumer.stop()
    assert stopped == [LEAVE_SECONDS]
