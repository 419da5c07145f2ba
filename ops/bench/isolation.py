"""Measures how soon a good endpoint has its events: alone, and beside two endpoints that never end a request."""

from __future__ import annotations

import os
import random
import sys
import time
import urllib.request
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ops.bench import hooks
from ops.bench.contenders import new_job
from ops.bench.figures import percentile
from ops.bench.installation import start
from ops.bench.servers import BenchRedis, servers
from ops.bench.waiting import wait_for_count
from tests.faults.servers import PROJECT, Server
from tests.processes import free_port
from worker.producer import Producer

WARMUP = 50
PAUSE_SECONDS = (0.01, 0.03)
GOOD, BAD = "good", ("hang", "drip")


class ReceiverProcess(Server):
    """`ops.bench.receiver` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "ops.bench.receiver", str(port)]
        super().__init__(command, folder, {**os.environ, "PYTHONPATH": str(PROJECT)})

    def answers(self) -> bool:
        with suppress(OSError):
            return self.waits_ms() == []
        return False

    def waits_ms(self) -> list[float]:
        """Return how long after its event each request of the good endpoint came, in order."""
        with urllib.request.urlopen(f"{self.url}/log", timeout=60) as answer:  # noqa: S310 (our own server)
            rows = [line.split() for line in answer.read().decode().splitlines()]
        return [(float(unix) - datetime.fromisoformat(event).timestamp()) * 1000 for unix, event in rows]


def measure(events: int, waiting: int, rounds: int) -> tuple[str, dict[str, Any]]:
    """Send so many events in each case and round; `waiting` deliveries wait at each endpoint that hangs.

    The percentiles are those of all rounds together.
    """
    found = [_round(events, waiting) for _ in range(rounds)]
    alone, beside = ([wait for waits in case for wait in waits] for case in zip(*found, strict=True))
    figures = {
        "alone_p50_ms": percentile(alone, 0.5),
        "alone_p99_ms": percentile(alone, 0.99),
        "beside_p50_ms": percentile(beside, 0.5),
        "beside_p99_ms": percentile(beside, 0.99),
        "p99_ratio": percentile(beside, 0.99) / percentile(alone, 0.99),
    }
    return _told(len(alone), waiting, figures), {**figures, "alone_ms": alone, "beside_ms": beside}


def _round(events: int, waiting: int) -> tuple[list[float], list[float]]:
    """Return the waits of a good endpoint (ms), alone and beside the others."""
    with servers("redis", [0]) as running, ExitStack() as exits:
        receiver = exits.enter_context(ReceiverProcess(_folder(running.folder)))
        limits = {name: hooks.limits(name, f"{receiver.url}/{name}") for name in (GOOD, *BAD)}
        site = start(running, limits, exits, at_rest=True, **hooks.SECRETS).site
        with Producer(site.broker_url) as producer:
            alone = _waits_ms(receiver, producer, events)
            _hang(running.redis, receiver, waiting)
            return alone, _waits_ms(receiver, producer, events)


def _folder(parent: Path) -> Path:
    folder = parent / "receiver"
    folder.mkdir()
    return folder


def _hang(redis: BenchRedis, receiver: ReceiverProcess, waiting: int) -> None:
    for name in BAD:
        hooks.fill(redis, name, f"{receiver.url}/{name}", waiting, f"{name}-")


def _waits_ms(receiver: ReceiverProcess, producer: Producer, events: int) -> list[float]:
    """Have jobs placed one by one, and return how long after each one's event the endpoint had it."""
    before, count = len(receiver.waits_ms()), WARMUP + events
    for number in range(count):
        time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 (so that no poll stays in step)
        producer.enqueue(new_job(f"good-{before + number}", GOOD))
    wait_for_count(lambda: len(receiver.waits_ms()), before + count)
    return receiver.waits_ms()[before + WARMUP :]


def _told(events: int, waiting: int, found: dict[str, float]) -> str:
    return (
        f"event to request at a good endpoint, {events} events: p50 {found['alone_p50_ms']:.1f} ms, "
        f"p99 {found['alone_p99_ms']:.1f} ms; while {waiting:,} deliveries wait at an endpoint that never answers and "
        f"as many at one that drips: p50 {found['beside_p50_ms']:.1f} ms, p99 {found['beside_p99_ms']:.1f} ms; "
        f"p99 {found['p99_ratio']:.2f} times as long"
    )
