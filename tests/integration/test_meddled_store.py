"""A real worker whose store somebody meddled with, judged by the provider and by what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.integration.outside import new_job
from tests.integration.stack import Stack
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.sandbox import Sandbox
from worker.state import keys

SHARD = keys.prefix_of("acme")


@pytest.fixture
def stack(tmp_path: Path, own_redis: RedisServer) -> Iterator[tuple[Stack, Sandbox]]:
    accounts = {"acme": {"rate": "50/s", "burst": 20}, "globex": {"rate": "50/s", "burst": 20}}
    url = own_redis.url
    with Sandbox() as sandbox, Stack(tmp_path, url, url, sandbox.url, accounts) as stack:
        yield stack, sandbox


@pytest.mark.parametrize("name", ["outbox", "due", "leases"])
def test_a_key_that_is_put_right_again_cost_no_event_and_no_second_call(
    stack: tuple[Stack, Sandbox], name: str
) -> None:
    """Jobs that need the key wait with their outcome, those of another shard go on, and the log names the key (E12)."""
    running, sandbox = stack
    worker = running.start("run")
    here = [new_job(f"{name}-here-{n}", "acme") for n in range(5)]
    there = [new_job(f"{name}-there-{n}", "globex") for n in range(5)]
    with redis.Redis.from_url(running.redis_url) as client:
        if client.exists(SHARD + name):
            client.rename(SHARD + name, "aside")
        client.set(SHARD + name, "meddled with")
        running.outside.stream(*here, *there)
        running.outside.wait(job["id"] for job in there)
        wait_until(lambda: f"{SHARD}{name}" in worker.output, "the key is told")
        client.delete(SHARD + name)
        if client.exists("aside"):
            client.rename("aside", SHARD + name)
    events = running.outside.wait((job["id"] for job in here), 60)
    assert {events[job["id"]]["type"] for job in here} == {"call.placed"}
    phones = [served.phone for served in sandbox.requests()]
    assert sorted(phones) == sorted(job["phone"] for job in (*here, *there))
