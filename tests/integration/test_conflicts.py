"""Another job under an id that is in use, as a producer and an operator hear of it from a real worker."""

from __future__ import annotations

from pathlib import Path

from tests.integration.outside import new_job
from tests.integration.stack import Stack
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.sandbox import Sandbox


def test_a_conflict_is_told_in_log_and_metrics_and_rings_nobody(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    """The fields that differ are named, their values are not, and the first job's phone alone is rung (D5)."""
    accounts = {"acme": {"rate": "50/s", "burst": 20}, "globex": {"rate": "50/s", "burst": 20}}
    url = own_redis.url
    with Sandbox() as sandbox, Stack(tmp_path, url, url, sandbox.url, accounts) as stack:
        worker = stack.start("run")
        first, end = new_job("taken", code="7391"), new_job("the-end", "globex")
        other, foreign = new_job("taken", code="8264"), new_job("taken", "globex")
        stack.outside.stream(first)
        stack.outside.wait(["taken"])
        stack.outside.stream(other, foreign, first, end)
        stack.outside.wait(["the-end"])
        wait_until(lambda: worker.metric("duplicates_total") == 3, "each repeat is counted")
        assert worker.metric("conflicts_total", account="acme") == 1
        assert worker.metric("conflicts_total", account="globex") == 1
        wait_until(lambda: len(worker.told("job.conflict")) == 2, "each conflict is told")
        told = [(line["level"], line["account"], line["differs"]) for line in worker.told("job.conflict")]
        assert told == [
            ("warning", "acme", "fields"),
            ("warning", "globex", "account"),
        ]
        assert not any(
            secret in worker.output for secret in ("7391", "8264", other["phone"], foreign["phone"])
        )
        assert [served.phone for served in sandbox.requests()] == [first["phone"], end["phone"]]
