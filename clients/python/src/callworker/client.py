"""Sends jobs, takes them back, and listens to what becomes of them.

from callworker import Client, Job

with Client("redis://localhost:6379/0") as client:
    client.enqueue(Job("acme", "1", "2125550123", "4711", id="order-4711"))
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from callworker.events import Event
from callworker.job import JobLike, checked, checked_all, checked_names
from callworker.link import link_to
from callworker.message import Message, cancel_message, verify_message
from callworker.reading.connecting import Reading
from callworker.reading.iterating import Events

CHUNK = 500
"""Jobs that are sent to the broker together."""


class Client:
    """Sends jobs over one connection. It connects at the first job, and again after the connection was lost.

    A client is made once and used for as long as the program runs. It is safe over threads, which take turns, and over
    a fork: the child makes a connection of its own.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        timeout: float = 5.0,
        extended: bool = False,
        queue_type: str | None = None,
        replicas: int = 0,
    ) -> None:
        """`url` is the workers' broker: redis://, rediss://, redis+sentinel://, unix://, amqp:// or amqps://.

        Without it, BROKER_URL counts, or REDIS_URL. Several addresses, separated by `;`, are tried in turn. `timeout`
        is the longest wait in seconds for a connection, and for an answer; a call waits for at most a few of both.
        `extended` allows what only the provider's older page has, as PROXSTOP_EXTENDED does for the workers.
        `queue_type` is the workers' AMQP_QUEUE_TYPE, if that is set. `replicas` is their REDIS_REPLICAS: so many
        replicas of a Redis must have a job before it counts as sent, so that a failover does not forget it. Raises
        ConfigurationError.
        """
        self.extended = extended
        self._link = link_to(url, timeout, queue_type, replicas)
        self._reading = Reading(url, timeout, queue_type)
        self._lock = threading.Lock()
        _clients.add(self)

    def check(self, job: JobLike) -> dict[str, str]:
        """Check a job without sending it, and return its fields as they would be sent. Raises InvalidJob."""
        return checked(job, extended=self.extended)

    def enqueue(self, job: JobLike) -> str:
        """Check and send one job and return its id. A job without an id gets a random one.

        Raises InvalidJob, whose text names each wrong field without its value; nothing was sent then. Raises
        BrokerUnavailable if the broker did not confirm the job. It may have arrived or not, so send it again with the
        same id: one id is one call, however often it is sent.
        """
        fields = self.check(job)
        self.send_checked([fields])
        return fields["id"]

    def enqueue_many(
        self, jobs: Iterable[JobLike], *, progress: Callable[[int], object] | None = None
    ) -> list[str]:
        """Check all jobs, then send them, and return their ids in the same order.

        Nothing is sent unless every job is valid, so all jobs are held in memory. Give an id to each job that you may
        have to send again: random ids are lost if this raises. `progress` is called after each part with the number of
        jobs sent so far. Raises InvalidJob for the first wrong job, with its place (from 0) and its id if that is
        readable. Raises BrokerUnavailable as `enqueue` does; some jobs may have been sent then.
        """
        fields = checked_all(jobs, self.check)
        for start in range(0, len(fields), CHUNK):
            part = fields[start : start + CHUNK]
            self.send_checked(part)
            if progress is not None:
                progress(start + len(part))
        return [each["id"] for each in fields]

    def send_checked(self, jobs: Sequence[Mapping[str, str]]) -> None:
        """Send jobs together, each as the fields that `check` has returned. Raises BrokerUnavailable as `enqueue`."""
        self._send([verify_message(fields) for fields in jobs])

    def cancel(self, job_id: str, *, account: str | None = None) -> None:
        """Ask the workers to take back a job that waits. Its event tells what became of it.

        A job that was taken back ends as `call.expired` with the error code CANCELED. One that is being dialled, or has
        ended, goes on as if nothing had been asked, and event `job.not_canceled` says so. With `account` the job must
        be that account's. Raises InvalidJob if it is no id, and BrokerUnavailable as `enqueue` does.
        """
        self._send([cancel_message(checked_names(job_id, account))])

    def events(
        self,
        types: str | Iterable[str] = "call.*",
        *,
        queue: str | None = None,
        timeout: float | None = None,
    ) -> Events:
        """Listen to the events of all jobs, from now on, over a connection of its own.

            with client.events() as events:
                for event in events: ...

        `types` are types of events, with `*` for one word and `#` for any: `"call.*"` has how jobs ended, `"job.*"`
        conflicts and cancels that changed nothing. The iteration ends when no event came for `timeout` seconds, and
        never without one.

        By default the queue is this reader's own: each reader gets every event while it listens, at most once. With
        `queue`, a name such as `"results.orders"`, the queue is made once and kept by the broker. Readers with the same
        name share its events, and none is lost while no program reads: each comes at least once, and is done when the
        loop asks for the next one. Drop repeats by `event.id`.

        After an outage it connects again, and says both in the log `callworker`. Events of the meantime may be missed
        unless there is a `queue`. Raises BrokerUnavailable if the broker is away at the beginning or when `timeout` is
        over, BrokerRefused if it refuses, and ConfigurationError for wrong types or names.

        Known weakness: on Redis, a loop that takes longer than a minute for one event loses its own queue, or gives the
        event of a shared one to another reader. On RabbitMQ, a network that falls silent is noticed after minutes.
        """
        return self._reading.events(types, queue, timeout)

    def call(self, job: JobLike, *, timeout: float | None = 60.0) -> Event | None:
        """Send one job and wait for the event that tells how it ended; None if it did not come in `timeout` seconds.

        For tests, scripts and commands. A web server sends the job, answers, and reads events in another place. A
        repeat of a job that has ended has no new event. Raises as `enqueue` and `events` do.
        """
        with self.events() as events:
            return events.wait(self.enqueue(job), timeout)

    def close(self) -> None:
        """Close the connection; the next job makes a new one. Never raises, even if the broker cannot be reached."""
        with self._lock:
            self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, messages: Sequence[Message]) -> None:
        with self._lock:
            self._link.send(messages)

    def _forked(self) -> None:
        # Another thread of the parent may have held the lock, and the connection is the parent's.
        self._lock = threading.Lock()
        self._link.forget()


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
