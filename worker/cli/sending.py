"""Jobs on their way to the broker, with progress, and one that is waited for."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import click

from worker.cli import places
from worker.cli.output import console, print_json, say
from worker.cli.results import describe
from worker.events import Status
from worker.jobs import Job, mask
from worker.settings import Settings
from worker.state.views import JobView, JobViews

POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Sent:
    """What is told of a job that the broker has; `phone` is masked."""

    id: str
    account: str
    country: str
    phone: str

    @classmethod
    def of(cls, job: Job) -> Sent:
        return cls(job.id, job.account, job.country, mask(job.phone))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def send(broker_url: str, jobs: Sequence[Job], *, progress: bool = False) -> None:
    """Send all jobs; with `progress` tell standard error how far it is. Raises BrokerUnavailable."""
    from worker.producer import Producer

    with Producer(broker_url) as producer:
        if not progress:
            producer.enqueue_many(jobs)
            return
        with _progress(len(jobs)) as tell:
            producer.enqueue_many(jobs, progress=tell)


def wait_for_end(settings: Settings, job: Job, *, as_json: bool) -> int:
    """Print the job's event when it has ended; 0 if it was placed, else 1.

    Raises click.ClickException where another job has its id.
    """
    with places.store(settings) as client:
        view = _ended(JobViews(client), job)
    if as_json:
        print_json(view.event)
    else:
        say(describe(json.dumps(view.event)))
    return 0 if view.state == Status.PLACED else 1


def _ended(views: JobViews, job: Job) -> JobView:
    while True:
        view = views.find(job.id)
        if differs := views.differs(job):
            raise click.ClickException(
                f"conflict: the id {job.id!r} is another job's, which stands; this one was dropped, "
                f"for it differs in: {', '.join(differs)}"
            )
        if view is not None and view.account == job.account and view.ended:
            return view
        time.sleep(POLL_SECONDS)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], object]]:
    if not sys.stderr.isatty():
        yield lambda sent: say(f"{sent} of {total} jobs sent", err=True)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True)) as bar:
        task = bar.add_task("sending", total=total)
        yield lambda sent: bar.update(task, completed=sent)
