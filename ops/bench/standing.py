"""Measures what a large backlog costs: putting it on record, starting Redis again with it, and working it off.

It calls the ledger without a worker, on a Redis with its append-only file.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.bench.release import LEASE_SECONDS, RETENTION_SECONDS, fill, lease_due
from ops.bench.servers import BenchRedis
from tests.faults.servers import wait_for
from worker.redisio.connection import connect
from worker.state.ledger import RedisLedger
from worker.state.lua import store_scripts

LONGEST_SECONDS = 1800.0
RELEASES = 20_000


class _Redis(BenchRedis):
    """A Redis that may take long to read its file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, on_disk=True)

    def seconds_to_start_again(self) -> float:
        """Kill it, start it with its file, and return how long it took until it answers."""
        self.kill()
        began = time.monotonic()
        self._process = self._spawn()
        wait_for(self.answers, "Redis has read its file", LONGEST_SECONDS)
        return time.monotonic() - began

    def fact(self, name: str) -> float:
        return float(self.client.info()[name])

    def ledger(self) -> RedisLedger:
        scripts = store_scripts(connect(self.url))
        return RedisLedger(scripts, lease_seconds=LEASE_SECONDS, retention_seconds=RETENTION_SECONDS)


def measure(jobs: int, accounts: int) -> tuple[str, dict[str, Any]]:
    """Put so many jobs on record; restart before and after the file is rewritten; and release some."""
    with tempfile.TemporaryDirectory(prefix="cw-bench-") as name, _Redis(Path(name)) as server:
        empty = server.used_bytes()
        parked_us = _cpu_us(server, lambda: fill(server.ledger(), accounts, jobs)) / jobs
        found = {
            "parked_us": parked_us,
            "bytes_a_job": (server.used_bytes() - empty) / jobs,
            "file_bytes_a_job": server.file_bytes() / jobs,
            "restart_seconds": server.seconds_to_start_again(),
            "rewrite_seconds": _rewrite(server),
            "fork_seconds": server.fact("latest_fork_usec") / 1e6,
            "rewritten_bytes_a_job": server.file_bytes() / jobs,
            "restart_rewritten_seconds": server.seconds_to_start_again(),
            "released_us": _cpu_us(server, lambda: lease_due(server.ledger(), RELEASES)) / RELEASES,
        }
    return _told(jobs, accounts, found), {"standing": found}


def _rewrite(server: _Redis) -> float:
    began = time.monotonic()
    server.client.bgrewriteaof()
    wait_for(
        lambda: not server.fact("aof_rewrite_in_progress"), "Redis has rewritten its file", LONGEST_SECONDS
    )
    return time.monotonic() - began


def _cpu_us(server: _Redis, act: Callable[[], object]) -> float:
    spent = server.cpu_seconds()
    act()
    return (server.cpu_seconds() - spent) * 1e6


def _told(jobs: int, accounts: int, found: dict[str, float]) -> str:
    return (
        f"{jobs:,} jobs of {accounts:,} accounts wait: {found['parked_us']:.0f} µs of Redis' CPU to put one on record, "
        f"{found['bytes_a_job']:.0f} bytes of memory and {found['file_bytes_a_job']:.0f} of its file for each\n"
        f"Redis starts again after {found['restart_seconds']:.1f} s; rewriting the file takes "
        f"{found['rewrite_seconds']:.1f} s, and stops Redis for {found['fork_seconds'] * 1000:.0f} ms; then it has "
        f"{found['rewritten_bytes_a_job']:.0f} bytes a job, and Redis starts after "
        f"{found['restart_rewritten_seconds']:.1f} s\n"
        f"{found['released_us']:.0f} µs of Redis' CPU to release one"
    )
