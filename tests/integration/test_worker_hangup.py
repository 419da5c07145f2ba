"""SIGHUP ends a worker at a terminal as SIGTERM does, and elsewhere starts it again, as Celery's users know it."""

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
EPHEMERAL = [*COMMANDS["run"], "--ephemeral"]


class Terminal:
    """A terminal, which can be closed, for a process to write to; its log goes to the file."""

    def __init__(self) -> None:
        self._ours, self._its = os.openpty()

    def __call__(self, arguments: Sequence[str], environ: Mapping[str, str], output: Path) -> Process:
        return spawn(arguments, environ, output, stdin=self._its, stdout=self._its)

    def close(self) -> None:
        for end in (self._ours, self._its):
            os.close(end)


def starts(worker: Worker) -> int:
    return len(worker.told("worker.started"))


@pytest.fixture
def provider() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


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


@pytest.mark.parametrize(
    "arguments", [COMMANDS["run"], COMMANDS["celery"], EPHEMERAL], ids=["run", "celery", "ephemeral"]
)
def test_worker_without_a_terminal_starts_again(stack: Stack, tmp_path: Path, arguments: list[str]) -> None:
    """With the same command. `python -m celery` ended with a traceback, `run --ephemeral` as a wrong use of itself."""
    environ = {**stack.environ, "METRICS_PORT": str(free_port())}
    if arguments is EPHEMERAL:
        environ = {name: value for name, value in environ.items() if name not in ("REDIS_URL", "BROKER_URL")}
    worker = Worker(arguments, environ, tmp_path / "again.log")
    stack.workers.append(worker)
    worker.wait_until_ready()
    worker.process.send_signal(signal.SIGHUP)
    wait_until(lambda: starts(worker) == 2 or worker.process.poll() is not None, "it has started again")
    worker.wait_until_ready()
    worker.terminate()
    assert worker.exit_status() == 0
    assert (starts(worker), len(worker.told("worker.stopped"))) == (2, 2)
