"""A RabbitMQ that takes no messages, or is away, while no job waits: metrics, /readyz and log of a worker say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.stack import Stack, Worker
from tests.integration.stand_in import StandIn
from tests.processes import wait_until
from tests.rabbit import Node, need_rabbitmq, running
from tests.redis_server import RedisServer


class Bench:
    """A worker without jobs, and its RabbitMQ, which a test may stop by `broker.close()`."""

    def __init__(self, node: Node, broker: ExitStack, worker: Worker) -> None:
        self.node, self.broker, self.worker = node, broker, worker

    def wait_for_metric(self, sample: str) -> None:
        wait_until(lambda: f"callworker_{sample}\n" in self.worker.get("/metrics")[1], sample)

    def wait_for_problem(self, line: str) -> None:
        wait_until(lambda: line in self.worker.get("/readyz")[1], f"/readyz says: {line}")
        assert self.worker.get("/readyz")[0] == 503

    def wait_for_log(self, text: str) -> None:
        wait_until(lambda: any(text in str(line) for line in self.worker.told("broker.unavailable")), text)


@pytest.fixture
def bench(tmp_path: Path, own_redis: RedisServer) -> Iterator[Bench]:
    need_rabbitmq()
    folder = tmp_path / "rabbit"
    folder.mkdir()
    node = Node.configured(folder)
    with StandIn() as provider, ExitStack() as broker:
        broker.enter_context(running(node, folder))
        stack = Stack(tmp_path, own_redis.url, node.url(), provider.url, {"acme": {"rate": "9/s"}})
        with stack:
            yield Bench(node, broker, stack.start("run"))


def test_broker_that_takes_nothing_or_is_away_is_named_everywhere(bench: Bench) -> None:
    """First RabbitMQ's memory alarm, then its end, then no RabbitMQ: each has a metric, a line and a remedy."""
    bench.wait_for_metric("broker_blocked 0.0")
    bench.node.control("set_vm_memory_high_watermark", "0")
    bench.wait_for_metric("broker_blocked 1.0")
    bench.wait_for_problem(
        "the broker cannot be used: it is short of memory or disk space, so it takes no messages"
    )
    bench.wait_for_log("low on memory")
    bench.wait_for_log("rabbitmq-diagnostics alarms")
    bench.node.control("set_vm_memory_high_watermark", "0.9")
    bench.wait_for_metric("broker_blocked 0.0")
    bench.worker.wait_until_ready()
    bench.broker.close()
    bench.wait_for_metric("broker_up 0.0")
    bench.wait_for_problem(
        "the broker cannot be used: nothing listens there; start that server, or correct BROKER_URL"
    )
