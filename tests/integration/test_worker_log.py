"""A worker whose log nobody reads, and one that is asked where its threads are."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.outside import new_job
from tests.integration.stack import COMMANDS, Process, Stack, Worker, spawn
from tests.integration.stand_in import StandIn, gives_ref
from tests.processes import free_port, wait_until
from tests.redis_server import RedisServer

JOBS = 60


@pytest.fixture
def provider() -> Iterator[StandIn]:
    with StandIn(lambda asked: gives_ref(wait_seconds=0.05)) as stand_in:
        yield stand_in


@pytest.fixture
def stack(tmp_path: Path, own_redis: RedisServer, provider: StandIn) -> Iterator[Stack]:
    accounts = {"acme": {"rate": "200/s", "burst": 100}}
    with Stack(tmp_path, own_redis.url, own_redis.url, provider.url, accounts, LOG_LEVEL="DEBUG") as made:
        made.outside.redis.flushall()
        yield made


class Unread:
    """Starts a process whose standard error is a full pipe."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()
        os.set_blocking(self.into, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.into, b"x" * 4096)
        os.set_blocking(self.into, True)

    def __call__(self, arguments: Sequence[str], environ: Mapping[str, str], output: Path) -> Process:
        return spawn(arguments, environ, output, stderr=self.into)


@pytest.mark.parametrize("how", ["run", "celery"])
def test_a_log_that_nobody_reads_stops_neither_calls_nor_the_end(
    stack: Stack, tmp_path: Path, how: str
) -> None:
    """A worker whose log pipe is full from the first line on places its calls, answers, and ends when told to (B11)."""
    environ = {**stack.environ, "METRICS_PORT": str(free_port()), "SHUTDOWN_GRACE": "10"}
    worker = Worker(COMMANDS[how], environ, tmp_path / "unread.log", spawn=Unread())
    stack.workers.append(worker)
    worker.wait_until_ready()
    jobs = [new_job(f"unread-{n}") for n in range(JOBS)]
    stack.outside.send(*jobs)
    events = stack.outside.wait([job["id"] for job in jobs])
    assert {event["type"] for event in events.values()} == {"call.placed"}
    assert worker.get("/livez")[0] == worker.get("/readyz")[0] == 200
    assert "callworker_log_lines_dropped_total" in worker.get("/metrics")[1]
    worker.terminate()
    assert worker.exit_status() == 0


@pytest.mark.parametrize("how", ["run", "celery"])
def test_a_start_and_an_end_in_good_health_tell_of_nothing_worse(stack: Stack, how: str) -> None:
    """The watch over the loops, which is there first, used to take those that had not started yet for stalled ones."""
    worker = stack.start(how)
    worker.terminate()
    assert worker.exit_status() == 0
    levels = {line["level"] for line in worker.told()}
    assert levels <= {"debug", "info"}, worker.output


def test_signals_show_where_threads_are_and_no_value(stack: Stack, provider: StandIn) -> None:
    """SIGUSR1 and SIGUSR2 with calls in flight: places in the code, no PIN and no number; the calls go on (E4)."""
    provider.script = lambda asked: gives_ref(wait_seconds=3.0)
    worker = stack.start(CELERY_RDBSIG="1")
    jobs = [new_job(f"shown-{n}", phone=f"21255501{n:02}", code="48213") for n in range(20)]
    stack.outside.send(*jobs)
    wait_until(lambda: worker.metric("calls_in_flight") > 0, "calls are in flight")
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        worker.process.send_signal(number)
    wait_until(lambda: worker.output.count('"event": "thread.stack"') > 10, "the stacks are told")
    stack.outside.wait([job["id"] for job in jobs])
    assert '"thread": "dial"' in worker.output and "MainThread" in worker.output
    assert "48213" not in worker.output and "21255501" not in worker.output
    assert "LOCAL VARIABLES" not in worker.output
