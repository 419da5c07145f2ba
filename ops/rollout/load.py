"""A steady load of jobs: of some accounts at a rate, of others as many as keep a number of jobs waiting."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Container, Mapping

from tests.faults.load import Load, Sent
from worker.producer import Producer

MAX_BEHIND_SECONDS = 1.0
"""What could not be sent in time is not made up for."""

TURN_SECONDS = 0.01
TRACED = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
"""A header that instrumented producers send. Workers that trace keep it with the job."""


class SteadyLoad:
    """Sends jobs in a thread of its own, each number once: with Celery, as plain JSON, and as this version's producer.

    `rates` are jobs per second by account, `waiting` how many jobs of an account are without an event at any time, and
    `endings` the last four digits of an account's numbers. `ended` has the ids of the jobs whose event came.
    """

    def __init__(
        self,
        broker_url: str,
        rates: Mapping[str, float],
        waiting: Mapping[str, int],
        endings: Mapping[str, str],
        ended: Container[str],
    ) -> None:
        self.jobs: list[Sent] = []
        self._rates, self._waiting, self._endings, self._ended = rates, waiting, endings, ended
        self._open: dict[str, list[str]] = {account: [] for account in waiting}
        self._foreign, self._own = Load(broker_url, TRACED), Producer(broker_url)
        self._serial = itertools.count(1)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more."""
        self._leaving.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._foreign.close()
        self._own.close()

    @property
    def fails(self) -> bool:
        """Whether the thread has ended by an error, of which it printed a traceback."""
        return not self._thread.is_alive() and not self._leaving.is_set()

    def _run(self) -> None:
        due = dict.fromkeys(self._rates, time.monotonic())
        while not self._leaving.wait(TURN_SECONDS):
            self._send_due(due)
            for account, most in self._waiting.items():
                still = [job_id for job_id in self._open[account] if job_id not in self._ended]
                still += [self._send(account) for _ in range(most - len(still))]
                self._open[account] = still

    def _send_due(self, due: dict[str, float]) -> None:
        for account, rate in self._rates.items():
            now = time.monotonic()
            due[account] = max(due[account], now - MAX_BEHIND_SECONDS)
            while due[account] <= now:
                due[account] += 1 / rate
                self._send(account)

    def _send(self, account: str) -> str:
        serial = next(self._serial)
        phone, job_id = f"{200_000 + serial}{self._endings[account]}", f"{account}-{serial}"
        job = {"id": job_id, "account": account, "country": "1", "phone": phone, "code": "4711"}
        unix = time.time()
        if serial % 3 == 0:
            self._own.enqueue(job)
        else:
            self._foreign.give(job, serial)
        self.jobs.append(Sent(job_id, account, phone, unix))
        return job_id
