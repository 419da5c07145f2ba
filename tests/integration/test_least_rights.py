"""A whole installation with TLS whose users have only the rights that docs/reference/settings.md asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from tests.integration.outside import Outside, new_job
from tests.integration.receiver import Receiver, local_hook
from tests.integration.stack import PROJECT, Stack, Worker
from tests.processes import wait_until
from tests.rabbit import GuardedNode
from tests.redis_server import RedisServer
from tests.tls import Authority, TlsDoor
from worker.broker.own_queue import OwnQueue
from worker.cli import program
from worker.sandbox import Sandbox

PAGE = (PROJECT / "docs/reference/settings.md").read_text(encoding="utf-8")
STATE_ALONE = ("~callworker:*", "~{callworker:*")
"""The keys that a user needs if RabbitMQ is the broker, as the page says."""

OPTIONAL = {"client|setinfo"}
"""What may be refused, as the page says."""

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
JOBS = [new_job(f"job-{n}") for n in range(20)]
NEW = ("enqueue", "--account", "acme", "--country", "1", "--phone", "2125550123", "--code", "4711")
ACTS = (
    ("accounts", "hold", "acme", "--reason", "invoice open"),
    (*NEW, "--id", "held"),
    ("job", "held"),
    ("accounts",),
    ("accounts", "resume", "acme"),
    (*NEW, "--id", "waited-for", "--wait"),
    ("job", "waited-for"),
    ("cancel", "not-sent-yet"),
    ("results", "--peek"),
    ("webhooks", "list"),
    ("webhooks", "test", "orders"),
    ("webhooks", "disable", "orders"),
    ("webhooks", "enable", "orders"),
    ("webhooks", "replay", "orders", "--since", "1h"),
    ("webhooks", "show", "orders", "--sequence", "1"),
    ("dead", "list"),
    ("audit",),
    ("doctor", "--offline"),
)


@pytest.fixture
def store(own_redis: RedisServer) -> Iterator[redis.Redis]:
    """The administrator of `own_redis`, which is empty and has refused nobody yet."""
    with redis.Redis.from_url(own_redis.url) as client:
        client.flushall()
        client.acl_log_reset()
        yield client
        client.acl_deluser("callworker")


@pytest.fixture(params=["redis", "amqp"])
def stack(
    request: pytest.FixtureRequest, tmp_path: Path, own_redis: RedisServer, store: redis.Redis
) -> Iterator[Stack]:
    """An installation of the user `callworker`; Redis or RabbitMQ is the broker."""
    authority = Authority(tmp_path, "ours")
    rabbit: GuardedNode | None = request.getfixturevalue("node") if request.param == "amqp" else None
    _create_user(store, STATE_ALONE if rabbit else None)
    with (
        TlsDoor(own_redis.port, authority.issue("redis")) as door,
        Sandbox() as sandbox,
        Receiver() as receiver,
    ):
        redis_url = (
            f"rediss://callworker:word@localhost:{door.port}/0?ssl_ca_certs={authority.pair.certificate}"
        )
        hook = local_hook(receiver.url, name="orders", secret_env="ORDERS_SECRET")
        accounts = {"acme": {"rate": "100/s", "burst": 50, "webhooks": [hook]}}
        made = Stack(
            tmp_path, redis_url, _broker(rabbit) or redis_url, sandbox.url, accounts,
            ORDERS_SECRET=SECRET, HOME=str(tmp_path),
        )  # fmt: skip
        made.outside = Outside(rabbit.url() if rabbit else own_redis.url, own_redis.url)
        if rabbit:
            rabbit.empty()
        with made:
            yield made
        assert len({hook.event_id for hook in receiver.hooks}) > len(JOBS)


def _create_user(store: redis.Redis, keys: tuple[str, ...] | None) -> None:
    """Create it with the command of the page, or with these keys in place of the page's."""
    (line,) = re.findall(r"^ACL SETUSER callworker on >password (.+)$", PAGE, re.MULTILINE)
    rights = [word for word in line.split() if keys is None or not word.startswith("~")]
    run: Any = store.execute_command
    run("ACL", "SETUSER", "callworker", "reset", "on", ">word", *rights, *(keys or ()))


def _broker(rabbit: GuardedNode | None) -> str:
    if rabbit is None:
        return ""
    return f"amqps://callworker:callworker@localhost:{rabbit.tls_port}//?ssl_ca_certs={rabbit.authority}"


def _act(stack: Stack, *words: str) -> str:
    done = CliRunner().invoke(program, list(words), env=stack.environ)
    assert done.exit_code == 0, (words, done.output)
    return done.output


def _see_a_job_as_a_listener(stack: Stack) -> None:
    """`webhooks listen` has a queue of its own, to which workers add."""
    with closing(OwnQueue(stack.broker_url)) as queue:
        stack.outside.plain(new_job("listened-to"))
        bodies: list[bytes] = []

        def arrived() -> bool:
            bodies.extend(queue.take())
            return bool(bodies)

        wait_until(arrived, "the listener gets the event")
    assert json.loads(bodies[0])["data"]["id"] == "listened-to"


def _lines_of_trouble(worker: Worker) -> list[dict[str, Any]]:
    return [line for line in worker.told() if line["level"] == "error"]


def test_rights_of_the_page_are_enough_for_everything(stack: Stack, store: redis.Redis) -> None:
    """Jobs, webhooks, every command, a worker's loss and its stop: no server refuses anything."""
    lost, worker = stack.start("run"), stack.start("run")
    stack.outside.send(*JOBS[:10])
    stack.outside.plain(*JOBS[10:], {"nonsense": 1})
    events = stack.outside.wait(job["id"] for job in JOBS)
    assert {event["type"] for event in events.values()} == {"call.placed"}
    stack.outside.wait_for_dead_letters(1)
    stack.outside.plain({"cancel": JOBS[0]["id"]}, {**JOBS[0], "ref": "another"})
    stack.outside.wait(["job.not_canceled", "job.conflict"])
    for words in ACTS:
        _act(stack, *words)
    (letter,) = json.loads(_act(stack, "dead", "list", "--json"))
    _act(stack, "dead", "drop", letter["id"])
    _see_a_job_as_a_listener(stack)
    lost.kill()
    stack.outside.send(new_job("after-the-loss"))
    stack.outside.wait(["after-the-loss"])
    worker.terminate()
    assert worker.exit_status() == 0
    assert _lines_of_trouble(lost) == _lines_of_trouble(worker) == []
    refused: Any = store.acl_log()
    assert {entry["object"] for entry in refused if entry["username"] == "callworker"} <= OPTIONAL
