"""Shows the progress of the demo: a live table on a terminal, otherwise a line every two seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.live import Live
from rich.table import Table

from worker.cli.demo.performance import Seen
from worker.cli.demo.scenario import Planned
from worker.cli.output import console, table
from worker.core.events import Status, event_type

LINE_EVERY_SECONDS = 2.0
COLUMNS = ("account", "jobs", "not ended", *(status.value for status in Status), "requests")

Show = Callable[[Seen], None]


@contextmanager
def display(jobs: Sequence[Planned], metrics_url: str) -> Iterator[Show]:
    """Yield the function that shows the progress on standard error."""
    out = console(stderr=True)
    if out.is_terminal:
        with Live(console=out, auto_refresh=False, transient=True) as live:
            yield lambda seen: live.update(_picture(jobs, seen, metrics_url), refresh=True)
    else:
        out.print(f"metrics while it runs: {metrics_url}")
        yield _Lines(len(jobs), lambda line: out.print(line, soft_wrap=True))


class _Lines:
    """Prints one line every two seconds."""

    def __init__(self, total: int, tell: Callable[[str], None]) -> None:
        self._total, self._tell, self._next_seconds = total, tell, 0.0

    def __call__(self, seen: Seen) -> None:
        if seen.seconds >= self._next_seconds:
            self._next_seconds = seen.seconds + LINE_EVERY_SECONDS
            self._tell(f"{seen.seconds:5.1f} s  {summary(self._total, seen)}")


def summary(total: int, seen: Seen) -> str:
    """The progress in one line."""
    requests = sum(map(len, seen.calls.values()))
    ended, webhooks = len(seen.events), len(seen.webhooks)
    return f"{ended} of {total} jobs ended, {requests} requests to the provider, {webhooks} webhooks"


def _picture(jobs: Sequence[Planned], seen: Seen, metrics_url: str) -> Table:
    accounts = dict.fromkeys(job.case.account for job in jobs)
    rows = (_row(account, [job for job in jobs if job.case.account == account], seen) for account in accounts)
    title = f"{seen.seconds:.0f} s: {summary(len(jobs), seen)}\nmetrics: {metrics_url}"
    return table(COLUMNS, rows, title=title)


def _row(account: str, jobs: Sequence[Planned], seen: Seen) -> list[object]:
    types = Counter(event["type"] for job in jobs for event in seen.events.get(job.id, {}).values())
    open_jobs = sum(job.id not in seen.events for job in jobs)
    requests = sum(len(seen.calls.get(job.phone, ())) for job in jobs)
    return [account, len(jobs), open_jobs, *(types[event_type(status)] for status in Status), requests]
