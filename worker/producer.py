"""Sends jobs with the settings of a worker. Programs in which no worker is installed use the client, `callworker`.

    from worker.producer import Producer, enqueue, enqueue_many

    enqueue({"account": "acme", "country": "1", "phone": "2125550123", "code": "4711"})

    with Producer() as producer:        # one connection for many calls
        producer.enqueue_many(jobs, progress=print)

Jobs are sent as Celery messages for the task `calls.verify`, each to the queue of its account's shard, `calls.0` to
`calls.15`. Workers take from these queues in turn, so that many jobs of one account do not delay all others. A worker
of a version before these queues does not read them: upgrade the workers first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

import callworker
from worker.broker import address
from worker.broker.connection import over_amqp
from worker.core.jobs import Job
from worker.errors import ConfigurationError
from worker.settings import Settings
from worker.tracing import installed

if TYPE_CHECKING:
    from worker.tracing.sending import SentJobs

ANSWER_SECONDS = 10.0
"""The longest wait for a connection and for an answer."""

JobLike: TypeAlias = Job | callworker.JobLike


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


class Producer(callworker.Client):
    """A client with the settings of a worker, which takes jobs that were checked before, too.

    The broker is `broker_url`, or BROKER_URL, or REDIS_URL, or else the embedded server, which must be running. With
    PROXSTOP_EXTENDED=on the fields of the provider's older page are accepted, as in the worker. With TRACING each job
    gets a span from the program's own OpenTelemetry. Raises ConfigurationError for a wrong setting.
    """

    def __init__(self, broker_url: str | None = None) -> None:
        settings = Settings.from_env()
        url = broker_url or address.broker_url(settings)
        try:
            super().__init__(
                url,
                timeout=ANSWER_SECONDS,
                extended=settings.extended,
                queue_type=settings.amqp_queue_type,
                replicas=settings.redis_replicas,
            )
        except ConfigurationError as error:
            raise error.under("BROKER_URL: ") from None
        self._spans = _spans(url) if settings.traced else None

    def check(self, job: JobLike) -> dict[str, str]:
        """Check a job without sending it, and return its fields as they would be sent. Raises InvalidJob."""
        if isinstance(job, Job):
            return job.model_dump(mode="json", exclude_defaults=True)
        return super().check(job)

    def enqueue(self, job: JobLike) -> str:
        """See `callworker.Client.enqueue`."""
        return super().enqueue(cast(callworker.JobLike, job))

    def enqueue_many(
        self, jobs: Iterable[JobLike], *, progress: Callable[[int], object] | None = None
    ) -> list[str]:
        """See `callworker.Client.enqueue_many`."""
        return super().enqueue_many(cast(Iterable[callworker.JobLike], jobs), progress=progress)

    def send_checked(self, jobs: Sequence[Mapping[str, str]]) -> None:
        """See `callworker.Client.send_checked`."""
        if self._spans is None:
            super().send_checked(jobs)
            return
        with self._spans.sent(jobs) as traced:
            super().send_checked(traced)


def _spans(url: str) -> SentJobs:
    installed.check_producer()
    # OpenTelemetry is imported only where it is used.
    from worker.tracing.sending import SentJobs  # noqa: PLC0415

    return SentJobs(system="rabbitmq" if over_amqp(url) else "redis")
