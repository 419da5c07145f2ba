"""Cancels by every way in, with real workers, and the calls that a sandbox was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import BrokerUrl
from tests.integration.outside import Job, new_job
from tests.integration.stack import PROJECT, Stack
from tests.processes import START_SECONDS, wait_until
from tests.redis_server import RedisServer
from worker.producer import Producer
from worker.sandbox import Sandbox

ACCOUNTS = {"acme": {"rate": "1/h", "ttl": 3600}, "globex": {"rate": "50/s", "burst": 20}}
WAYS = ("celery", "plain", "producer", "command")


def command(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.cli", *words],
        env=stack.environ,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def cancel(stack: Stack, way: str, job_id: str) -> None:
    match way:
        case "celery":
            stack.outside.celery.send_task("calls.cancel", kwargs={"id": job_id}, queue="calls")
        case "plain":
            stack.outside.plain({"cancel": job_id, "account": "acme"})
        case "producer":
            with Producer(stack.broker_url) as producer:
                producer.cancel(job_id, account="acme")
        case _:
            done = command(stack, "cancel", job_id, "--why", "ordered twice")
            assert (done.returncode, done.stdout) == (0, f"{job_id}: canceled\n"), done.stderr


@pytest.mark.parametrize("broker", ["redis", "amqp"])
def test_canceled_jobs_ring_nobody(
    tmp_path: Path, own_redis: RedisServer, broker_url: BrokerUrl, broker: str
) -> None:
    """By every way in: a job that waits ends as canceled, one that comes later too, and one that was placed stays."""
    with (
        Sandbox() as sandbox,
        Stack(tmp_path, own_redis.url, broker_url(broker), sandbox.url, ACCOUNTS) as stack,
    ):
        outside = stack.outside
        outside.redis.flushall()
        worker = stack.start("run")
        first, waiting, early = new_job("first"), [new_job(way) for way in WAYS], new_job("early", "globex")
        end = new_job("end", "globex")
        outside.send(first)
        outside.wait(["first"])
        outside.send(*waiting)
        wait_until(lambda: worker.metric("jobs_accepted_total") == 1 + len(WAYS), "all jobs are on record")
        for way in WAYS:
            cancel(stack, way, way)
        events = outside.wait(WAYS)
        assert {event["type"] for event in events.values()} == {"call.expired"}
        assert {event["data"]["error"]["code"] for event in events.values()} == {"CANCELED"}

        cancel(stack, "plain", "first")
        outside.plain({"cancel": "early"}, {"cancel": "plain"})
        wait_until(lambda: bool(outside.redis.exists("callworker:id:early")), "the early cancel is noted")
        outside.send(early, {**first, "account": "globex"}, end)
        assert outside.wait(["early", "end"])["early"]["data"]["error"]["code"] == "CANCELED"
        outside.wait(["job.not_canceled", "job.conflict"])
        told = {kind: outside.event(kind)["data"] for kind in ("job.not_canceled", "job.conflict")}
        assert {kind: (data["id"], data["status"]) for kind, data in told.items()} == {
            "job.not_canceled": ("first", "placed"),
            "job.conflict": ("first", None),
        }
        again = command(stack, "cancel", "first", "--json")
        assert again.returncode == 1 and json.loads(again.stdout)["status"] == "placed"
        assert [served.phone for served in sandbox.requests()] == phones(first, end)
        assert worker.metric("jobs_finished_total", status="canceled") == len(WAYS)
        assert worker.metric("jobs_finished_total", status="expired") == 0
        assert outside.dead_letters() == []


def phones(*jobs: Job) -> list[str]:
    return [job["phone"] for job in jobs]
