"""Measures at the provider how well limits are used and slots are met, with few accounts and with many."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from ops.bench.contenders import new_job
from ops.bench.figures import lateness, most_in_window, percentile, use
from ops.bench.installation import start
from ops.bench.servers import Provider, servers
from worker.core.limits import Pace, parse_rate
from worker.producer import Producer

BURST = 1
SETTLE_SECONDS, SPARE_SECONDS = 2.0, 10.0
INTERVALS = 2.2
"""Each account must show more than two slots, however long it takes."""

_FEED_SECONDS = 0.02
_PERIODS = (("s", 1), ("m", 60), ("h", 3600))


@dataclass(frozen=True)
class Load:
    """A number of accounts with the same limit that together may send `total_per_second` requests."""

    accounts: int
    total_per_second: int

    @property
    def rate(self) -> str:
        """The limit, with the shortest period that gives a whole number; rounded if none does."""
        for unit, seconds in _PERIODS:
            requests, rest = divmod(self.total_per_second * seconds, self.accounts)
            if requests and not rest:
                return f"{requests}/{unit}"
        return f"{max(round(self.total_per_second * 3600 / self.accounts), 1)}/h"

    @property
    def requests(self) -> int:
        return parse_rate(self.rate)[0]

    @property
    def period_seconds(self) -> float:
        return parse_rate(self.rate)[1] / 1e6

    @property
    def interval_seconds(self) -> float:
        """The time between two slots, including the limiter's margin."""
        return Pace.of(*parse_rate(self.rate), BURST, 1).interval_us / 1e6

    def jobs(self, account: int, seconds: float) -> list[dict[str, str]]:
        """Return enough jobs of one account for `seconds`. The number called identifies the account."""
        enough = math.ceil(seconds / self.interval_seconds) + 2
        phone = f"2{account:06d}123"
        return [new_job(f"pace-{account}-{n}", f"a{account}", phone) for n in range(enough)]


def measure(
    accounts: list[int], total_per_second: int, seconds: float, broker: str
) -> tuple[str, dict[str, Any]]:
    """Measure one worker with each number of accounts."""
    found = [_one(Load(number, total_per_second), seconds, broker) for number in accounts]
    lines = (
        f"{row['accounts']:>6,} accounts of {row['rate']}: {row['use'] * 100:.2f} % used, "
        f"late p50 {row['late_p50_ms']:.1f} ms, p99 {row['late_p99_ms']:.1f} ms, worst {row['late_worst_ms']:.1f} ms; "
        f"at most {row['most_in_window']} in a window that may hold {row['allowed_in_window']}"
        for row in found
    )
    return "\n".join(lines), {"pacing": found}


def _one(load: Load, seconds: float, broker: str) -> dict[str, Any]:
    seconds = max(seconds, INTERVALS * load.interval_seconds)
    limits = f'rate = "{load.rate}"\nburst = {BURST}\nconcurrency = 100\nttl = 86400'
    with servers(broker, [0], log=True) as running, ExitStack() as workers:
        installation = start(running, {f"a{n}": limits for n in range(load.accounts)}, workers)
        provider = running.logging
        _feed(load, seconds + SETTLE_SECONDS + SPARE_SECONDS, installation.site.broker_url)
        since = time.time() + SETTLE_SECONDS
        time.sleep(SETTLE_SECONDS + seconds)
        return _figures(load, provider, since)


def _feed(load: Load, seconds: float, broker_url: str) -> None:
    """Enqueue the accounts' jobs over an interval: accounts that begin together would share their slots' times."""
    began, fed = time.monotonic(), 0
    with Producer(broker_url) as producer:
        while fed < load.accounts:
            share = (time.monotonic() - began) / load.interval_seconds
            until = min(int(share * load.accounts) + 1, load.accounts)
            lead = load.interval_seconds * (1 - fed / load.accounts)
            producer.enqueue_many(
                [job for account in range(fed, until) for job in load.jobs(account, lead + seconds)]
            )
            fed = until
            time.sleep(_FEED_SECONDS)


def _figures(load: Load, provider: Provider, since: float) -> dict[str, Any]:
    every: dict[str, list[float]] = defaultdict(list)
    for unix, _, phone in provider.log():
        every[phone].append(unix)
    settled = [[moment for moment in moments if moment >= since] for moments in every.values()]
    late = [one for moments in settled for one in lateness(moments, load.interval_seconds)]
    return {
        "accounts": load.accounts,
        "rate": load.rate,
        "requests": len(late),
        "use": use(settled, load.requests / load.period_seconds),
        "late_p50_ms": percentile(late, 0.5) * 1000,
        "late_p99_ms": percentile(late, 0.99) * 1000,
        "late_worst_ms": max(late) * 1000,
        "most_in_window": max(most_in_window(moments, load.period_seconds) for moments in every.values()),
        "allowed_in_window": load.requests + BURST,
    }
