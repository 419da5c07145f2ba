"""`callworker drain` with real workers: nothing is taken in or dialled, and what was there goes on afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import BrokerUrl
from tests.integration.outside import new_job
from tests.integration.stack import Stack
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.sandbox import Sandbox

ACCOUNTS = {"acme": {"rate": "50/s", "burst": 20, "ttl": 3600}, "slow": {"rate": "1/h", "ttl": 3600}}


@pytest.mark.parametrize("broker", ["redis", "amqp"])
def test_drained_workers_ring_nobody_and_lose_nothing(
    tmp_path: Path, own_redis: RedisServer, broker_url: BrokerUrl, broker: str
) -> None:
    """A call in hand ends, what waits stays, and also a worker that starts meanwhile takes nothing in."""
    with (
        Sandbox() as sandbox,
        Stack(tmp_path, own_redis.url, broker_url(broker), sandbox.url, ACCOUNTS) as stack,
    ):
        outside = stack.outside
        outside.redis.flushall()
        worker = stack.start("run")
        long, first, waits = new_job("long"), new_job("first", "slow"), new_job("waits", "slow")
        long["phone"] = long["phone"][:-4] + "0010"
        outside.send(long, first)
        wait_until(lambda: len(sandbox.requests()) == 2, "both are dialled")
        outside.send(waits)
        wait_until(lambda: worker.metric("jobs_accepted_total") == 3, "all jobs are on record")
        done = stack.command("drain", "--reason", "move", "--json")
        told = json.loads(done.stdout)
        assert (done.exit_code, told["drained"], told["reason"]) == (0, True, "move"), done.stderr
        assert (told["workers"], told["workers_busy"], told["jobs_waiting"]) == (1, 0, 1)
        assert outside.wait(["long", "first"])["long"]["type"] == "call.placed"

        later = [new_job(f"later-{n}") for n in range(9)]
        outside.send(*later[:5])
        outside.plain(*later[5:])
        other = stack.start("run")
        again = json.loads(stack.command("drain", "--json").stdout)
        assert (again["drained"], again["workers"], again["messages"]) == (True, 2, len(later))
        assert again["since"] == told["since"]
        assert other.metric("dialling_paused", cause="drain") == 1 and other.get("/readyz")[0] == 200
        assert len(sandbox.requests()) == 2

        undone = stack.command("drain", "--undo", "--why", "moved")
        assert (undone.exit_code, "the drain is over" in undone.stdout) == (0, True)
        outside.wait([job["id"] for job in later])
        assert len(sandbox.requests()) == 2 + len(later) and outside.dead_letters() == []
        assert stack.command("drain", "--undo").stdout == "the workers were not drained\n"
        # The other worker may have done all of this before the first one looks again.
        wait_until(lambda: bool(worker.told("drain.ended")), "the worker tells that the drain is over")
        assert [line["event"] for line in worker.told("drain.began", "drain.ended")] == [
            "drain.began",
            "drain.ended",
        ]


def test_drain_that_is_not_complete_says_what_is_left(
    tmp_path: Path, own_redis: RedisServer, broker_url: BrokerUrl
) -> None:
    """A webhook that cannot be delivered is named after the wait, the exit status is 1, and the drain stays on."""
    hook = {"url": "http://127.0.0.1:9/", "allow_insecure": True, "allow_ports": [9], "secret_env": "SECRET"}
    accounts = {"acme": {**ACCOUNTS["acme"], "webhooks": [{**hook, "allow_networks": ["127.0.0.0/8"]}]}}
    secret = {"SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"}
    with (
        Sandbox() as sandbox,
        Stack(tmp_path, own_redis.url, broker_url("redis"), sandbox.url, accounts, **secret) as stack,
    ):
        stack.outside.redis.flushall()
        stack.start("run")
        stack.outside.send(new_job("a"))
        stack.outside.wait(["a"])
        done = stack.command("drain", "--wait", "4s")
        assert done.exit_code == 1 and "not drained yet: 1 webhook deliveries" in done.stdout
        assert "until `callworker drain --undo`" in done.stdout
        assert stack.outside.redis.exists("callworker:drain")
