"""Keys of a Redis broker that have a wrong type: named, and in nobody's way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.integration.outside import new_job
from tests.integration.stack import PROJECT, Stack, Worker
from tests.integration.stand_in import StandIn
from tests.processes import wait_until
from tests.redis_server import RedisServer

ACCOUNTS: dict[str, dict[str, Any]] = {"acme": {"rate": "200/s", "burst": 100}}


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory, own_redis: RedisServer) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("keys")
    with StandIn() as provider, Stack(folder, own_redis.url, own_redis.url, provider.url, ACCOUNTS) as made:
        made.outside.redis.flushall()
        yield made


def doctor(stack: Stack) -> tuple[int, list[dict[str, Any]]]:
    """Exit status, and what it found about keys."""
    command = [sys.executable, "-m", "worker.cli", "doctor", "--offline", "--json"]
    done = subprocess.run(
        command, env=stack.environ, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, [one for one in json.loads(done.stdout)["checks"] if one["check"] == "keys"]


def counted(worker: Worker, key: str) -> bool:
    return worker.metric("wrong_keys", key=key) == 1


def test_the_other_queues_go_on(stack: Stack) -> None:
    """A stream at `calls` and a string at `calls.7` are named by log, metric and doctor, once; put right, the list is
    used again without a restart (B8)."""
    assert doctor(stack) == (0, [])
    stack.outside.redis.xadd("calls", {"job": "{}"})
    stack.outside.redis.set("calls.7", "x")
    worker = stack.start("run")
    plain, late = new_job("plain"), new_job("late")
    stack.outside.plain(plain)
    assert stack.outside.wait(["plain"])["plain"]["type"] == "call.placed"
    for key in ("calls", "calls.7"):
        wait_until(partial(counted, worker, key), f"{key} is counted")
    status, found = doctor(stack)
    assert status == 1 and {one["found"].split()[0] for one in found} == {"calls", "calls.7"}
    assert worker.get("/readyz")[0] == 200
    stack.outside.redis.delete("calls", "calls.7")
    stack.outside.send(late)
    assert stack.outside.wait(["late"])["late"]["type"] == "call.placed"
    wait_until(lambda: worker.metric("wrong_keys") == 0, "no key is wrong")
    told = [line for line in worker.output.splitlines() if "key.wrong_type" in line]
    assert len(told) == 2 and "Traceback" not in worker.output
    assert {json.loads(line)["redis_key"] for line in told} == {"calls", "calls.7"}


def test_lists_go_on_beside_a_spoiled_stream(stack: Stack) -> None:
    """A string at `calls.intake` holds up no Celery message, and the worker says that it is not ready for plain ones
    (B8)."""
    stack.outside.redis.set("calls.intake", "x")
    worker = stack.launch("run")
    job, plain = new_job("celery"), new_job("behind")
    stack.outside.send(job)
    assert stack.outside.wait(["celery"])["celery"]["type"] == "call.placed"
    wait_until(
        lambda: "the key calls.intake has a wrong type" in worker.get("/readyz")[1], "/readyz names the key"
    )
    stack.outside.redis.delete("calls.intake")
    stack.outside.plain(plain)
    assert stack.outside.wait(["behind"])["behind"]["type"] == "call.placed"


def test_a_spoiled_results_list_is_named(stack: Stack) -> None:
    """Events wait until it is put right, and none is lost (B8)."""
    worker = stack.start("run")
    job = new_job("kept")
    with stack.outside.not_reading():
        stack.outside.redis.delete("results")
        stack.outside.redis.set("results", "x")
        stack.outside.send(job)
        wait_until(lambda: "another type than it should: results" in worker.output, "the log names the key")
        status, (found,) = doctor(stack)
        assert status == 1 and found["found"].startswith("results is a string")
        stack.outside.redis.delete("results")
    assert stack.outside.wait(["kept"])["kept"]["type"] == "call.placed"
