"""A producer and subscriber as an outsider would write them: from the public contract, with stock libraries only."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import amqp
import kombu
import redis
from celery import Celery
from kombu.message import Message

from tests.processes import START_SECONDS, wait_until

RESULTS = kombu.Queue("results", kombu.Exchange("results", type="topic", durable=True), "#", durable=True)

Job = dict[str, Any]
_phones = itertools.count(3_125_005_000)


def new_job(job_id: str, account: str = "acme", **more: Any) -> Job:
    """Return a valid job for a number that no other job of this test run has."""
    return {
        "id": job_id,
        "account": account,
        "country": "1",
        "phone": str(next(_phones)),
        "code": "4711",
        **more,
    }


def in_seconds(seconds: float) -> str:
    """Return the time so many seconds from now, in RFC 3339."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@dataclass(frozen=True)
class Delivered:
    """One message of queue `results`: its bytes, the event in them, when it came (Unix seconds), and its headers."""

    body: bytes
    routing_key: str
    content_type: str
    event: dict[str, Any]
    unix: float
    headers: dict[str, Any]


class Outside:
    """Sends jobs by every way in, and collects the messages of queue `results` in a thread. A context manager.

    `delivered` has the messages by the job's id, and those that tell of no job by the event's type.
    """

    def __init__(self, broker_url: str, redis_url: str) -> None:
        self.broker_url = broker_url
        self.redis = redis.Redis.from_url(redis_url)
        self.celery = Celery("somebody-else", broker=broker_url, set_as_current=False)
        self.delivered: dict[str, list[Delivered]] = {}
        self._leaving, self._wanted, self._idle = threading.Event(), threading.Event(), threading.Event()
        self._wanted.set()
        self._reader = threading.Thread(target=self._read, name="results", daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._reader.join()
        self.celery.close()
        self.redis.close()

    def send(self, *jobs: Job) -> None:
        """Send jobs with Celery's own `send_task`, from an app that knows nothing of the worker's code."""
        with self.celery.connection_for_write() as connection:
            for job in jobs:
                self.celery.send_task("calls.verify", kwargs=job, queue="calls", connection=connection)

    def stream(self, *jobs: Job) -> None:
        """Send jobs with `XADD calls.intake * job …`, in one round trip."""
        pipeline = self.redis.pipeline(transaction=False)
        for job in jobs:
            pipeline.xadd("calls.intake", {"job": json.dumps(job)})
        pipeline.execute()

    def publish(self, queue: str, body: bytes | str, content_type: str | None, **headers: Any) -> None:
        """Send one message directly to `queue`, as it is."""
        with kombu.Connection(self.broker_url) as connection:
            connection.Producer().publish(
                body,
                exchange="",
                routing_key=queue,
                content_type=content_type,
                content_encoding="utf-8",
                headers=headers,
            )

    def plain(self, *jobs: Job) -> None:
        """Send jobs as plain JSON, by the broker's own way: the stream on Redis, queue `calls.intake` on RabbitMQ."""
        if not self.broker_url.startswith("amqp"):
            self.stream(*jobs)
            return
        for job in jobs:
            self.publish("calls.intake", json.dumps(job), "application/json")

    def event(self, job_id: str) -> dict[str, Any]:
        """Return the event of a job; all its repeats must be the same bytes."""
        bodies = {delivered.body for delivered in self.delivered[job_id]}
        assert len(bodies) == 1, f"{job_id} has {len(bodies)} different events"
        return self.delivered[job_id][0].event

    def wait(self, ids: Iterable[str], seconds: float = START_SECONDS) -> dict[str, dict[str, Any]]:
        """Wait for the events of these jobs, and return them by job id."""
        wanted = list(ids)
        self.wait_until(lambda: all(job_id in self.delivered for job_id in wanted), wanted, seconds)
        return {job_id: self.event(job_id) for job_id in wanted}

    def wait_until(self, holds: Callable[[], bool], wanted: list[str], seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not holds():
            missing = [job_id for job_id in wanted if job_id not in self.delivered]
            assert time.monotonic() < ends, f"no event within {seconds} s for {missing[:20]}"
            time.sleep(0.02)

    def dead_letters(self) -> list[dict[str, Any]]:
        letters: Any = self.redis.lrange("callworker:dead", 0, -1)
        return [json.loads(letter) for letter in letters]

    def wait_for_dead_letters(self, count: int) -> list[dict[str, Any]]:
        wait_until(lambda: len(self.dead_letters()) >= count, f"{count} dead letters")
        return self.dead_letters()

    @contextmanager
    def not_reading(self) -> Iterator[None]:
        """Stop reading results: kombu's reader on Redis can lose a message that it takes as the server ends."""
        self._wanted.clear()
        assert self._idle.wait(START_SECONDS)
        try:
            yield
        finally:
            self._wanted.set()

    def _read(self) -> None:
        while not self._leaving.is_set():
            self._idle.clear()
            try:
                self._consume()
            except (OSError, amqp.AMQPError, kombu.exceptions.OperationalError, redis.exceptions.RedisError):
                self._leaving.wait(0.2)
            self._idle.set()
            while not (self._wanted.wait(0.2) or self._leaving.is_set()):
                continue

    def _consume(self) -> None:
        with kombu.Connection(self.broker_url) as connection, self._consumer(connection):
            while self._wanted.is_set() and not self._leaving.is_set():
                try:
                    connection.drain_events(timeout=0.2)
                except TimeoutError:
                    continue

    def _consumer(self, connection: kombu.Connection) -> kombu.Consumer:
        return kombu.Consumer(connection.channel(), [RESULTS], on_message=self._take, accept=["json"])

    def _take(self, message: Message) -> None:
        now = time.time()
        body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
        event = json.loads(body)
        key = str(message.delivery_info["routing_key"])
        delivered = Delivered(body, key, str(message.content_type), event, now, dict(message.headers))
        name = event["data"]["id"] if event["type"].startswith("call.") else event["type"]
        self.delivered.setdefault(name, []).append(delivered)
        message.ack()
