"""Workers with REDIS_REPLICAS whose replicas stand still, and whose Redis fails over to one that lags."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.contract.forwarder import Forwarder
from tests.integration.outside import Job, new_job
from tests.integration.stack import Stack, Worker
from tests.integration.stand_in import StandIn
from tests.processes import wait_until
from tests.replicas import Flock, flock

ACCOUNTS: dict[str, dict[str, Any]] = {"once": {"rate": "100/s", "burst": 50, "redials": 0}}


def jobs(name: str) -> list[Job]:
    return [new_job(f"{name}-{n}", "once") for n in range(20)]


def assert_rung_once(stack: Stack, provider: StandIn, sent: list[Job]) -> None:
    """Every job has one event and every phone rang once."""
    events = stack.outside.wait((job["id"] for job in sent), 60.0)
    assert {event["type"] for event in events.values()} == {"call.placed"}
    assert provider.rung(*(job["phone"] for job in sent)) == [1] * len(sent)


def missed(worker: Worker) -> bool:
    """Whether the worker has said that it lacks replicas."""
    return any("REDIS_REPLICAS" in line.get("remedy", "") for line in worker.told("store.unavailable"))


def test_nobody_is_called_while_replicas_stand_still(
    tmp_path: Path, provider: StandIn, exits: ExitStack
) -> None:
    """Store and broker in one: the log and /readyz say why, and all jobs are dialled once the replica is back."""
    one: Flock = exits.enter_context(flock(tmp_path / "servers", 1))
    stack = exits.enter_context(Stack(tmp_path, one.url, one.url, provider.url, ACCOUNTS, REDIS_REPLICAS="1"))
    worker, before, meanwhile = stack.start("run"), jobs("before"), jobs("meanwhile")
    stack.outside.stream(*before)
    assert_rung_once(stack, provider, before)
    one.freeze()
    stack.outside.stream(*meanwhile)
    wait_until(lambda: missed(worker), "the worker says that it lacks a replica")
    wait_until(lambda: "too few of its replicas" in worker.get("/readyz")[1], "/readyz says so")
    assert sum(provider.rung(*(job["phone"] for job in meanwhile))) == 0
    one.thaw()
    assert_rung_once(stack, provider, meanwhile)


def test_failover_to_a_replica_that_lags_has_nobody_called_twice(
    tmp_path: Path, provider: StandIn, exits: ExitStack, amqp_url: str
) -> None:
    """What the new primary lacks has had no consequence: no job is lost, none has two events, a repeat rings nobody."""
    three: Flock = exits.enter_context(flock(tmp_path / "servers", 2))
    address = exits.enter_context(Forwarder(three.primary.port))
    url = f"redis://127.0.0.1:{address.port}/0"
    stack = exits.enter_context(Stack(tmp_path, url, amqp_url, provider.url, ACCOUNTS, REDIS_REPLICAS="1"))
    workers = [stack.start("run") for _ in range(2)]
    before, behind, after = jobs("before"), jobs("behind"), jobs("after")
    stack.outside.plain(*before)
    wait_until(lambda: bool(provider.asked), "calls are under way")
    three.hold()
    stack.outside.plain(*behind)
    wait_until(lambda: any(map(missed, workers)), "the primary has writes that no replica has")
    three.fail_over()
    address.target = three.replicas[0].port
    stack.outside.plain(*before, *behind, *after)
    assert_rung_once(stack, provider, [*before, *behind, *after])
