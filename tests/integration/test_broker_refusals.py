"""Workers, and a broker that refuses them: at the start, and while they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Connection, Exchange

from tests.integration.outside import new_job
from tests.integration.stack import Stack, Worker
from tests.processes import wait_until
from tests.rabbit import GuardedNode
from tests.redis_server import RedisServer
from worker.sandbox import Sandbox

ACCOUNTS = {"acme": {"rate": "600/m", "concurrency": 20}}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def stack(tmp_path: Path, own_redis: RedisServer, node: GuardedNode, sandbox: Sandbox) -> Iterator[Stack]:
    node.empty()
    with redis.Redis.from_url(own_redis.url) as client:
        client.flushall()
    with (
        Stack(tmp_path, own_redis.url, node.url(), sandbox.url, ACCOUNTS) as stack,
        stack.outside.not_reading(),
    ):
        yield stack


@pytest.fixture
def user(own_redis: RedisServer) -> Iterator[str]:
    """The address of `own_redis` for a user with few rights."""
    keys = ["callworker:*", "{callworker:*", "calls*", "results*", "unacked*", "_kombu*"]
    rights = [*(f"~{key}" for key in keys), "+@all", "-@dangerous"]
    with redis.Redis.from_url(own_redis.url) as client:
        client.flushall()
        run: Any = client.execute_command
        run("ACL", "SETUSER", "least", "reset", "on", ">hunter2", *rights)
        yield own_redis.url.replace("//", "//least:hunter2@")
        run("ACL", "DELUSER", "least")


def replaced(node: GuardedNode, kind: str) -> None:
    """The exchange `results`, with another one of that type in its place."""
    with Connection(node.url()) as connection:
        connection.default_channel.exchange_delete("results")
        Exchange("results", type=kind)(connection.default_channel).declare()


def lines(worker: Worker) -> list[str]:
    return [line for line in worker.output.splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("how", "wrong"),
    [
        ("celery", "password"),
        ("celery", "vhost"),
        ("celery", "type"),
        ("run", "type"),
        ("run", "certificate"),
    ],
)
def test_refusal_at_the_start_is_one_line(stack: Stack, node: GuardedNode, how: str, wrong: str) -> None:
    """The worker ends with the variable's name and the cause, without a traceback (B3, B4, E3)."""
    url = {
        "password": node.url().replace(":guest@", ":hunter2@"),
        "vhost": node.url(vhost="nowhere"),
        "type": node.url(),
        "certificate": f"amqps://guest:guest@localhost:{node.tls_port}//",
    }[wrong]
    if wrong == "type":
        replaced(node, "direct")
    worker = stack.launch(how, BROKER_URL=url)
    assert worker.exit_status() == 1
    (line,) = lines(worker)
    assert line.startswith("callworker: BROKER_URL: ")
    assert "hunter2" not in line
    assert wrong != "type" or ("'direct'" in line and "'topic'" in line)


def test_lines_before_the_start_are_log_lines_too(stack: Stack, node: GuardedNode) -> None:
    """Lines logged while the servers are asked have the form of all other lines (D9)."""
    with Connection(node.url()) as connection:
        connection.default_channel.queue_delete("calls.intake")
        connection.default_channel.queue_declare("calls.intake", durable=False, auto_delete=False)
    worker = stack.start("run")
    wait_until(lambda: bool(worker.told("queue.declared_otherwise")), "the queue is told")
    assert [line for line in lines(worker) if not line.startswith("{")] == []


def test_least_rights_are_enough_on_redis(
    tmp_path: Path, own_redis: RedisServer, sandbox: Sandbox, user: str
) -> None:
    """A Redis user with the keys and commands that docs/reference/settings.md names is enough for store and broker."""
    with Stack(tmp_path, user, own_redis.url, sandbox.url, ACCOUNTS, BROKER_URL=user) as stack:
        worker = stack.start()
        stack.outside.send(new_job("one"))
        stack.outside.stream(new_job("two"))
        stack.outside.wait(["one", "two"])
        assert worker.told("loop.failed") == []


def test_nothing_is_dialled_while_events_cannot_leave(
    stack: Stack, node: GuardedNode, sandbox: Sandbox
) -> None:
    """The exchange is replaced while a worker runs: after the first event that came back no phone rings, `/readyz` says
    why, and all goes on once the exchange is as it must be (B3)."""
    worker = stack.start()
    replaced(node, "direct")
    stack.outside.send(new_job("first"))
    wait_until(lambda: bool(worker.told("results.refused")), "the refusal is told")
    rung = len(sandbox.requests())
    for n in range(5):
        stack.outside.send(new_job(f"later-{n}"))
    wait_until(lambda: worker.metric("jobs_waiting") == 5, "the jobs are on record")
    wait_until(lambda: "'direct'" in worker.get("/readyz")[1], "/readyz names the cause")
    status, text = worker.get("/readyz")
    assert status == 503
    assert "events cannot be published" in text
    assert len(sandbox.requests()) == rung
    with Connection(node.url()) as connection:
        connection.default_channel.exchange_delete("results")
    wait_until(lambda: worker.metric("jobs_finished_total", status="placed") == 6, "all are placed")
    wait_until(lambda: bool(worker.told("results.accepted")), "the way out is told")
    assert len(worker.told("results.refused")) == len(worker.told("results.accepted")) == 1


def test_refusal_while_running_is_told_once_and_waited_for(stack: Stack, node: GuardedNode) -> None:
    """The password is changed under a worker: it lives, tries ever more slowly, and comes back. The log tells the lost
    connection once, and the refusal behind it, which is the cause, once more (B4, D8)."""
    worker = stack.start()
    node.control("change_password", "guest", "another")
    try:
        node.control("close_all_connections", "test")
        wait_until(lambda: "ACCESS_REFUSED" in worker.output, "the cause is told")
        cause = "not connected to the broker: the user name or password is refused"
        wait_until(lambda: cause in worker.get("/readyz")[1], "/readyz names the cause")
    finally:
        node.control("change_password", "guest", "guest")
    wait_until(lambda: bool(worker.told("broker.back")), "the way back is told")
    worker.wait_until_ready()
    told = [line["event"] for line in worker.told() if line["event"] != "library"]
    since = told[told.index("broker.unavailable") :]
    assert since in (["broker.unavailable", "broker.back"], ["broker.unavailable"] * 2 + ["broker.back"])
    assert "Traceback" not in worker.output
    stack.outside.send(new_job("after"))
    wait_until(lambda: worker.metric("jobs_finished_total", status="placed") == 1, "a job is placed")
