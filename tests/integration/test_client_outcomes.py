"""The fake client and real workers on both brokers run the same jobs, and say the same about each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from callworker import Client, Event
from callworker.testing import FakeClient
from tests.integration.conftest import BrokerUrl
from tests.integration.stack import Stack
from tests.redis_server import RedisServer
from worker.sandbox import Sandbox

FIRST = "2125556666"
FAST = {"rate": "200/s", "burst": 100}
SECONDS = 90.0
ENDINGS = ("0001", "0002", "0004", "0005", "0006", "0009", "0012", "0013", "5555")
"""The rows of the sandbox's table that end within a few seconds."""


def job(job_id: str, phone: str = "2125555555", account: str = "acme", **more: str) -> dict[str, str]:
    return {"id": job_id, "account": account, "country": "1", "phone": phone, "code": "4711", **more}


JOBS = [
    *(job(f"row-{ending}", f"212555{ending}", ref=f"note {ending}") for ending in ENDINGS),
    job("late", expires_at="2020-01-01T00:00:00Z"),
    job("early"),
    job("first", FIRST, expires_at="2199-01-01T00:00:00Z"),
    job("first", "2125557777", ref="another"),
    job("first", FIRST, account="other"),
]

ENDS, NOTICES = len(ENDINGS) + 2, 4
"""Events of jobs, and of two conflicts and two cancels that change nothing."""


def run(client: Client) -> dict[tuple[str, ...], Any]:
    """Take a job back before it comes, and one that has ended; send the jobs, and read what becomes of all."""
    with client.events(("call.*", "job.*"), timeout=SECONDS) as events:
        client.cancel("early")
        client.enqueue(job("first", FIRST))
        assert events.wait("first", SECONDS)
        client.cancel("first")
        client.cancel("first", account="other")
        told: dict[tuple[str, ...], Any] = {}
        for event in events:
            told[event.type, event.data.id, event.data.account] = facts(event)
            if event.type == "job.not_canceled" and event.data.account == "acme":
                # Its cancel was sent behind that of the job that is to come, so that one has been taken too.
                client.enqueue_many(JOBS)
            if len(told) == ENDS + NOTICES:
                return told
    raise AssertionError(f"not all has come: {sorted(told)}")


def facts(event: Event) -> Mapping[str, Any]:
    """What a program sees of an event, without times, ids, refs and words for people."""
    data, error = event.data, event.error
    return {
        "data": (data.note, data.country, data.phone, data.attempts, data.ref is not None),
        "error": error and (error.code, dict(error.fields)),
        "names": set(event.raw["data"]),
        "fields": event.raw["data"].get("fields"),
        "status": event.raw["data"].get("status"),
    }


@pytest.mark.parametrize("kind", ["redis", "amqp"])
def test_fake_says_what_workers_say(
    kind: str, tmp_path: Path, own_redis: RedisServer, broker_url: BrokerUrl
) -> None:
    """Each job ends alike, with the same number of requests, error and fields; conflicts and cancels are told alike."""
    accounts = {"acme": FAST, "other": FAST}
    with (
        Sandbox() as sandbox,
        Stack(tmp_path, own_redis.url, broker_url(kind), sandbox.url, accounts) as stack,
    ):
        stack.outside.redis.flushall()
        stack.start()
        real = run(Client(stack.broker_url))
        assert len(sandbox.requests(FIRST)) == 1
    assert real == run(FakeClient())
