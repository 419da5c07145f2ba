"""Computes how many jobs must expire because the rate of their account is too low to call them in time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from worker.core.accounts import Account, Accounts
from worker.core.jobs import Job
from worker.core.limits import parse_rate


def warnings(jobs: Iterable[Job], accounts: Accounts, waiting: Mapping[str, int]) -> Iterator[str]:
    """Yield a line for each account with jobs that cannot be called in time. `waiting` counts the jobs in its lane."""
    by_account: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_account[job.account].append(job)
    for name, own in by_account.items():
        account, ahead = accounts[name], waiting.get(name, 0)
        if late := count_late(own, account, ahead, time.time()):
            yield (
                f"warning: account {name}: about {late:,} of {len(own):,} jobs cannot be called before they expire, at "
                f"{account.rate} with {ahead:,} waiting; use a later expires_at, or a longer ttl for the account"
            )


def count_late(jobs: Sequence[Job], account: Account, ahead: int, now: float) -> int:
    """Count the jobs that expire before their turn, if only the rate delays them.

    `ahead` jobs go first, then these in their order; an expired job takes no turn. `now` is Unix time in seconds.
    """
    requests, period_us = parse_rate(account.rate)
    turn, late = ahead, 0
    for job in jobs:
        left = account.ttl if job.expires_at is None else job.expires_at.timestamp() - now
        wait = max(turn + 1 - account.burst, 0) * period_us / requests / 1_000_000
        if wait < left:
            turn += 1
        else:
            late += 1
    return late
