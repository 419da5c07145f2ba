"""Nothing follows from a write before enough replicas have it. See docs/decisions/0026."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import redis

from callworker import AsyncClient, BrokerUnavailable, Client, ConfigurationError, Job
from callworker.message import queue_of
from tests.contract.forwarder import Forwarder
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, placed
from tests.processes import wait_until
from tests.replicas import Flock, flock
from worker.broker.redis_write_check import RedisWriteCheck
from worker.cli.doctor import servers
from worker.cli.doctor.finding import Finding, Grade
from worker.core.records import Application, Ending, Lease, Recorded, Seen, Source
from worker.core.retry import Tally
from worker.delivery.ports import OutgoingEvent
from worker.delivery.results import ResultsQueue
from worker.errors import StoreUnavailable
from worker.network.causes import Cause, cause_of
from worker.preflight import checks
from worker.preflight.greeting import ask_broker, ask_store
from worker.producer import Producer
from worker.redisio.connection import connect
from worker.redisio.replicas import MARK
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.settings import Settings
from worker.state.claims import Claim, Claims
from worker.state.dead_letters import RedisDeadLetters
from worker.state.file_ids import shared_secret
from worker.state.ledger import RedisLedger
from worker.state.write_check import WriteCheck

OWNER = account(rate="1000/s", burst=50, concurrency=50)
JOB = {"account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}
EVENT = [OutgoingEvent("call.placed", "{}")]


@pytest.fixture(scope="module")
def servers_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flock]:
    with flock(tmp_path_factory.mktemp("flock"), 1) as made:
        yield made


@pytest.fixture
def one(servers_of_all: Flock) -> Iterator[Flock]:
    """An empty Redis with one replica."""
    servers_of_all.clients[0].flushall()
    yield servers_of_all
    servers_of_all.thaw()
    wait_until(lambda: servers_of_all.online() == 1, "the replica is online again")


@pytest.fixture
def client(one: Flock) -> Iterator[redis.Redis]:
    """A client whose writes count once one replica has them."""
    with connect(one.url, replicas=1) as connected:
        yield connected


@pytest.fixture
def ledger(client: redis.Redis) -> RedisLedger:
    return redis_ledger(client)


def hasty() -> AbstractContextManager[object]:
    """Wait for replicas only a moment, where none will answer."""
    return patch("callworker.replicas.MAX_WAIT_SECONDS", 0.1)


@contextmanager
def refused(cause: Cause = Cause.REPLICAS) -> Iterator[None]:
    with pytest.raises(StoreUnavailable) as caught, hasty():
        yield
    assert cause_of(caught.value) is cause and "\n" not in str(caught.value)


def test_replica_has_what_the_worker_goes_on_from(one: Flock, ledger: RedisLedger) -> None:
    """At the moment in which the lease is there, the replica has the job, its intent and its claim."""
    _, replica = one.clients
    (lease,) = ledger.admit([application("a", OWNER)])
    assert isinstance(lease, Lease)
    assert replica.get("callworker:id:a") == b"acme"
    (record,) = replica.keys("callworker:*job:a")
    assert replica.hget(record, "state") == b"dialling"


def test_replica_that_stands_still_stops_every_step(one: Flock, client: redis.Redis) -> None:
    """No lease, outcome, letter or secret counts. Each is told as want of replicas, and comes once they are back."""
    ledger, letters = redis_ledger(client), RedisDeadLetters(client)
    (lease,) = ledger.admit([application("a", OWNER)])
    assert isinstance(lease, Lease)
    ending, waiting = Ending(lease, OWNER, Tally(sent=1), placed(lease)), [application("b", OWNER)]
    one.freeze()
    with refused():
        ledger.admit(waiting)
    with refused():
        ledger.record([ending])
    with refused():
        letters.bury("not JSON", Source.STREAM, b"?")
    with refused():
        shared_secret(one.url, 1)
    one.thaw()
    assert ledger.record([ending]) == [Recorded.DONE]
    (late,) = ledger.admit(waiting)
    assert isinstance(late, Lease) and late.tally.perhaps_rung == 0 and shared_secret(one.url, 1)


def test_reply_that_rests_on_a_write_of_another_connection_waits_too(one: Flock, ledger: RedisLedger) -> None:
    """A job is "seen" once replicas have it: else its message would be acknowledged, and a failover lose the job."""
    ledger.lease_due(1)
    one.freeze()
    with connect(one.url) as other:
        redis_ledger(other).admit([application("a", OWNER)])
    with refused():
        ledger.admit([application("a", OWNER)])
    one.thaw()
    assert ledger.admit([application("a", OWNER)]) == [Seen("dialling")]


def test_script_that_writes_nothing_waits_for_the_writes_of_others(one: Flock, client: redis.Redis) -> None:
    """`WAIT` alone speaks only of the writes of its own connection, of which there are none here."""
    scripts = Scripts(client, lambda _: "return redis.call('GET', KEYS[1])")
    call = ScriptCall("any", "somebody's", ())
    scripts.run(call)
    one.freeze()
    with connect(one.url) as other:
        other.set("somebody's", "word")
    with refused():
        scripts.run(call)
    one.thaw()
    assert scripts.run(call) == b"word"


def test_claim_counts_once_replicas_have_it(one: Flock, client: redis.Redis) -> None:
    """What follows may be on another server, which says nothing of this one's replicas."""
    claims = Claims(Scripts(client, str), 1000)
    one.freeze()
    with refused():
        claims.owners([Claim("a", "acme")])


def test_reading_for_people_waits_for_nobody(one: Flock, client: redis.Redis) -> None:
    """Pages and commands that show something work without replicas."""
    one.freeze()
    assert Scripts(client, lambda _: "return 1").read_all([ScriptCall("any", "a", ())]) == [1]


def test_full_server_still_takes_outcomes(one: Flock, ledger: RedisLedger) -> None:
    """It refuses the small write that goes before the question. What it accepts are writes themselves."""
    (lease,) = ledger.admit([application("a", OWNER)])
    assert isinstance(lease, Lease)
    primary, replica = one.clients
    primary.config_set("maxmemory", "1")
    try:
        recorded = ledger.record([Ending(lease, OWNER, Tally(sent=1), placed(lease))])
        assert recorded == [Recorded.DONE] and replica.hget(*_state("a", replica)) == b"placed"
        with refused(Cause.MEMORY):
            ledger.admit([application("b", OWNER)])
    finally:
        primary.config_set("maxmemory", "0")


def _state(job_id: str, server: Any) -> tuple[bytes, str]:
    (record,) = server.keys(f"callworker:*job:{job_id}")
    return record, "state"


def test_fewer_replicas_than_asked_for_are_not_enough(one: Flock) -> None:
    """One of two is no two."""
    with connect(one.url, replicas=2) as client, refused():
        redis_ledger(client).admit([application("a", OWNER)])


def test_without_the_setting_nothing_waits_and_nothing_is_written_for_it(one: Flock) -> None:
    """A replica that stands still does not matter, and no command is added to a round trip."""
    primary, _ = one.clients
    one.freeze()
    with connect(one.url) as client:
        primary.config_resetstat()
        (lease,) = redis_ledger(client).admit([application("a", OWNER)])
        used = primary.info("commandstats")
    assert isinstance(lease, Lease) and "cmdstat_wait" not in used and not primary.exists(MARK)


def test_events_count_as_published_once_replicas_have_them(one: Flock) -> None:
    """Else they would leave the outbox, and a failover of the broker lose them."""
    _, replica = one.clients
    with closing(ResultsQueue(one.url, replicas=1)) as results:
        results.publish(EVENT)
        assert replica.llen("results") == 1
        one.freeze()
        with pytest.raises(BrokerUnavailable, match="NOREPLICAS") as caught, hasty():
            results.publish(EVENT)
        assert cause_of(caught.value) is Cause.REPLICAS
        one.thaw()
        results.publish(EVENT)


def through_client(url: str) -> str:
    with Client(url, replicas=1) as client:
        return client.enqueue(Job(**JOB))


def through_asyncio(url: str) -> str:
    async def send() -> str:
        async with AsyncClient(url, replicas=1) as client:
            return await client.enqueue(Job(**JOB))

    return asyncio.run(send())


def through_producer(url: str) -> str:
    with Producer(url) as producer:
        return producer.enqueue(Job(**JOB))


@pytest.mark.parametrize("enqueue", [through_client, through_asyncio, through_producer])
def test_job_counts_as_sent_once_replicas_have_it(
    one: Flock, monkeypatch: pytest.MonkeyPatch, enqueue: Callable[[str], str]
) -> None:
    """A program that goes on after `enqueue` may rely on the job, whichever server fails."""
    monkeypatch.setenv("REDIS_REPLICAS", "1")
    _, replica = one.clients
    enqueue(one.url)
    assert replica.llen(queue_of("acme")) == 1
    one.freeze()
    with pytest.raises(BrokerUnavailable, match="0 of 1 replicas"), hasty():
        enqueue(one.url)
    one.thaw()
    enqueue(one.url)


def test_client_refuses_a_number_that_no_server_has() -> None:
    for wrong in (-1, 6):
        with pytest.raises(ConfigurationError, match="replicas: allowed is a whole number from 0 to 5"):
            Client("redis://127.0.0.1:1/0", replicas=wrong)


def test_old_primary_that_nobody_told_is_left(tmp_path: Path) -> None:
    """It still answers as the primary and refuses nothing. Its missing replicas are word enough to connect again."""
    with flock(tmp_path, 2) as three:
        old, new, other = three.clients
        port = three.primary.port
        with Forwarder(port) as address, connect(f"redis://127.0.0.1:{address.port}/0", replicas=1) as client:
            ledger = redis_ledger(client)
            ledger.admit([application("before", OWNER)])
            new.replicaof("NO", "ONE")
            other.replicaof("127.0.0.1", three.replicas[0].port)
            wait_until(lambda: new.info("replication")["connected_slaves"] == 1, "the new one has a replica")
            wait_until(lambda: other.info("replication")["master_link_status"] == "up", "it follows")
            address.target = three.replicas[0].port
            with refused():
                ledger.admit([application("lost", OWNER)])
            assert old.exists("callworker:id:lost") and not new.exists("callworker:id:lost")
            (lease,) = ledger.admit([application("lost", OWNER)])
            assert isinstance(lease, Lease) and lease.fence == 1 and new.exists("callworker:id:lost")


def test_failover_to_replicas_that_lag_loses_nothing_that_counted(tmp_path: Path) -> None:
    """What they lack was never answered: each job is admitted there as if it had not come."""
    batch: list[Application] = [application(f"job-{n}", OWNER) for n in range(20)]
    with flock(tmp_path, 2) as three:
        with connect(three.url, replicas=1) as client:
            ledger = redis_ledger(client)
            leases = ledger.admit(batch[:10])
            three.hold()
            with refused():
                ledger.admit(batch[10:])
        with connect(three.fail_over(), replicas=1) as client:
            again = redis_ledger(client).admit(batch)
    assert all(isinstance(lease, Lease) and lease.fence == 1 for lease in (*leases, *again[10:]))
    assert again[:10] == [Seen("dialling")] * 10


def found(url: str, replicas: int) -> dict[str, Finding]:
    """Return what doctor says of the store, by subject."""
    settings = Settings.from_env({"REDIS_URL": url, "REDIS_REPLICAS": str(replicas)})
    return {each.name: each for each in servers.store(settings)}


def test_checks_tell_of_missing_replicas(one: Flock, client: redis.Redis) -> None:
    """Doctor, readiness and metrics say why nothing is dialled, and what to do."""
    assert found(one.url, 1)["Redis replicas"].grade is Grade.OK
    assert "REDIS_REPLICAS" in found(one.url, 0)["Redis replicas"].text
    assert WriteCheck(client).ask().problem is None and RedisWriteCheck(client).ask().problem is None
    with hasty():
        said = found(one.url, 2)
    assert "1 keep up, and REDIS_REPLICAS asks for 2" in said["Redis replicas"].text
    assert said["Redis replicas"].grade is said["Redis writes"].grade is Grade.FAIL
    assert "lower REDIS_REPLICAS" in said["Redis writes"].remedy
    one.freeze()
    with hasty():
        problems = (WriteCheck(client).ask().problem, RedisWriteCheck(client).ask().problem)
    for problem in problems:
        assert problem is not None and cause_of(problem) is Cause.REPLICAS


def test_start_needs_the_right_to_wait_and_not_the_replicas(one: Flock) -> None:
    """A right is for the operator to give; replicas that are missing may come."""
    primary, _ = one.clients
    ask_store(one.url, 2)
    ask_broker(one.url, "REDIS_URL", replicas=2)
    primary.execute_command("ACL", "SETUSER", "few", "reset", "on", ">word", "~*", "&*", "+@all", "-wait")
    url = one.url.replace("redis://", "redis://few:word@")
    ask_store(url)
    with pytest.raises(ConfigurationError, match=r"^REDIS_URL: [^\n]*lacks rights[^\n]*wait[^\n]*$"):
        ask_store(url, 1)
    with pytest.raises(ConfigurationError, match=r"^BROKER_URL: [^\n]*wait[^\n]*$"):
        ask_broker(url, "BROKER_URL", replicas=1)
    with connect(url, replicas=1) as few, refused(Cause.RIGHTS):
        redis_ledger(few).admit([application("a", OWNER)])


def test_replica_itself_is_told_as_such(one: Flock) -> None:
    """Also one that takes writes: these are nobody else's."""
    _, replica = one.clients
    url = one.replicas[0].url
    for read_only in ("yes", "no"):
        replica.config_set("replica-read-only", read_only)
        ask_store(url, 1)
        with connect(url, replicas=1) as client, refused(Cause.REPLICA):
            redis_ledger(client).admit([application("a", OWNER)])
    replica.config_set("replica-read-only", "yes")


def test_embedded_server_has_no_replicas() -> None:
    """A worker on it would wait for ever, so it does not start."""
    with pytest.raises(ConfigurationError) as caught:
        checks.check(Settings.from_env({"REDIS_REPLICAS": "1"}), environ={})
    assert any(line.startswith("REDIS_REPLICAS: needs REDIS_URL") for line in caught.value.problems)
