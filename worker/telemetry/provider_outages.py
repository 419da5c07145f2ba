"""Logs when the provider is away for an account, once, and when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from worker.core.jobs import Job
from worker.errors import CallError, Redial, Retry

TRIES, JOBS = 5, 3
"""An outage is at least so many fruitless tries in a row, of at least so many jobs: one number may have a fault of its
own. A try is fruitless if the provider neither accepted nor refused the job, nor said how long to wait."""

ANSWERS, QUIET_SECONDS = 10, 10.0
"""It is over with an answer that comes so long after the last fruitless try, or with so many answers in a row."""


@dataclass(slots=True)
class _Trouble:
    """Fruitless tries: how many, of which jobs (at most `JOBS`), since when and until when (monotonic s), and whether
    they were logged as an outage. `answers` counts those since the last of them."""

    since: float
    last: float = 0.0
    tries: int = 0
    jobs: set[str] = field(default_factory=set)
    told: bool = False
    answers: int = 0


class ProviderOutages:
    """Knows the accounts whose last tries were fruitless. Thread-safe. Each worker knows of its own tries only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._of_accounts: dict[str, _Trouble] = {}
        self._log = structlog.get_logger(__name__).bind()

    def failed(self, job: Job, error: CallError) -> None:
        """Note a try that ended with `error`."""
        if not _is_fruitless(error):
            return
        with self._lock:
            now = self._clock()
            trouble = self._of_accounts.setdefault(job.account, _Trouble(now))
            trouble.last, trouble.answers = now, 0
            trouble.tries += 1
            if len(trouble.jobs) < JOBS:
                trouble.jobs.add(job.id)
            news = not trouble.told and trouble.tries >= TRIES and len(trouble.jobs) >= JOBS
            trouble.told = trouble.told or news
        if news:
            cause = error.cause.value if error.cause else "status"
            self._log.error(
                "provider.unavailable",
                account=job.account,
                tries=trouble.tries,
                cause=cause,
                problem=error.message,
            )

    def answered(self, account: str) -> None:
        """Note a try that the provider answered."""
        if account not in self._of_accounts:
            return
        with self._lock:
            trouble = self._of_accounts.get(account)
            if trouble is None or not self._is_over(trouble):
                return
            del self._of_accounts[account]
        if trouble.told:
            seconds = round(self._clock() - trouble.since, 1)
            self._log.info("provider.back", account=account, seconds=seconds, tries=trouble.tries)

    def _is_over(self, trouble: _Trouble) -> bool:
        trouble.answers += 1
        quiet = self._clock() - trouble.last >= QUIET_SECONDS
        return not trouble.told or quiet or trouble.answers >= ANSWERS


def _is_fruitless(error: CallError) -> bool:
    if isinstance(error, Retry):
        return error.retry_after_seconds is None
    return isinstance(error, Redial)
