"""docs/explanation/life-of-a-job.md shows the lines that a worker writes about one job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.outside import new_job
from tests.integration.receiver import Hook, Receiver, local_hook
from tests.integration.stack import PROJECT, Stack, Worker
from tests.integration.stand_in import Asked, Reply, StandIn, gives_ref, refuses
from tests.integration.test_log_lines import PIN, SECRET
from tests.processes import wait_until
from tests.redis_server import RedisServer

PAGE = PROJECT / "docs/explanation/life-of-a-job.md"
REFUSED = "2125550123"
VARIES = ("timestamp", "event_id", "seconds", "wait_seconds", "waited_seconds")
"""The fields whose values differ from run to run."""


def shown() -> list[dict[str, Any]]:
    """The log lines of the page, in its order."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"timestamp"')]


def lasting(line: dict[str, Any]) -> dict[str, Any]:
    """The line with its fields in order, and the type in place of each value that varies."""
    return {name: type(value) if name in VARIES else value for name, value in line.items()}


def delivered(worker: Worker, count: int) -> bool:
    return len(worker.told("webhook.delivered")) == count


class Hooks:
    """A subscriber who is in trouble the first time."""

    def __init__(self) -> None:
        self.came = 0

    def __call__(self, hook: Hook) -> int:
        self.came += 1
        return 500 if self.came == 1 else 204


def answer(asked: Asked) -> Reply:
    """Be busy the first time, and refuse one number with a text that quotes number and PIN."""
    if asked.phone == REFUSED:
        return refuses("CARRIER_SAYS_NO", f"{asked.phone} does not take code {PIN}")
    return Reply("busy", 503, {"Retry-After": "1"}) if asked.turn == 1 else gives_ref()


@pytest.fixture
def stack(tmp_path: Path, own_redis: RedisServer) -> Iterator[Stack]:
    with ExitStack() as exits:
        receiver = exits.enter_context(Receiver(Hooks()))
        provider = exits.enter_context(StandIn(answer))
        hook = local_hook(f"{receiver.url}/hook", secret_env="HOOK", name="orders")
        accounts = {"acme": {"rate": "200/s", "burst": 100, "webhooks": [hook]}}
        settings = {"HOOK": SECRET, "LOG_LEVEL": "DEBUG", "WEBHOOK_SCHEDULE": "1s 5m"}
        made = Stack(tmp_path, own_redis.url, own_redis.url, provider.url, accounts, **settings)
        made.outside.redis.flushall()
        yield exits.enter_context(made)


def test_page_shows_the_lines_of_two_jobs(stack: Stack) -> None:
    """All of them, in order and with all fields: a change of a line is a change of the page. PIN and number are in
    none."""
    worker = stack.start("run")
    jobs = [new_job("order-4712", code=PIN), new_job("order-4713", code=PIN, phone=REFUSED)]
    for count, job in enumerate(jobs, start=1):
        stack.outside.stream(job)
        wait_until(partial(delivered, worker, count), "the webhook is delivered")
    worker.terminate()
    assert worker.exit_status() == 0
    lines = [line for line in worker.told() if "job_id" in line]
    text = "\n".join(map(json.dumps, lines))
    assert list(map(list, map(lasting, lines))) == list(map(list, map(lasting, shown()))), text
    assert list(map(lasting, lines)) == list(map(lasting, shown())), text
    assert not any(hidden in worker.output for hidden in (PIN, REFUSED, jobs[0]["phone"]))
