"""The warning that jobs must expire counts as the account's schedule will."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from worker.cli.feasible import count_late
from worker.core.accounts import Account
from worker.core.jobs import Job

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def account(rate: str = "60/m", burst: int = 1, ttl: int = 600) -> Account:
    return Account(name="acme", api_key_env="K", rate=rate, burst=burst, ttl=ttl)


def jobs(number: int, *, seconds: int | None = None) -> list[Job]:
    """Return `number` jobs that expire `seconds` from now."""
    expires_at = None if seconds is None else NOW + timedelta(seconds=seconds)
    return [
        Job(id=f"j{n}", account="acme", country="1", phone="2125550123", code="4711", expires_at=expires_at)
        for n in range(number)
    ]


@pytest.mark.parametrize(
    ("number", "ahead", "burst", "late"),
    [(600, 0, 1, 0), (50_000, 0, 1, 49_400), (600, 100, 1, 100), (600, 100, 101, 0), (10, 700, 1, 10)],
)
def test_jobs_beyond_the_account_s_time_are_late(number: int, ahead: int, burst: int, late: int) -> None:
    """One a second for ten minutes, less what waits already, and as many more as may go back to back (D6)."""
    assert count_late(jobs(number), account(burst=burst), ahead, NOW.timestamp()) == late


def test_job_that_expires_takes_no_turn_from_the_next() -> None:
    """A job that is too late anyway does not push back one that has time (D6)."""
    late, good = jobs(20, seconds=5), jobs(20, seconds=30)
    assert count_late([*late, *good], account(), 0, NOW.timestamp()) == 15
