"""Waits for one job to end, and says why if that takes long."""

from __future__ import annotations

import json
import time

import click

from worker.cli import places
from worker.cli.job import describe_wait
from worker.cli.output import print_json, say, span
from worker.cli.results import describe
from worker.core.events import Status
from worker.core.jobs import Job
from worker.settings import Settings
from worker.state.job_view import JobView
from worker.state.views import JobViews

POLL_SECONDS = 0.2

QUIET_SECONDS = 5.0
"""After this time the person is told why the job has not ended."""

NOT_TAKEN = "no worker has accepted it; if none is running, start one with `callworker run`"


def wait_for_end(settings: Settings, job: Job, *, timeout_seconds: float | None, as_json: bool) -> int:
    """Print the event of the job when it has ended. Returns 0 if the call was placed, otherwise 1.

    Raises click.ClickException if another job has the id, the job has not ended in time, or its event is dropped.
    """
    with places.store(settings) as client:
        view = _Wait(JobViews(client), job, timeout_seconds).ended()
    if view.event is None:
        raise click.ClickException(
            f"job {job.id} is a repeat: the first one ended as {view.state}, more than an hour ago, so its event "
            f"is dropped; `callworker job {job.id}` shows what is left"
        )
    if as_json:
        print_json(view.event)
    else:
        say(describe(json.dumps(view.event)))
    return 0 if view.state == Status.PLACED else 1


class _Wait:
    """Waits for the end of one job."""

    def __init__(self, views: JobViews, job: Job, timeout_seconds: float | None) -> None:
        self._views, self._job = views, job
        self._begun, self._timeout_seconds = time.monotonic(), timeout_seconds
        self._told: str | None = None

    def ended(self) -> JobView:
        """Wait until the job has ended, and return its view."""
        while True:
            found = self._views.find(self._job.id)
            self._refuse_conflict()
            view = found if found is not None and found.account == self._job.account else None
            if view is not None and view.ended:
                return view
            self._tell(view)
            time.sleep(POLL_SECONDS)

    def _refuse_conflict(self) -> None:
        if differs := self._views.differs(self._job):
            raise click.ClickException(
                f"conflict: another job has the id {self._job.id!r} already; this one was dropped, "
                f"because it differs in: {', '.join(differs)}"
            )

    def _tell(self, view: JobView | None) -> None:
        """Tell why the job has not ended, once for each reason. Raises ClickException when the time is up."""
        waited = time.monotonic() - self._begun
        if self._timeout_seconds is not None and waited >= self._timeout_seconds:
            raise click.ClickException(
                f"job {self._job.id} has not ended within {span(self._timeout_seconds)}: {_reason(view)}; "
                f"`callworker job {self._job.id}` shows its state"
            )
        kind = "not taken" if view is None else f"{view.state} {view.wait and view.wait.reason}"
        if waited > QUIET_SECONDS and kind != self._told:
            self._told = kind
            say(f"callworker: job {self._job.id}: {_reason(view)}", err=True)


def _reason(view: JobView | None) -> str:
    if view is None:
        return NOT_TAKEN
    return f"it waits for {describe_wait(view.wait)}" if view.wait else f"it is {view.state}"
