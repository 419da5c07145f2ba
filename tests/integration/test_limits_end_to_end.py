"""Limits over two workers together, judged by the provider's own log and clock."""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from tests.integration.outside import Job, Outside, in_seconds, new_job
from tests.integration.stack import Stack
from tests.integration.stalls import Stalls
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.sandbox import Sandbox

pytestmark = pytest.mark.alone

SATURATED_SECONDS = 12
TTL_SECONDS = 6
AT_MOST_LATE_SECONDS = 10.0
"""For a busy machine; what waits behind an account's backlog waits for minutes, or for an hour."""

PACES = {"plain": (20, 1), "bursty": (10, 8), "flaky": (15, 3)}
"""Accounts that are saturated: requests per second, burst."""

ACCOUNTS: dict[str, dict[str, Any]] = {
    **{name: {"rate": f"{rate}/s", "burst": burst} for name, (rate, burst) in PACES.items()},
    "minutely": {"rate": "60/m", "burst": 3},
    "narrow": {"rate": "200/s", "burst": 100, "concurrency": 3},
    "hourly": {"rate": "1/h", "ttl": TTL_SECONDS},
    "flood": {"rate": "60/m"},
    "single": {"rate": "100/s", "burst": 10},
}


@dataclass(frozen=True)
class Pair:
    """Two workers on one Redis, each started another way."""

    sandbox: Sandbox
    outside: Outside

    def moments(self, jobs: Sequence[Job]) -> list[float]:
        """Return when the provider got requests for these jobs, in order."""
        phones = {job["phone"] for job in jobs}
        return sorted(served.unix for served in self.sandbox.requests() if served.phone in phones)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, own_redis: RedisServer) -> Iterator[Pair]:
    folder, url = tmp_path_factory.mktemp("stack"), own_redis.url
    with Sandbox() as sandbox, Stack(folder, url, url, sandbox.url, ACCOUNTS) as stack:
        stack.start("celery")
        stack.start("run")
        yield Pair(sandbox, stack.outside)


@dataclass(frozen=True)
class Saturated:
    """Jobs by account, all asked for, and how far the provider's clock can be trusted."""

    jobs: dict[str, list[Job]]
    stalls: Stalls


@pytest.fixture(scope="module")
def saturated(pair: Pair) -> Saturated:
    """More jobs than twelve seconds let through, for each account at once."""
    jobs = {
        name: [new_job(f"{name}-{n}", name) for n in range(rate * SATURATED_SECONDS + burst)]
        for name, (rate, burst) in PACES.items()
    }
    # 503 twice each: what counts is requests, not jobs.
    for n, job in enumerate(jobs["flaky"][::10]):
        job["phone"] = f"31{n:04}0002"
    jobs["minutely"] = [new_job(f"minutely-{n}", "minutely") for n in range(100)]
    with Stalls() as stalls:
        pair.outside.stream(*(job for of_account in jobs.values() for job in of_account))
        pair.outside.wait((job["id"] for name in PACES for job in jobs[name]), 60)
    return Saturated(jobs, stalls)


def busiest(moments: Sequence[float], seconds: float) -> int:
    """The most requests in any window of that length, its ends included."""
    return max(bisect.bisect_right(moments, moment + seconds) - n for n, moment in enumerate(moments))


@pytest.mark.parametrize("account", PACES)
def test_no_window_holds_more_than_rate_and_burst(pair: Pair, saturated: Saturated, account: str) -> None:
    """Retries included, no second sees more than the rate and the burst of an account.

    A limit of each worker would be twice as many, which shows on a busy machine too.
    """
    rate, burst = PACES[account]
    allowed = rate * (1 + saturated.stalls.slack_seconds) + burst
    assert busiest(pair.moments(saturated.jobs[account]), 1.0) <= allowed


@pytest.mark.parametrize("account", PACES)
def test_saturated_rate_is_used(pair: Pair, saturated: Saturated, account: str) -> None:
    """Requests leave at 99 % of the rate or more while jobs wait."""
    if not saturated.stalls.calm:
        stood_still = saturated.stalls.worst_seconds
        pytest.skip(f"this machine is too busy to judge by: it stood still for {stood_still:.3f} s")
    rate, burst = PACES[account]
    paced = pair.moments(saturated.jobs[account])[burst:-burst]
    # The slope over all of them: one late request at an end would weigh too much in a plain quotient.
    slope = statistics.linear_regression(range(len(paced)), paced).slope
    assert 0.99 * rate <= 1 / slope <= 1.005 * rate


def test_rate_per_minute_comes_evenly(pair: Pair, saturated: Saturated) -> None:
    """Sixty a minute is one a second after the burst, not sixty at once."""
    assert 3 <= busiest(pair.moments(saturated.jobs["minutely"]), 5.0) <= 3 + 5 + 1


def test_requests_in_flight_are_bounded(pair: Pair) -> None:
    """Exactly `concurrency` requests are open at once while answers take two seconds."""
    jobs = [new_job(f"narrow-{n}", "narrow", phone=f"312555{n}0010") for n in range(9)]
    pair.outside.send(*jobs)
    pair.outside.wait(job["id"] for job in jobs)
    moments = pair.moments(jobs)
    assert len(moments) == 9 and busiest(moments, 1.9) == 3
    # One after the other they would take 16 s.
    assert moments[-1] - moments[0] < 14


def test_waiting_jobs_expire_on_time(pair: Pair) -> None:
    """A job ends as call.expired when its time is up, by its own `expires_at` or the account's `ttl`."""
    first = new_job("hourly-first", "hourly")
    pair.outside.send(first)
    pair.outside.wait([first["id"]])
    own = [new_job(f"hourly-{n}", "hourly", expires_at=in_seconds(1 + n / 10)) for n in range(10)]
    by_ttl = new_job("hourly-ttl", "hourly")
    pair.outside.send(*own, by_ttl)
    events = pair.outside.wait(job["id"] for job in (*own, by_ttl))
    assert {event["type"] for event in events.values()} == {"call.expired"} and not pair.moments(
        [*own, by_ttl]
    )
    late = [
        pair.outside.delivered[job["id"]][0].unix - datetime.fromisoformat(job["expires_at"]).timestamp()
        for job in own
    ]
    assert min(late) >= 0
    assert max(late) < AT_MOST_LATE_SECONDS
    accepted, finished = (
        datetime.fromisoformat(events["hourly-ttl"]["data"][name]) for name in ("accepted_at", "finished_at")
    )
    assert TTL_SECONDS <= (finished - accepted).total_seconds() < TTL_SECONDS + AT_MOST_LATE_SECONDS


def test_flood_of_one_account_delays_no_other(pair: Pair) -> None:
    """An account's job is dialled at once while 5,000 jobs of another account wait."""
    flood = [new_job(f"flood-{n}", "flood") for n in range(5000)]
    pair.outside.stream(*flood)
    wait_until(lambda: pair.outside.redis.xlen("calls.intake") == 0, "the flood is taken in")
    waits = []
    for n in range(20):
        job, sent = new_job(f"single-{n}", "single"), datetime.now().timestamp()
        pair.outside.send(job)
        pair.outside.wait([job["id"]])
        waits.append(pair.moments([job])[0] - sent)
    assert statistics.median(waits) < AT_MOST_LATE_SECONDS
