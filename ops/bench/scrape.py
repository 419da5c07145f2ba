"""Measures what a scrape of `/metrics` costs, by the number of accounts that are in use.

Each account has called once, and a share of them has a job that waits. One more account goes on calling at its limit,
first alone and then with a scrape every five seconds.
"""

from __future__ import annotations

import gzip
import math
import time
import urllib.request
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from ops.bench.contenders import new_job
from ops.bench.figures import use
from ops.bench.installation import Installation, start
from ops.bench.processes import WorkerTree
from ops.bench.servers import Servers, servers
from ops.bench.waiting import wait_for_count
from tests.faults.servers import ServerTrouble
from tests.processes import free_port
from worker.producer import Producer
from worker.state import keys

SCRAPES, PAUSE_SECONDS = 10, 1.5
"""How often it is scraped for the cost of a scrape, and the pause between two, in which what was read is forgotten."""
SCRAPE_EVERY_SECONDS = 5.0
RATE_PER_SECOND, PACED, PACED_PHONE = 50, "paced", "2000000001"
SETTLE_SECONDS = 2.0
READY_SECONDS = 120.0

ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""What Prometheus 3 asks for."""


@dataclass(frozen=True)
class Page:
    """The metrics of a worker, asked for as Prometheus asks."""

    port: int

    def scrape(self) -> bytes:
        """Return the page as it came, compressed. Raises OSError."""
        headers = {"Accept": ACCEPT, "Accept-Encoding": "gzip"}
        url = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def ready(self) -> bool:
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10).close()
            return True
        return False

    def wait_until_ready(self, worker: WorkerTree) -> None:
        """Wait until the worker consumes. Raises ServerTrouble."""
        ends = time.monotonic() + READY_SECONDS
        while not self.ready():
            worker.check()
            if time.monotonic() > ends:
                raise ServerTrouble("the worker is not ready")
            time.sleep(0.05)


def measure(accounts: list[int], waiting: float, seconds: float) -> tuple[str, dict[str, Any]]:
    """Measure one worker with each number of accounts; jobs of the share `waiting` (0 to 1) of them wait.

    The limit is used for `seconds` alone and for as long scraped.
    """
    found = [_one(number, waiting, seconds) for number in accounts]
    lines = (
        f"{row['accounts']:>6,} accounts: {row['bytes'] / 1000:5.0f} kB ({row['gzip_bytes'] / 1000:.0f} kB in gzip), "
        f"{row['cpu_seconds']:.3f} s of CPU and {row['redis_cpu_seconds']:.3f} s of Redis' a scrape, "
        f"{row['rss_bytes'] / 1e6:.0f} MB, ready after {row['ready_seconds']:.1f} s; limit used "
        f"{row['use_alone']:.1%} alone, {row['use_scraped']:.1%} scraped"
        for row in found
    )
    return "\n".join(lines), {"scrape": found}


def _one(accounts: int, waiting: float, seconds: float) -> dict[str, Any]:
    with servers("redis", [0], log=True) as running, ExitStack() as workers:
        began, page = time.monotonic(), Page(free_port())
        installed = start(running, _limits(accounts), workers, at_rest=False, METRICS_PORT=str(page.port))
        page.wait_until_ready(installed.worker)
        ready_seconds = time.monotonic() - began
        _use_all(accounts, round(accounts * waiting), running, installed)
        costs = _costs(page, running, installed)
        uses = {name: _use(page, running, installed, seconds, name) for name in ("alone", "scraped")}
        return {
            "accounts": accounts,
            "ready_seconds": ready_seconds,
            **costs,
            "use_alone": uses["alone"],
            "use_scraped": uses["scraped"],
        }


def _limits(accounts: int) -> dict[str, str]:
    calls_once = 'rate = "1/h"\nttl = 86400'
    paced = f'rate = "{RATE_PER_SECOND}/s"\nconcurrency = 100\nttl = 86400'
    return {**{f"a{n}": calls_once for n in range(accounts)}, PACED: paced}


def _use_all(accounts: int, waiting: int, running: Servers, installed: Installation) -> None:
    """Let each account call once, and the first `waiting` of them have a job that waits."""
    with Producer(installed.site.broker_url) as producer:
        producer.enqueue_many([new_job(f"calls-{n}", f"a{n}") for n in range(accounts)])
        producer.enqueue_many([new_job(f"waits-{n}", f"a{n}") for n in range(waiting)])
    wait_for_count(running.logging.count, accounts)
    wait_for_count(lambda: int(running.redis.client.llen("results")), accounts)
    installed.worker.wait_until_at_rest()


def _costs(page: Page, running: Servers, installed: Installation) -> dict[str, float]:
    """Scrape now and then. What the idle worker and Redis need anyway in that time is taken off."""
    bodies = []

    def scrape() -> None:
        bodies.append(page.scrape())

    idle = _spent(lambda: None, running, installed)
    spent = _spent(scrape, running, installed)
    text = gzip.decompress(bodies[-1])
    return {
        "bytes": len(text),
        "gzip_bytes": len(bodies[-1]),
        "cpu_seconds": max(spent[0] - idle[0], 0.0) / SCRAPES,
        "redis_cpu_seconds": max(spent[1] - idle[1], 0.0) / SCRAPES,
        "rss_bytes": _value(text, b"process_resident_memory_bytes"),
    }


def _spent(act: Any, running: Servers, installed: Installation) -> tuple[float, float]:
    """Return the CPU time of the worker and of Redis while `act` is done again and again."""
    before = installed.worker.cpu_seconds(), running.redis.cpu_seconds()
    for _ in range(SCRAPES):
        act()
        time.sleep(PAUSE_SECONDS)
    return installed.worker.cpu_seconds() - before[0], running.redis.cpu_seconds() - before[1]


def _value(text: bytes, name: bytes) -> float:
    return float(next(line for line in text.splitlines() if line.startswith(name + b" ")).split()[1])


def _use(page: Page, running: Servers, installed: Installation, seconds: float, name: str) -> float:
    """Return the share of its limit that the account used at the provider, in the middle of `seconds`."""
    enough = math.ceil((seconds + 2 * SETTLE_SECONDS) * RATE_PER_SECOND)
    began = time.time()
    with Producer(installed.site.broker_url) as producer:
        producer.enqueue_many([new_job(f"{name}-{n}", PACED, PACED_PHONE) for n in range(enough)])
    since, until = began + SETTLE_SECONDS, began + SETTLE_SECONDS + seconds
    while time.time() < until:
        if name == "scraped":
            page.scrape()
        time.sleep(SCRAPE_EVERY_SECONDS)
    sent = [unix for unix, _, phone in running.logging.log() if phone == PACED_PHONE]
    seen = [unix for unix in sent if since <= unix < until]
    lane = f"{keys.prefix_of(PACED)}lane:{PACED}"
    wait_for_count(lambda: -int(running.redis.client.zcard(lane)), 0)
    return use([seen], RATE_PER_SECOND)
