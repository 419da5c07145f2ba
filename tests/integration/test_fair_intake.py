"""A job that came after another account's flood does not wait until the flood is taken from the broker."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import BrokerUrl
from tests.integration.outside import new_job
from tests.integration.stack import Stack
from tests.integration.stand_in import StandIn
from tests.redis_server import RedisServer
from worker.broker.queues import queue_of
from worker.producer import enqueue, enqueue_many
from worker.state import keys

FLOOD = 4000
FLOODING, OTHER = "acme", "globex"
ACCOUNTS: dict[str, dict[str, Any]] = {FLOODING: {"rate": "1/h", "ttl": 86400}, OTHER: {"rate": "100/s"}}


def taken_before(client: Any, moment: str) -> int:
    """Return how many jobs of the flood had been accepted then, by the clock of Redis."""
    pipeline = client.pipeline(transaction=False)
    for n in range(FLOOD):
        pipeline.hget(f"{keys.prefix_of(FLOODING)}job:flood-{n}", "accepted")
    until_us = datetime.fromisoformat(moment).timestamp() * 1_000_000
    return sum(int(accepted_us) < until_us for accepted_us in pipeline.execute() if accepted_us)


@pytest.mark.parametrize("broker", ["redis", "amqp"])
def test_a_job_behind_anothers_flood_is_accepted_before_the_flood_is_taken(
    tmp_path: Path, own_redis: RedisServer, broker_url: BrokerUrl, broker: str
) -> None:
    """Most of the flood, which came before the job, is not on record when the job is accepted. It is called, too."""
    assert queue_of(FLOODING) != queue_of(OTHER)
    url, job = broker_url(broker), new_job("behind", OTHER)
    with (
        StandIn() as provider,
        Stack(tmp_path, own_redis.url, url, provider.url, ACCOUNTS) as stack,
    ):
        stack.outside.redis.flushall()
        enqueue_many((new_job(f"flood-{n}", FLOODING) for n in range(FLOOD)), broker_url=url)
        enqueue(job, broker_url=url)
        stack.start()
        accepted = stack.outside.wait(["behind"])["behind"]["data"]["accepted_at"]
        before = taken_before(stack.outside.redis, accepted)
    assert provider.rung(job["phone"]) == [1]
    assert before < FLOOD / 2
