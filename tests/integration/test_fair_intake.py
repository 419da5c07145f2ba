"""A job that came after another account's flood does not wait until the flood is taken from the broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from tests.integration.conftest import BrokerUrl
from tests.integration.outside import new_job
from tests.integration.stack import Stack
from tests.integration.stand_in import Asked, Reply, StandIn, gives_ref
from tests.redis_server import RedisServer
from worker.broker.queues import queue_of
from worker.producer import enqueue, enqueue_many

FLOOD = 4000
FLOODING, OTHER = "acme", "globex"
ACCOUNTS: dict[str, dict[str, Any]] = {FLOODING: {"rate": "1/h", "ttl": 86400}, OTHER: {"rate": "100/s"}}


def not_taken(broker_url: str) -> int:
    """Return how many jobs of the flood are still in its queue."""
    with Connection(broker_url) as connection, connection.channel() as channel:
        return int(channel.queue_declare(queue_of(FLOODING).name, passive=True).message_count)


@pytest.mark.parametrize("broker", ["redis", "amqp"])
def test_a_job_behind_anothers_flood_is_called_before_the_flood_is_taken(
    tmp_path: Path, own_redis: RedisServer, broker_url: BrokerUrl, broker: str
) -> None:
    """Most of the flood, which came before the job, is still in its queue when the provider has the job's request."""
    assert queue_of(FLOODING) != queue_of(OTHER)
    left: list[int] = []
    url = broker_url(broker)

    def answer(asked: Asked) -> Reply:
        if asked.phone == job["phone"]:
            left.append(not_taken(url))
        return gives_ref()

    job = new_job("behind", OTHER)
    with (
        StandIn(answer) as provider,
        Stack(tmp_path, own_redis.url, url, provider.url, ACCOUNTS) as stack,
    ):
        stack.outside.redis.flushall()
        enqueue_many((new_job(f"flood-{n}", FLOODING) for n in range(FLOOD)), broker_url=url)
        enqueue(job, broker_url=url)
        stack.start()
        stack.outside.wait(["behind"])
    assert provider.rung(job["phone"]) == [1]
    assert left[0] > FLOOD / 2
