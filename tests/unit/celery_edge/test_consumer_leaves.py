"""A consumer that starts or stops waits for no broker for ever."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import amqp
import pytest
from celery.worker.consumer import Consumer

from worker.broker.connection import TIMEOUTS
from worker.celery_edge import consumer
from worker.celery_edge.consumer import LEAVE_SECONDS, CallConsumer


def test_a_broker_that_hangs_does_not_keep_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """While RabbitMQ hung, a worker that was told to stop waited for its answers until it was killed."""
    sock, stopped = socket.socket(), list[float | None]()
    wire: Any = object.__new__(amqp.Connection)
    wire._transport = SimpleNamespace(sock=sock)
    leaving: Any = object.__new__(CallConsumer)
    leaving.controller = SimpleNamespace(engine=SimpleNamespace(begin_no_more_calls=lambda: None))
    leaving.connection = SimpleNamespace(connected=True, connection=wire)
    monkeypatch.setattr(Consumer, "stop", lambda _: stopped.append(sock.gettimeout()))
    with sock:
        leaving.stop()
    assert stopped == [LEAVE_SECONDS]


def test_a_broker_that_hangs_after_the_greeting_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that hung while the queues were declared kept the consumer, though others could be reached."""
    sock, declared = socket.socket(), list[float | None]()
    wire: Any = object.__new__(amqp.Connection)
    wire._transport = SimpleNamespace(sock=sock)
    starting: Any = object.__new__(CallConsumer)
    starting.app = SimpleNamespace(settings=SimpleNamespace(amqp_queue_type=None))
    starting.hub = None
    connection = SimpleNamespace(connection=wire, transport=SimpleNamespace(driver_type="amqp"))
    monkeypatch.setattr(consumer, "establish", lambda _: None)
    monkeypatch.setattr(consumer, "ease", lambda _: None)
    monkeypatch.setattr(consumer, "declare", lambda *_: declared.append(sock.gettimeout()))
    with sock:
        starting._prepare(connection)
        assert sock.gettimeout() == TIMEOUTS.answer_seconds, "the queues are consumed before the loop turns"
    assert declared == [TIMEOUTS.answer_seconds]
