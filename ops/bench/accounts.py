"""Measures what many accounts cost a worker and the commands, each with an API key of its own in a file."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from ops.bench.contenders import CallWorker, Site, worker_environ
from ops.bench.processes import WorkerTree, resident_bytes_of
from ops.bench.scrape import Page
from ops.bench.servers import Servers, servers
from ops.bench.waiting import wait_for_count
from tests.faults.servers import PROJECT
from worker.configuration.textfiles import read_toml
from worker.core.accounts import Accounts
from worker.engine.declared_limits import BEAT_SECONDS
from worker.errors import every
from worker.state import keys

LIMITS = 'rate = "10/s"\nburst = 5\n'
COMMANDS = {"accounts": ["accounts"], "accounts --json": ["accounts", "--json"]}


def measure(accounts: list[int]) -> tuple[str, dict[str, Any]]:
    """Measure one idle worker with each number of accounts, and the commands beside it."""
    found = [_one(number) for number in accounts]
    return "\n".join(map(_told, found)), {"accounts": found}


def _told(row: Mapping[str, Any]) -> str:
    commands = ", ".join(
        f"`{name}` {seconds:.1f} s ({used:.1f} s of CPU)" for name, (seconds, used) in row["commands"].items()
    )
    steps = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in row["step_seconds"].items())
    return (
        f"{row['accounts']:>6,} accounts ({row['file_bytes'] / 1e6:.1f} MB): ready after {row['ready_seconds']:.1f} s, "
        f"limits declared after {row['declared_seconds']:.1f} s, {row['cpu_seconds']:.1f} s of CPU by then; "
        f"{row['resident_bytes'] / 1e6:.0f} MB, at most {row['peak_bytes'] / 1e6:.0f}; "
        f"{row['idle_cores']:.1%} of a core when idle; {commands}\n        the file: {steps}"
    )


def _one(accounts: int) -> dict[str, Any]:
    with servers("redis", [0]) as running, ExitStack() as exits:
        site = _site(running, accounts)
        environ, began = worker_environ(site), time.monotonic()
        worker = WorkerTree(CallWorker().command(site)[0], running.folder, environ, PROJECT)
        exits.callback(worker.kill)
        worker.start()
        page = Page(int(environ["METRICS_PORT"]))
        page.wait_until_ready(worker)
        ready_seconds = time.monotonic() - began
        wait_for_count(lambda: _declared(running, accounts), 1)
        declared_seconds, cpu_seconds = time.monotonic() - began, worker.cpu_seconds()
        return {
            "accounts": accounts,
            "file_bytes": site.accounts_file.stat().st_size,
            "ready_seconds": ready_seconds,
            "declared_seconds": declared_seconds,
            "cpu_seconds": cpu_seconds,
            "idle_cores": _idle(worker),
            "resident_bytes": resident_bytes_of(worker.pid),
            "peak_bytes": worker.peak_bytes(),
            "commands": {name: _seconds(words, environ) for name, words in COMMANDS.items()},
            "step_seconds": _steps(site.accounts_file),
        }


def _site(running: Servers, accounts: int) -> Site:
    folder, path = running.folder / "keys", running.folder / "accounts.toml"
    folder.mkdir()
    tables = []
    for number in range(accounts):
        name = f"customer-{number:06d}"
        (folder / name).write_text(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest())
        tables.append(f'[accounts.{name}]\napi_key_file = "{folder / name}"\n{LIMITS}')
    path.write_text("\n".join(tables), encoding="utf-8")
    provider = running.providers[min(running.providers)]
    return Site(running.redis.url, running.broker_url, provider.url, CallWorker.in_flight_at_once, path)


def _declared(running: Servers, accounts: int) -> int:
    last = f"customer-{accounts - 1:06d}"
    return int(running.redis.client.exists(f"{keys.prefix_of(last)}limit:{last}"))


def _idle(worker: WorkerTree, seconds: float = 10.0) -> float:
    # The limits are declared a second time, see `worker.engine.declared_limits`.
    time.sleep(2 * BEAT_SECONDS)
    worker.wait_until_at_rest()
    before = worker.cpu_seconds()
    time.sleep(seconds)
    return (worker.cpu_seconds() - before) / seconds


def _seconds(words: list[str], environ: Mapping[str, str]) -> tuple[float, float]:
    """Return how long a command of callworker takes, and its CPU time."""
    began, before = time.monotonic(), os.times()
    command = [sys.executable, "-m", "worker.cli", *words]
    subprocess.run(command, env=dict(environ), cwd=PROJECT, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - began, used


def _steps(path: Path) -> dict[str, float]:
    """Return the CPU seconds of what a start does with the file, one after the other."""
    found, results = {}, dict[str, Any]()
    steps: dict[str, Callable[[], Any]] = {
        "read": lambda: read_toml(path),
        "check": lambda: Accounts.parse(results["read"]),
        "keys": lambda: every(partial(one.secrets) for one in results["check"].values()),
        "digest": lambda: results["check"].digest,
    }
    for name, step in steps.items():
        began = time.process_time()
        results[name] = step()
        found[name] = time.process_time() - began
    return found
