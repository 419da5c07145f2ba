"""Workers whose state is on a Redis Cluster of three, with their broker on a Redis of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, redis_cluster
from tests.integration.conftest import BrokerUrl
from tests.integration.outside import new_job
from tests.integration.receiver import Receiver, local_hook
from tests.integration.stack import Stack
from tests.integration.stand_in import StandIn
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.celery_edge.consumer import PREFETCH
from worker.core.shards import in_a_cluster, shard_of
from worker.redisio.cluster import slot_of

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
NAMES = [f"account-{n}" for n in range(12)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with redis_cluster() as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def stack(
    tmp_path: Path, cluster: Cluster, own_redis: RedisServer, provider: StandIn, receiver: Receiver
) -> Iterator[Stack]:
    cluster.empty()
    hooked = {"webhooks": [local_hook(f"{receiver.url}/hook", secret_env="HOOK_SECRET")]}
    accounts = {name: {"rate": "20/s", "concurrency": 50, **hooked} for name in NAMES}
    with Stack(
        tmp_path,
        own_redis.url,
        own_redis.url,
        provider.url,
        accounts,
        REDIS_URL=cluster.url,
        HOOK_SECRET=SECRET,
    ) as made:
        yield made


def callworker(stack: Stack, *words: str) -> Any:
    """Run a command; return what it prints, as JSON if it is asked for."""
    done = stack.command(*words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if "--json" in words else done.stdout


def test_jobs_on_a_cluster(stack: Stack, provider: StandIn, receiver: Receiver) -> None:
    """Calls, events, webhooks and commands are as on one server, and a worker stops as it should."""

    def shown(*words: str) -> Any:
        return callworker(stack, *words, "--json")

    worker = stack.start()
    jobs = [new_job(f"job-{n}", NAMES[n % len(NAMES)]) for n in range(60)]
    stack.outside.send(*jobs)
    events = stack.outside.wait(job["id"] for job in jobs)
    assert {event["type"] for event in events.values()} == {"call.placed"}
    assert provider.rung(*(job["phone"] for job in jobs)) == [1] * 60
    wait_until(lambda: len(receiver.hooks) >= 60, "all webhooks have come")
    callworker(stack, "accounts", "hold", NAMES[0], "--why", "a test")
    stack.outside.send(new_job("held", NAMES[0]))
    wait_until(lambda: _state(stack, "held") == "waiting", "the job of a held account waits")
    assert _state(stack, "job-1") == "placed"
    assert {row["account"]: row["waiting"]["held"] for row in shown("accounts")}[NAMES[0]] == 1
    assert len(shown("webhooks", "list")) == len(NAMES)
    assert [row["act"] for row in shown("audit")] == ["accounts hold"]
    callworker(stack, "accounts", "resume", NAMES[0])
    stack.outside.wait(["held"])
    stack.outside.plain({"account": NAMES[1]})
    wait_until(lambda: len(shown("dead", "list")) == 1, "what is no job is a dead letter")
    worker.terminate()
    assert worker.exit_status() == 0
    assert {line["event"] for line in worker.told() if line["level"] != "info"} == {"message.dead"}, (
        worker.output
    )


def test_shards_move_under_load(stack: Stack, cluster: Cluster, provider: StandIn) -> None:
    """Their accounts pause meanwhile. No job is lost, none is dialled twice, and every one has one outcome."""
    stack.start()
    layout = in_a_cluster()
    shards = sorted({shard_of(name, layout.shards) for name in NAMES})[:4]
    jobs = [new_job(f"moved-{n}", NAMES[n % len(NAMES)]) for n in range(240)]
    stack.outside.send(*jobs)
    wait_until(lambda: len(stack.outside.delivered) >= 20, "the first calls are over")
    for shard in shards:
        slot = slot_of(f"{{{layout.tags[shard]}}}")
        source = cluster.owner_of(slot)
        target = (source + 1) % 3
        cluster.begin_move(slot, source, target)
        while cluster.move_keys(slot, source, target, most=3):
            pass
        cluster.end_move(slot, source, target)
    events = stack.outside.wait(job["id"] for job in jobs)
    assert {event["type"] for event in events.values()} == {"call.placed"}
    assert provider.rung(*(job["phone"] for job in jobs)) == [1] * len(jobs)


@pytest.mark.endurance
def test_primary_is_killed_under_load(tmp_path: Path, own_redis: RedisServer, provider: StandIn) -> None:
    """A replica takes over. No job is lost or dialled twice, and accounts on other servers do not wait for that."""
    accounts = {name: {"rate": "3/s", "concurrency": 50} for name in NAMES}
    url = own_redis.url
    with (
        redis_cluster(3, 3) as cluster,
        Stack(tmp_path, url, url, provider.url, accounts, REDIS_URL=cluster.url, REDIS_REPLICAS="1") as stack,
    ):
        elsewhere = [name for name in NAMES if cluster.owner_of(_slot(name)) != 0]
        stack.start()
        jobs = [new_job(f"killed-{n}", NAMES[n % len(NAMES)]) for n in range(120)]
        stack.outside.send(*jobs)
        wait_until(lambda: len(stack.outside.delivered) >= 24, "the first calls are over")
        cluster.servers[0].kill()
        before = len(provider.asked)
        wait_until(lambda: len(provider.asked) >= before + len(elsewhere), "the others are dialled")
        # The new primary waits for a replica too.
        wait_until(lambda: cluster.clients[3].info("replication")["role"] == "master", "a replica takes over")
        cluster.servers[0].start()
        events = stack.outside.wait(job["id"] for job in jobs)
        assert {event["type"] for event in events.values()} == {"call.placed"}
        assert provider.rung(*(job["phone"] for job in jobs)) == [1] * len(jobs)


@pytest.mark.parametrize("way", ["send", "plain"])
def test_jobs_of_a_server_that_is_away_let_others_through_a_shared_queue(
    tmp_path: Path, own_redis: RedisServer, broker_url: BrokerUrl, provider: StandIn, way: str
) -> None:
    """More of them stand before the others in RabbitMQ's queue than it delivers at once."""
    accounts = {name: {"rate": "999/s", "burst": 500, "concurrency": 500} for name in NAMES}
    with (
        redis_cluster(3) as cluster,
        Stack(
            tmp_path,
            own_redis.url,
            broker_url("amqp"),
            provider.url,
            accounts,
            REDIS_URL=cluster.url,
        ) as stack,
    ):
        away = next(name for name in NAMES if cluster.owner_of(_slot(name)) == 0)
        present = next(name for name in NAMES if cluster.owner_of(_slot(name)) != 0)
        # The claim of an id is where the id says.
        ids = (f"other-{n}" for n in range(99))
        known = next(one for one in ids if cluster.owner_of(slot_of(f"callworker:id:{one}")) != 0)
        stack.start()
        cluster.servers[0].kill()
        jobs = [new_job(f"away-{n}", away) for n in range(3 * PREFETCH)]
        put = getattr(stack.outside, way)
        put(*jobs, new_job(known, present))
        assert stack.outside.wait([known])[known]["type"] == "call.placed"
        assert len(provider.asked) == 1
        cluster.servers[0].start()
        stack.outside.wait(job["id"] for job in jobs)
        assert provider.rung(*(job["phone"] for job in jobs)) == [1] * len(jobs)


def _slot(account: str) -> int:
    layout = in_a_cluster()
    return slot_of(f"{{{layout.tags[shard_of(account, layout.shards)]}}}")


def _state(stack: Stack, job_id: str) -> str:
    return str(callworker(stack, "job", job_id, "--json")["state"])
