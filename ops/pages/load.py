"""A steady load of jobs, for each account at a rate of its own, that goes on whatever becomes of the broker."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self

import kombu

from tests.faults.load import TROUBLE
from tests.integration.outside import Job, new_job

MOST_BEHIND_SECONDS = 1.0
"""What could not be sent in time is not made up for."""

Change = Callable[[Job], Job]


class Load:
    """Sends jobs to RabbitMQ's queue `calls.intake` in a thread of its own. A context manager.

    `rates` (jobs per second, by account) and `change`, which is applied to every job, may be replaced at any time.
    """

    def __init__(self, broker_url: str, rates: Mapping[str, float]) -> None:
        self.rates = dict(rates)
        self.change: Change = _as_it_is
        self._url, self._serial, self._leaving = broker_url, itertools.count(1), threading.Event()
        self._connection: Any = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join(5)

    def flood(self, account: str, count: int) -> None:
        """Send so many jobs of one account at once, beside the steady load. Raises what the broker's client raises."""
        with kombu.Connection(self._url) as connection:
            producer = connection.Producer()
            for _ in range(count):
                _publish(producer, json.dumps(self._job(account)))

    def send(self, body: str) -> None:
        """Send one message as it is. Raises what the broker's client raises."""
        with kombu.Connection(self._url) as connection:
            _publish(connection.Producer(), body)

    def _job(self, account: str) -> Job:
        return self.change(new_job(f"job-{next(self._serial)}", account))

    def _run(self) -> None:
        due = dict.fromkeys(self.rates, time.monotonic())
        while not self._leaving.wait(0.02):
            for account, rate in list(self.rates.items()):
                now = time.monotonic()
                due[account] = max(due.get(account, now), now - MOST_BEHIND_SECONDS)
                while rate > 0 and due[account] <= now:
                    due[account] += 1 / rate
                    self._try(account)

    def _try(self, account: str) -> None:
        try:
            _publish(self._live().Producer(), json.dumps(self._job(account)))
        except TROUBLE:
            connection, self._connection = self._connection, None
            with suppress(*TROUBLE):
                connection.collect(1)

    def _live(self) -> Any:
        if self._connection is None:
            connection = kombu.Connection(self._url, connect_timeout=2)
            connection.ensure_connection(max_retries=1, reraise_as_library_errors=False)
            self._connection = connection
        return self._connection


def _as_it_is(job: Job) -> Job:
    return job


def _publish(producer: Any, body: str) -> None:
    producer.publish(
        body,
        exchange="",
        routing_key="calls.intake",
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=2,
    )
