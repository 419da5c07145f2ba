"""SIGHUP ends a worker at a terminal as SIGTERM does, and elsewhere has it read its accounts file again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.integration.outside import new_job
from tests.integration.stack import COMMANDS, Process, Stack, Worker, spawn
from tests.integration.stand_in import StandIn, gives_ref
from tests.processes import free_port, wait_until
from tests.redis_server import RedisServer

JOBS = 10


class Terminal:
    """A terminal, which can be closed, for a process to write to; its log goes to the file."""

    def __init__(self) -> None:
        self._ours, self._its = os.openpty()

    def __call__(self, arguments: Sequence[str], environ: Mapping[str, str], output: Path) -> Process:
        return spawn(arguments, environ, output, stdin=self._its, stdout=self._its)

    def close(self) -> None:
        for end in (self._ours, self._its):
            os.close(end)


@pytest.fixture
def stack(tmp_path: Path, own_redis: RedisServer, provider: StandIn) -> Iterator[Stack]:
    accounts = {"acme": {"rate": "200/s", "burst": 100}}
    with Stack(tmp_path, own_redis.url, own_redis.url, provider.url, accounts) as made:
        made.outside.redis.flushall()
        yield made


@pytest.mark.parametrize("how", ["run", "celery"])
def test_closed_terminal_lets_calls_in_flight_end(
    stack: Stack, provider: StandIn, tmp_path: Path, how: str
) -> None:
    """The system's answer killed the worker within its calls, which counted as perhaps rung and were made again."""
    provider.script = lambda asked: gives_ref(wait_seconds=2.0)
    terminal, environ = Terminal(), {**stack.environ, "METRICS_PORT": str(free_port())}
    worker = Worker(COMMANDS[how], environ, tmp_path / "terminal.log", spawn=terminal)
    stack.workers.append(worker)
    worker.wait_until_ready()
    jobs = [new_job(f"hangup-{n}") for n in range(JOBS)]
    stack.outside.send(*jobs)
    wait_until(lambda: len(provider.asked) == JOBS, "all calls are in flight")
    terminal.close()
    worker.process.send_signal(signal.SIGHUP)
    assert worker.exit_status() == 0
    events = stack.outside.wait([job["id"] for job in jobs])
    assert {event["type"] for event in events.values()} == {"call.placed"}
    assert provider.rung(*(job["phone"] for job in jobs)) == [1] * JOBS


@pytest.mark.parametrize("how", ["run", "celery"])
def test_worker_without_a_terminal_reads_its_accounts_again(stack: Stack, how: str) -> None:
    """It goes on as the same process, and says so even if the file is as it was. Celery's worker would start again."""
    worker = stack.start(how)
    worker.process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(worker.told("accounts.unchanged")), "it has read the file")
    worker.terminate()
    assert worker.exit_status() == 0
    assert len(worker.told("worker.started")) == 1
