"""Jobs in, for producers in Python.

    from worker.producer import Producer, enqueue, enqueue_many

    enqueue({"account": "acme", "country": "1", "phone": "2125550123", "code": "4711"})

    with Producer() as producer:        # one connection for many calls
        producer.enqueue_many(jobs, progress=print)

Jobs travel as Celery messages for task `calls.verify`, each in the queue of its account's shard, `calls.0` to
`calls.15`. Workers take from these in turn, so that one account's flood does not lie before all others' jobs. A
worker that is older than these queues leaves alone what is in them: upgrade the workers first.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Any, Self

from celery import Celery

from worker.broker import address
from worker.broker.message import Message
from worker.broker.publisher import Publisher
from worker.broker.queues import TASK_NAME, queue_of
from worker.core.jobs import ID_PATTERN, Job
from worker.errors import BrokerUnavailable, InvalidJob
from worker.settings import Settings

CHUNK = 500
"""Jobs that are on their way to the broker at once."""
HIDDEN = "(hidden)"

JobLike = Job | Mapping[str, Any]

_celery = Celery("callworker.producer", set_as_current=False)


def enqueue(job: JobLike, *, broker_url: str | None = None) -> str:
    """Send one job; its id. Opens a connection of its own: for many jobs use `enqueue_many` or a Producer.

    See `Producer.enqueue` for the job and the errors, `Producer` for the broker.
    """
    with Producer(broker_url) as producer:
        return producer.enqueue(job)


def enqueue_many(jobs: Iterable[JobLike], *, broker_url: str | None = None) -> list[str]:
    """Send many jobs over one connection; their ids in the same order. See `Producer.enqueue_many`."""
    with Producer(broker_url) as producer:
        return producer.enqueue_many(jobs)


class Producer:
    """Sends jobs over one connection, which is made at the first job and again when it was lost.
    Thread-safe.

    The broker is `broker_url`, else BROKER_URL, else REDIS_URL, else the embedded server's address, which
    must be running. With PROXSTOP_EXTENDED=on the fields of the provider's older page are taken too, as the
    worker does. Not to be carried over a fork. Raises ConfigurationError for a wrong setting.
    """

    def __init__(self, broker_url: str | None = None) -> None:
        settings = Settings.from_env()
        self._extended = settings.extended
        url, queue_type = broker_url or address.broker_url(settings), settings.amqp_queue_type
        self._publisher = Publisher(url, [], queue_type)
        self._lock = threading.Lock()

    def enqueue(self, job: JobLike) -> str:
        """Check and send one job, a Job or its fields as in the contract; its id, made up if it has none.

        Raises InvalidJob, whose text names each wrong field and holds no values; nothing was sent then.
        Raises BrokerUnavailable when the broker did not confirm: the job may be there or not, so send it
        again with the same id, which is one call however often it is sent.
        """
        checked = self._checked(job)
        self._send([checked])
        return checked.id

    def enqueue_many(
        self, jobs: Iterable[JobLike], *, progress: Callable[[int], object] | None = None
    ) -> list[str]:
        """Check every job, then send them all; their ids in the same order.

        Nothing is sent unless every job is valid, so all of them are held in memory. Give ids to what may have to be
        sent again: those made up here are not known where this raises. `progress` is called
        after each part with the number of jobs sent so far. Raises InvalidJob for the first one that is
        wrong, with its place (from 0) and its id if that can be read; BrokerUnavailable as `enqueue` does,
        with some jobs sent and some not.
        """
        checked = [self._checked_at(place, job) for place, job in enumerate(jobs)]
        rest, sent = iter(checked), 0
        while chunk := list(islice(rest, CHUNK)):
            self._send(chunk)
            sent += len(chunk)
            if progress is not None:
                progress(sent)
        return [job.id for job in checked]

    def close(self) -> None:
        """Close the connection. Never raises for a broker that is away."""
        with self._lock:
            self._publisher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _checked(self, job: JobLike) -> Job:
        if isinstance(job, Job):
            return job
        if job.get("id") is None:
            job = {**job, "id": f"job_{uuid.uuid4().hex}"}
        return Job.parse(job, extended=self._extended)

    def _checked_at(self, place: int, job: JobLike) -> Job:
        try:
            return self._checked(job)
        except InvalidJob as error:
            raise InvalidJob(error.code, f"{_name(place, job)} is not valid", error.fields) from None

    def _send(self, jobs: list[Job]) -> None:
        messages, queues = [_message(job) for job in jobs], {queue_of(job.account) for job in jobs}
        with self._lock:
            # A connection that stood idle may have gone unnoticed; a fresh one tells whether the broker is there.
            if self._publisher.connected:
                with suppress(BrokerUnavailable):
                    return self._publisher.publish(messages, queues)
            return self._publisher.publish(messages, queues)


def _name(place: int, job: JobLike) -> str:
    given = job.get("id") if isinstance(job, Mapping) else None
    readable = isinstance(given, str) and ID_PATTERN.fullmatch(given)
    return f"job {place} ({given})" if readable else f"job {place}"


def _message(job: Job) -> Message:
    """The job as a Celery message of protocol 2; neither its headers nor any log of them show the arguments."""
    task = _celery.amqp.as_task_v2(
        job.id,
        TASK_NAME,
        kwargs=job.model_dump(mode="json", exclude_none=True),
        ignore_result=True,
        argsrepr=HIDDEN,
        kwargsrepr=HIDDEN,
    )
    body = json.dumps(task.body, ensure_ascii=False, separators=(",", ":")).encode()
    return Message(body, queue_of(job.account).name, headers=task.headers, properties=task.properties)
