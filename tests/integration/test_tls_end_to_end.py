"""Whole workers whose every connection to Redis and the broker has TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.integration.outside import new_job
from tests.integration.stack import Stack
from tests.rabbit import GuardedNode
from tests.redis_server import RedisServer
from tests.tls import Authority, TlsDoor
from worker.sandbox import Sandbox

ACCOUNTS = {"acme": {"rate": "6000/m", "burst": 50, "concurrency": 50}}
JOBS = [new_job(f"job-{n}") for n in range(100)]


@pytest.fixture
def secured_redis(own_redis: RedisServer, tmp_path: Path) -> Iterator[str]:
    """The address of `own_redis`, which is empty, behind TLS."""
    authority = Authority(tmp_path, "ours")
    with redis.Redis.from_url(own_redis.url) as client:
        client.flushall()
    with TlsDoor(own_redis.port, authority.issue("redis")) as door:
        yield f"rediss://localhost:{door.port}/0?ssl_ca_certs={authority.pair.certificate}"


@pytest.mark.parametrize("broker", ["redis", "amqp"])
def test_jobs_and_events_travel_over_tls(
    tmp_path: Path, own_redis: RedisServer, secured_redis: str, node: GuardedNode, broker: str
) -> None:
    """Every job that plain producers send is placed, and its event comes out, with either broker (E3)."""
    node.empty()
    plain = own_redis.url if broker == "redis" else node.url()
    over_amqp = f"amqps://guest:guest@localhost:{node.tls_port}//?ssl_ca_certs={node.authority}"
    secured = secured_redis if broker == "redis" else over_amqp
    with (
        Sandbox() as sandbox,
        Stack(tmp_path, secured_redis, plain, sandbox.url, ACCOUNTS, BROKER_URL=secured) as stack,
    ):
        stack.outside.redis = redis.Redis.from_url(own_redis.url)
        worker = stack.start()
        stack.outside.send(*JOBS[:60])
        stack.outside.plain(*JOBS[60:])
        events = stack.outside.wait(job["id"] for job in JOBS)
        assert {event["type"] for event in events.values()} == {"call.placed"}
        worker.terminate()
        assert worker.exit_status() == 0
