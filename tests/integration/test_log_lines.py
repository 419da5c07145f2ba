"""Every line of a worker's output is a JSON object with an event of the list, from its start to its end."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.outside import new_job
from tests.integration.receiver import Receiver, local_hook
from tests.integration.stack import Stack, Worker
from tests.integration.stand_in import Asked, Reply, StandIn, gives_ref
from tests.processes import wait_until
from tests.rabbit import GuardedNode
from tests.redis_server import RedisServer
from tests.unit.test_log_events import documented

SECRET = "whsec_" + base64.b64encode(b"a secret of sorts, for a log").decode()
PIN = "48213"
HEAD = {"timestamp", "level", "event", "logger"}
CASES = [("run", "redis"), ("celery", "redis"), ("celery", "amqp")]


class Scene:
    """A worker on servers that a test can take away, with a provider that fails at the first try of each number."""

    def __init__(
        self, stack: Stack, provider: StandIn, how: str, away: Callable[[], None], back: Callable[[], None]
    ) -> None:
        self.stack, self.provider, self.away, self.back = stack, provider, away, back
        self.worker: Worker = stack.start(how, LOG_LEVEL="DEBUG")
        self.phones: list[str] = []

    def run(self, *job_ids: str) -> None:
        """Send jobs, and wait until each has ended and its webhook is delivered."""
        jobs = [new_job(job_id, code=PIN) for job_id in job_ids]
        self.phones += [job["phone"] for job in jobs]
        self.stack.outside.plain(*jobs)
        wait_until(lambda: self.delivered(*job_ids), "the webhooks are delivered")

    def delivered(self, *job_ids: str) -> bool:
        return {line["job_id"] for line in self.worker.told("webhook.delivered")} >= set(job_ids)

    def lines(self) -> list[dict[str, Any]]:
        """All that the worker has written, each line read as JSON."""
        return [json.loads(line) for line in self.worker.output.splitlines()]


def fails_once(asked: Asked) -> Reply:
    return Reply("busy", status=503) if asked.turn == 1 else gives_ref()


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path, own_redis: RedisServer, exits: ExitStack) -> Scene:
    how, broker = request.param
    with redis.Redis.from_url(own_redis.url) as client:
        client.flushall()
    away, back, url = own_redis.stop, own_redis.start, own_redis.url
    if broker == "amqp":
        node: GuardedNode = request.getfixturevalue("node")
        node.empty()
        away, back, url = (lambda: node.control("stop_app")), (lambda: node.control("start_app")), node.url()
    receiver = exits.enter_context(Receiver())
    provider = exits.enter_context(StandIn(fails_once))
    hook = local_hook(f"{receiver.url}/hook", secret_env="HOOK")
    accounts = {"acme": {"rate": "200/s", "burst": 100, "attempts": 20, "webhooks": [hook]}}
    stack = Stack(tmp_path, own_redis.url, url, provider.url, accounts, HOOK=SECRET)
    exits.enter_context(stack)
    exits.enter_context(stack.outside.not_reading())
    return Scene(stack, provider, how, away, back)


@pytest.mark.parametrize("scene", CASES, indirect=True, ids="-".join)
def test_every_line_of_a_run_is_json_with_an_event_of_the_list(scene: Scene) -> None:
    """Start, jobs, a message that is no job, the broker away, jobs again, SIGTERM: also what Celery itself says."""
    worker = scene.worker
    scene.run("first", "second")
    scene.stack.outside.publish("calls", b"{", "application/json")
    wait_until(lambda: bool(worker.told("message.dead")), "the message is dead")
    scene.away()
    wait_until(lambda: bool(worker.told("broker.unavailable", "store.unavailable")), "the outage is told")
    scene.back()
    worker.wait_until_ready()
    scene.run("third")
    worker.terminate()
    assert worker.exit_status() == 0
    lines, events = scene.lines(), documented()
    assert [line for line in lines if not line.keys() >= HEAD or line["event"] not in events] == []
    assert [line for line in lines if line["event"] == "library" and not line.get("message")] == []
    assert {"worker.started", "worker.signalled", "worker.stopped", "library"} <= {
        line["event"] for line in lines
    }


@pytest.mark.parametrize("scene", CASES[:1], indirect=True, ids="-".join)
def test_outage_of_the_provider_is_one_pair_of_lines(scene: Scene) -> None:
    """However many jobs it meets; each of them is called once it is over."""
    scene.provider.script = lambda asked: Reply("down", status=503)
    jobs = [new_job(f"meets-{n}") for n in range(20)]
    scene.stack.outside.stream(*jobs)
    wait_until(lambda: bool(scene.worker.told("provider.unavailable")), "the outage is told")
    scene.provider.script = lambda asked: gives_ref()
    wait_until(lambda: scene.delivered(*(job["id"] for job in jobs)), "all are called")
    pair = scene.worker.told("provider.unavailable", "provider.back")
    assert [(line["event"], line["level"], line["account"]) for line in pair] == [
        ("provider.unavailable", "error", "acme"),
        ("provider.back", "info", "acme"),
    ]
    assert (pair[0]["cause"], pair[0]["tries"] >= 5, pair[1]["seconds"] >= 0) == ("status", True, True)


@pytest.mark.parametrize("scene", CASES[:1], indirect=True, ids="-".join)
def test_every_line_of_a_job_names_it_and_its_event(scene: Scene) -> None:
    """From acceptance to webhook; PIN and number are in none, and lines of libraries are searched too."""
    scene.run("first")
    scene.worker.terminate()
    assert scene.worker.exit_status() == 0
    lines = [line for line in scene.lines() if re.match("job|call|webhook", line["event"])]
    assert {line["job_id"] for line in lines} == {"first"}
    ended = next(place for place, line in enumerate(lines) if line["event"] == "call.placed")
    (event_id,) = {line["event_id"] for line in lines[ended:]}
    assert event_id.startswith("evt_") and not any("event_id" in line for line in lines[:ended])
    assert [line["event"] for line in lines if line["level"] == "info"] == [
        "call.retrying",
        "call.placed",
        "webhook.delivered",
    ]
    assert not any(hidden in scene.worker.output for hidden in (PIN, SECRET[6:], *scene.phones))
