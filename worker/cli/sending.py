"""Sends jobs to the broker and shows the progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from worker.cli.failures import Interrupted
from worker.cli.output import console, print_json, say
from worker.core.jobs import Job, mask
from worker.errors import BrokerUnavailable


@dataclass(frozen=True, slots=True)
class Sent:
    """The facts that are printed about a job once the broker has it. `phone` is masked."""

    id: str
    account: str
    country: str
    phone: str

    @classmethod
    def of(cls, job: Job) -> Sent:
        return cls(job.id, job.account, job.country, mask(job.phone))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def tell(job: Job, *, as_json: bool) -> None:
    """Print the id of a job once the broker has it."""
    sent = Sent.of(job)
    print_json(sent.as_dict()) if as_json else say(sent.id)


def send(broker_url: str, jobs: Sequence[Job], *, progress: Callable[[int], object] | None = None) -> None:
    """Send all jobs. With `progress`, call it with the number that the broker has, and show that on standard error.

    Raises BrokerUnavailable.
    """
    from worker.producer import Producer

    with Producer(broker_url) as producer:
        if progress is None:
            producer.enqueue_many(jobs)
            return
        with _progress(len(jobs)) as tell:
            producer.enqueue_many(jobs, progress=lambda sent: (progress(sent), tell(sent)))


def send_all(broker_url: str, jobs: Sequence[Job], *, told: Callable[[Job], object], again: str) -> None:
    """Send all jobs, and call `told` for each that the broker has, also after an interruption.

    The error of an interruption says how many were sent, and then `again`. Raises BrokerUnavailable, Interrupted.
    """
    sent = 0

    def count(now: int) -> None:
        nonlocal sent
        sent = now

    try:
        send(broker_url, jobs, progress=count)
    except BrokerUnavailable as error:
        raise BrokerUnavailable(f"{str(error).rstrip('.')}; {_so_far(sent, len(jobs))}; {again}") from error
    except KeyboardInterrupt:
        raise Interrupted(f"{_so_far(sent, len(jobs))}; {again}") from None
    finally:
        for job in jobs[:sent]:
            told(job)


def _so_far(sent: int, total: int) -> str:
    return f"{sent:,} of {total:,} sent"


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
