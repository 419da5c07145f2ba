"""The moves that the pages describe, step by step on real servers, under load, with a sandbox that counts calls."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from tests.integration.conftest import BrokerUrl
from tests.integration.outside import Job, Outside, new_job
from tests.integration.stack import Stack
from tests.processes import wait_until
from tests.rabbit import rabbitmq
from tests.redis_server import RedisServer, follow
from worker.errors import BrokerUnavailable
from worker.producer import Producer
from worker.sandbox import Sandbox

pytestmark = pytest.mark.endurance

ACCOUNTS = {
    "acme": {"rate": "100/s", "burst": 50, "ttl": 3600},
    "slow": {"rate": "2/s", "burst": 1, "ttl": 3600},
}
"""Jobs of the second account wait, whatever the machine does meanwhile, until workers with `FAST` take over."""
FAST = {**ACCOUNTS, "slow": ACCOUNTS["acme"]}


def callworker(stack: Stack, *words: str, complete: bool = True) -> str:
    """Run a command with the settings of a worker; unless it need not be `complete`, it must succeed."""
    done = stack.command(*words)
    assert done.exit_code == 0 or (not complete and done.exit_code == 1), done.output
    return done.stdout


class Load:
    """A producer that sends one job after the other to `url`, each until the broker has taken it; in a thread."""

    def __init__(self, url: str) -> None:
        self.url, self.sent = url, list[Job]()
        self._job: Job | None = None
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        """Stop; a job that was not taken is not among those that were sent."""
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        numbers = itertools.count()
        while not self._ends.is_set():
            with suppress(BrokerUnavailable), Producer(self.url) as producer:
                self._send(producer, numbers)

    def _send(self, producer: Producer, numbers: Iterator[int]) -> None:
        """Send jobs until the address changes. One that was not taken is sent again under its id."""
        url = self.url
        while url == self.url and not self._ends.wait(0.02):
            if self._job is None:
                number = next(numbers)
                self._job = new_job(f"job-{number}", "slow" if number % 10 == 0 else "acme")
            producer.enqueue(self._job)
            self.sent.append(self._job)
            self._job = None


def fail_over(old: RedisServer, new: RedisServer) -> None:
    """Have `new`, which follows `old`, take its place with all that it has; `old` then refuses writes."""
    with redis.Redis.from_url(old.url) as client, redis.Redis.from_url(new.url) as successor:
        client.execute_command("FAILOVER", "TO", "127.0.0.1", str(new.port), "TIMEOUT", "20000")
        wait_until(lambda: successor.info("replication")["role"] == "master", "the new server is the primary")


def once(jobs: list[Job], sandbox: Sandbox, *outsides: Outside) -> None:
    """Check that each job rang its phone once, and ended with one event that says so."""
    ids = {job["id"] for job in jobs}
    told = [one for outside in outsides for found in outside.delivered.values() for one in found]
    events = {one.event["id"]: one.event for one in told}
    assert Counter(event["data"]["id"] for event in events.values()) == Counter(ids)
    assert {event["type"] for event in events.values()} == {"call.placed"}
    assert Counter(call.phone for call in sandbox.requests()) == Counter(job["phone"] for job in jobs)


def end_all(stack: Stack) -> None:
    for worker in stack.workers:
        worker.terminate()
    assert [worker.exit_status() for worker in stack.workers] == [0] * len(stack.workers)


def waits(jobs: list[Job], *outsides: Outside) -> None:
    """Wait until all of the jobs have their events at one of these."""
    wait_until(
        lambda: {job["id"] for job in jobs} <= {name for one in outsides for name in one.delivered},
        "all jobs have ended",
    )


def test_move_to_another_redis_loses_nothing(tmp_path: Path) -> None:
    """Redis is store and broker; producers go on sending, and each call is made once."""
    folders = [tmp_path / name for name in ("a", "b", "old", "new")]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as exits:
        a, b = (exits.enter_context(RedisServer(folder)) for folder in folders[:2])
        sandbox = exits.enter_context(Sandbox())
        old = exits.enter_context(Stack(folders[2], a.url, a.url, sandbox.url, ACCOUNTS))
        new = Stack(folders[3], b.url, b.url, sandbox.url, FAST)
        worker = old.start("run")
        load = Load(a.url)
        with load.running():
            wait_until(lambda: worker.metric("jobs_waiting") > 0, "jobs wait while others are dialled")
            follow(redis.Redis.from_url(b.url), redis.Redis.from_url(a.url))
            assert json.loads(callworker(old, "drain", "--reason", "move", "--json"))["drained"]
            end_all(old)
            calls = len(sandbox.requests())
            with old.outside.not_reading():
                fail_over(a, b)
                exits.enter_context(new)
                load.url = b.url
                new.start("run")
                callworker(new, "drain", "--json")
                sent = len(load.sent)
                wait_until(lambda: len(load.sent) > sent + 20, "producers send to the new server")
                assert len(sandbox.requests()) == calls
                callworker(new, "drain", "--undo", "--why", "moved")
                wait_until(lambda: len(sandbox.requests()) > calls, "the new workers make calls")
                load.end()
                waits(load.sent, old.outside, new.outside)
        once(load.sent, sandbox, old.outside, new.outside)


def test_move_to_another_rabbitmq_and_redis_loses_nothing(tmp_path: Path) -> None:
    """Producers go first: what they send waits at the new broker, while the old workers empty the old one."""
    folders = [tmp_path / name for name in ("a", "b", "old", "new")]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as exits:
        node = exits.enter_context(rabbitmq())
        node.control("add_vhost", "new")
        node.control("set_permissions", "-p", "new", "guest", ".*", ".*", ".*")
        a, b = (exits.enter_context(RedisServer(folder)) for folder in folders[:2])
        sandbox = exits.enter_context(Sandbox())
        old = exits.enter_context(Stack(folders[2], a.url, node.url(), sandbox.url, ACCOUNTS))
        new = exits.enter_context(Stack(folders[3], b.url, node.url(vhost="new"), sandbox.url, FAST))
        worker = old.start("run")
        load = Load(node.url())
        with load.running():
            wait_until(lambda: worker.metric("jobs_waiting") > 0, "jobs wait while others are dialled")
            follow(redis.Redis.from_url(b.url), redis.Redis.from_url(a.url))
            load.url = node.url(vhost="new")
            sent = len(load.sent)
            wait_until(lambda: len(load.sent) > sent + 20, "producers send to the new broker")
            done = json.loads(callworker(old, "drain", "--reason", "move", "--json"))
            assert (done["drained"], done["messages"]) == (True, 0)
            end_all(old)
            calls = len(sandbox.requests())
            fail_over(a, b)
            new.start("run")
            callworker(new, "drain", "--json")
            assert len(sandbox.requests()) == calls
            callworker(new, "drain", "--undo", "--why", "moved")
            wait_until(lambda: len(sandbox.requests()) > calls, "the new workers make calls")
            load.end()
            waits(load.sent, old.outside, new.outside)
        once(load.sent, sandbox, old.outside, new.outside)


def backup(server: RedisServer, folder: Path, copy: Path) -> str:
    """Copy all that Redis has to a file. Returns the time before which nothing is missing, as RFC 3339."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    with redis.Redis.from_url(server.url) as client:
        client.bgsave()
        wait_until(
            lambda: (
                not client.info("persistence")["rdb_bgsave_in_progress"] and (folder / "dump.rdb").exists()
            ),
            "the copy is made",
        )
    shutil.copy(folder / "dump.rdb", copy)
    return since


@pytest.mark.parametrize("broker", ["redis", "amqp"])
def test_restored_backup_rings_nobody_twice(tmp_path: Path, broker_url: BrokerUrl, broker: str) -> None:
    """What subscribers know to have ended stays ended, with the same events; what waits goes on; a job that was
    accepted after the backup and has no event is sent again."""
    accounts = {"acme": ACCOUNTS["acme"], "later": ACCOUNTS["acme"], "slow": {"rate": "1/h", "ttl": 3600}}
    folders = [tmp_path / name for name in ("a", "b", "old", "new")]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as exits:
        a = exits.enter_context(RedisServer(folders[0]))
        b = RedisServer(folders[1], "--appendonly", "no")
        sandbox = exits.enter_context(Sandbox())
        old_broker, new_broker = (a.url, b.url) if broker == "redis" else [broker_url("amqp")] * 2
        old = exits.enter_context(Stack(folders[2], a.url, old_broker, sandbox.url, accounts))
        worker = old.start("run")
        before = [new_job(f"before-{n}") for n in range(5)]
        waits_then = [new_job(f"waits-{n}", "later") for n in range(6)]
        slow = [new_job(f"slow-{n}", "slow") for n in range(2)]
        callworker(old, "accounts", "hold", "later")
        old.outside.send(*before, *waits_then, *slow)
        old.outside.wait([*(job["id"] for job in before), "slow-0"])
        wait_until(lambda: worker.metric("jobs_accepted_total") == 13, "all jobs are on record")
        since = backup(a, folders[0], folders[1] / "dump.rdb")

        callworker(old, "accounts", "resume", "later")
        after = [new_job(f"after-{n}") for n in range(4)]
        lost = [new_job("lost", "slow")]
        old.outside.send(*after, *lost)
        old.outside.wait([job["id"] for job in (*waits_then, *after)])
        wait_until(lambda: worker.metric("jobs_accepted_total") == 18, "all jobs are on record")
        worker.kill()
        calls = len(sandbox.requests())
        events = tmp_path / "events.jsonl"
        told = [one for found in old.outside.delivered.values() for one in found]
        events.write_text("".join(f"{json.dumps(one.event)}\n" for one in told))
        with old.outside.not_reading() if broker == "redis" else nullcontext():
            a.kill()
            exits.enter_context(b)
            with redis.Redis.from_url(b.url) as client:
                client.config_set("appendonly", "yes")
            new = exits.enter_context(Stack(folders[3], b.url, new_broker, sandbox.url, accounts))
            # Without a worker, nobody ends what the copy has in hand and on its way.
            callworker(new, "drain", "--reason", "restore", "--wait", "1s", complete=False)
            new.start("run")
            callworker(new, "drain", "--json")
            assert (
                json.loads(callworker(new, "restore", str(events), "--since", since, "--json"))["ended"] == 10
            )
            callworker(new, "accounts", "resume", "later")
            callworker(new, "drain", "--undo")
            fresh = [new_job(f"new-{n}") for n in range(3)]
            new.outside.send(*before, *waits_then, *after, *lost, *fresh)
            waits(fresh, old.outside, new.outside)
            wait_until(
                lambda: new.workers[0].metric("jobs_waiting") == 2, "what waited waits, and what was lost"
            )
            once([*before, slow[0], *waits_then, *after, *fresh], sandbox, old.outside, new.outside)
            assert len(sandbox.requests()) == calls + len(fresh)
