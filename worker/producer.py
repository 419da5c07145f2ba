"""Sends jobs, for producers in Python.

    from worker.producer import Producer, enqueue, enqueue_many

    enqueue({"account": "acme", "country": "1", "phone": "2125550123", "code": "4711"})

    with Producer() as producer:        # one connection for many calls
        producer.enqueue_many(jobs, progress=print)

Jobs are sent as Celery messages for the task `calls.verify`, each to the queue of its account's shard, `calls.0` to
`calls.15`. Workers take from these queues in turn, so that many jobs of one account do not delay all others. A worker
of a version before these queues does not read them: upgrade the workers first.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from celery import Celery
from kombu import Queue

from worker.broker import address
from worker.broker.connection import over_amqp
from worker.broker.message import Message
from worker.broker.publisher import Publisher
from worker.broker.queues import CALLS, CANCEL_TASK_NAME, TASK_NAME, queue_of
from worker.core.jobs import ACCOUNT_PATTERN, ID_PATTERN, Job
from worker.errors import BrokerUnavailable, InvalidJob
from worker.settings import Settings
from worker.tracing import installed

if TYPE_CHECKING:
    from worker.tracing.sending import SentJobs

CHUNK = 500
"""Jobs that are sent to the broker together."""
HIDDEN = "(hidden)"

JobLike = Job | Mapping[str, Any]

_celery = Celery("callworker.producer", set_as_current=False)


def enqueue(job: JobLike, *, broker_url: str | None = None) -> str:
    """Send one job and return its id. Opens a new connection: for many jobs use `enqueue_many` or a Producer.

    See `Producer.enqueue` for the job and the errors, and `Producer` for the broker.
    """
    with Producer(broker_url) as producer:
        return producer.enqueue(job)


def enqueue_many(jobs: Iterable[JobLike], *, broker_url: str | None = None) -> list[str]:
    """Send many jobs over one connection and return their ids in the same order. See `Producer.enqueue_many`."""
    with Producer(broker_url) as producer:
        return producer.enqueue_many(jobs)


class Producer:
    """Sends jobs over one connection. It connects at the first job, and again after the connection was lost.

    The broker is `broker_url`, or BROKER_URL, or REDIS_URL, or else the embedded server, which must be running. With
    PROXSTOP_EXTENDED=on the fields of the provider's older page are accepted too, as in the worker. With TRACING each
    job gets a span from the program's own OpenTelemetry. A Producer is thread-safe, but must not be used after a fork.
    Raises ConfigurationError for a wrong setting.
    """

    def __init__(self, broker_url: str | None = None) -> None:
        settings = Settings.from_env()
        self._extended = settings.extended
        url, queue_type = broker_url or address.broker_url(settings), settings.amqp_queue_type
        self._publisher = Publisher(url, [], queue_type)
        self._spans = _spans(url) if settings.traced else None
        self._lock = threading.Lock()

    def enqueue(self, job: JobLike) -> str:
        """Check and send one job and return its id. The job is a Job, or its fields as in the contract.

        A job without an id gets a random one. Raises InvalidJob, whose text names each wrong field without its value;
        nothing was sent then. Raises BrokerUnavailable if the broker did not confirm the job. It may have arrived or
        not, so send it again with the same id: one id is one call, however often it is sent.
        """
        checked = self._checked(job)
        self._send([checked])
        return checked.id

    def enqueue_many(
        self, jobs: Iterable[JobLike], *, progress: Callable[[int], object] | None = None
    ) -> list[str]:
        """Check all jobs, then send them, and return their ids in the same order.

        Nothing is sent unless every job is valid, so all jobs are held in memory. Give an id to each job that you may
        have to send again: random ids are lost if this raises. `progress` is called after each part with the number of
        jobs sent so far. Raises InvalidJob for the first wrong job, with its place (from 0) and its id if that is
        readable. Raises BrokerUnavailable as `enqueue` does; some jobs may have been sent then.
        """
        checked = [self._checked_at(place, job) for place, job in enumerate(jobs)]
        rest, sent = iter(checked), 0
        while chunk := list(islice(rest, CHUNK)):
            self._send(chunk)
            sent += len(chunk)
            if progress is not None:
                progress(sent)
        return [job.id for job in checked]

    def cancel(self, job_id: str, *, account: str | None = None) -> None:
        """Ask the workers to take a job back: if it waits, it ends as `call.expired` with the code CANCELED.

        With `account` only a job of that account is taken back. If the job is being dialled or has ended, the event
        `job.not_canceled` says so. A cancel that comes before its job counts for an hour. Raises InvalidJob for an id
        or account that no job can have, and BrokerUnavailable as `enqueue` does.
        """
        wrong = (
            {} if ID_PATTERN.fullmatch(job_id) else {"id": "must be 1 to 64 characters of A-Z a-z 0-9 _ : -"}
        )
        if account is not None and not ACCOUNT_PATTERN.fullmatch(account):
            wrong["account"] = "must be the name of an account"
        if wrong:
            raise InvalidJob("INVALID_JOB", "the cancel is not valid", wrong)
        queue = CALLS if account is None else queue_of(account)
        fields = {"id": job_id} if account is None else {"id": job_id, "account": account}
        self._publish([_task(CANCEL_TASK_NAME, f"cancel_{uuid.uuid4().hex}", fields, queue)], {queue})

    def close(self) -> None:
        """Close the connection. Never raises, even if the broker cannot be reached."""
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
        queues = {queue_of(job.account) for job in jobs}
        if self._spans is None:
            self._publish([_message(job) for job in jobs], queues)
            return
        with self._spans.sent([(job, queue_of(job.account).name) for job in jobs]) as traced:
            self._publish([_message(job, headers) for job, headers in traced], queues)

    def _publish(self, messages: list[Message], queues: set[Queue]) -> None:
        with self._lock:
            # An idle connection may have been lost unnoticed; a new one shows whether the broker can be reached.
            if self._publisher.connected:
                with suppress(BrokerUnavailable):
                    return self._publisher.publish(messages, queues)
            return self._publisher.publish(messages, queues)


def _name(place: int, job: JobLike) -> str:
    given = job.get("id") if isinstance(job, Mapping) else None
    readable = isinstance(given, str) and ID_PATTERN.fullmatch(given)
    return f"job {place} ({given})" if readable else f"job {place}"


def _spans(url: str) -> SentJobs:
    installed.check_producer()
    # OpenTelemetry is imported only where it is used.
    from worker.tracing.sending import SentJobs  # noqa: PLC0415

    return SentJobs(system="rabbitmq" if over_amqp(url) else "redis")


def _message(job: Job, headers: Mapping[str, str] | None = None) -> Message:
    fields = job.model_dump(mode="json", exclude_none=True)
    return _task(TASK_NAME, job.id, fields, queue_of(job.account), headers)


def _task(
    name: str, task_id: str, kwargs: dict[str, Any], queue: Queue, headers: Mapping[str, str] | None = None
) -> Message:
    """A Celery message of protocol 2. Its headers, and so logs of them, do not show the arguments."""
    task = _celery.amqp.as_task_v2(
        task_id,
        name,
        kwargs=kwargs,
        ignore_result=True,
        argsrepr=HIDDEN,
        kwargsrepr=HIDDEN,
    )
    body = json.dumps(task.body, ensure_ascii=False, separators=(",", ":")).encode()
    return Message(
        body,
        queue.name,
        headers={**task.headers, **(headers or {})},
        properties=task.properties,
    )
