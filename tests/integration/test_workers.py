"""Worker processes: started wrong, several at once, stopped, killed, and with their Redis gone for a while."""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import BrokerUrl
from tests.integration.outside import Job, new_job
from tests.integration.stack import COMMANDS, Stack, Worker, spawn
from tests.integration.stand_in import Asked, Reply, StandIn, gives_ref
from tests.processes import free_port, wait_until
from tests.redis_server import RedisServer, redis_server
from worker import __version__
from worker.core.accounts import Accounts

FAST = {"rate": "200/s", "burst": 100}
ACCOUNTS: dict[str, dict[str, Any]] = {
    "acme": FAST,
    "once": {**FAST, "redials": 0},
    "steady": {"rate": "40/s", "burst": 5},
}
WRONG_SETTINGS = {
    "BROKER_URL": "nonsense",
    "REDIS_URL": "http://127.0.0.1",
    "PROXSTOP_URL": "api.proxstop.com",
    "PROXSTOP_FORMAT": "yaml",
    "ACCOUNTS_FILE": "/no/such/file.toml",
    "METRICS_PORT": "98080",
    "LOG_LEVEL": "LOUD",
    "LOG_FORMAT": "xml",
    "CONCURRENCY": "none",
}
HELD_SECONDS, LONG_TIMEOUT = 60.0, "100"
"""How long answers are held at most, and for how long a worker waits for them: else it would dial again."""

MakeStack = Callable[..., Stack]


@pytest.fixture
def make_stack(
    tmp_path: Path, own_redis: RedisServer, broker_url: BrokerUrl, provider: StandIn
) -> Iterator[MakeStack]:
    """Makes one installation, on an empty Redis of the module's or one that is given, with settings of its own."""
    with ExitStack() as exits:

        def make(broker: str = "redis", server: RedisServer = own_redis, **settings: str) -> Stack:
            url = server.url if broker == "redis" else broker_url(broker)
            stack = exits.enter_context(Stack(tmp_path, server.url, url, provider.url, ACCOUNTS, **settings))
            stack.outside.redis.flushall()
            return stack

        yield make


class Held:
    """Keeps the provider's answers back until they are released, so that a test knows what is in flight."""

    def __init__(self, provider: StandIn) -> None:
        self._released = threading.Event()
        provider.script = self._answer

    def release(self) -> None:
        self._released.set()

    def _answer(self, _: Asked) -> Reply:
        self._released.wait(HELD_SECONDS)
        return gives_ref()


def errors_of(worker: Worker) -> list[str]:
    """The lines that a worker which refused to start wrote, Celery's banner and warnings left out."""
    assert worker.exit_status() == 1, worker.output
    assert "Traceback" not in worker.output
    return [line for line in worker.output.splitlines() if line.startswith("callworker:")]


@pytest.mark.parametrize("how", ["run", "celery"])
def test_wrong_setting_stops_the_start_with_one_line(make_stack: MakeStack, how: str) -> None:
    """Exit status 1 and one line that names the variable and what would be allowed, not the wrong value's owner."""
    stack = make_stack()
    started = {name: stack.launch(how, **{name: value}) for name, value in WRONG_SETTINGS.items()}
    for name, worker in started.items():
        (line,) = errors_of(worker)
        assert name in line and "allowed" in line
        assert how == "celery" or worker.output.strip() == line


@pytest.mark.parametrize("how", ["run", "celery"])
def test_port_in_use_stops_the_start_with_one_line(make_stack: MakeStack, how: str) -> None:
    """A second worker on the same METRICS_PORT says so and ends; it takes no job first."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        worker = make_stack().launch(how, METRICS_PORT=str(taken.getsockname()[1]))
        (line,) = errors_of(worker)
        assert "METRICS_PORT" in line and "in use" in line


@pytest.mark.skipif(sys.platform != "linux", reason="reads the limit from /proc")
def test_open_files_that_calls_need_are_allowed_or_missed_at_once(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    """A low limit is raised as far as may be; where that is too little the start fails, and no call does later.

    Webhooks get what is left.
    """
    stack = make_stack(CONCURRENCY="400", METRICS_PORT=str(free_port()))
    few, many = (["sh", "-c", f'ulimit -Sn 256; ulimit -Hn {most}; exec "$@"', "sh"] for most in (500, 900))
    refused = Worker(COMMANDS["run"], stack.environ, tmp_path / "few.log", spawn=partial(spawn, prefix=few))
    (line,) = errors_of(refused)
    assert "CONCURRENCY" in line and "500" in line
    worker = Worker(COMMANDS["run"], stack.environ, tmp_path / "many.log", spawn=partial(spawn, prefix=many))
    stack.workers.append(worker)
    worker.wait_until_ready()
    limits = Path(f"/proc/{worker.process.pid}/limits").read_text()
    assert re.search(r"Max open files\s+900\s+900", limits)
    (told,) = worker.told("webhooks.fewer_places")
    assert (told["places"], told["wished"]) == (200, 2048)


def test_workers_that_differ_in_their_port_share_the_work(make_stack: MakeStack, provider: StandIn) -> None:
    """Three workers, started alike but for METRICS_PORT, all dial, and each job once."""
    answers = Held(provider)
    stack = make_stack(CONCURRENCY="4", PROXSTOP_TIMEOUT=LONG_TIMEOUT)
    workers = [stack.launch(how) for how in ("celery", "celery", "run")]
    for worker in workers:
        worker.wait_until_ready()
    jobs = [new_job(f"shared-{n}") for n in range(90)]
    stack.outside.send(*jobs)
    wait_until(
        lambda: len(provider.asked) >= 3 * 4, "as many calls as all three have places for are in flight"
    )
    answers.release()
    stack.outside.wait(job["id"] for job in jobs)
    assert set(provider.rung(*(job["phone"] for job in jobs))) == {1}
    assert all(worker.metric("provider_requests_total") > 0 for worker in workers)
    assert "Duplicate" not in "".join(worker.output for worker in workers)


def test_provider_that_is_away_is_tried_as_often_as_allowed(make_stack: MakeStack, provider: StandIn) -> None:
    """A job fails after its five attempts if nobody listens, and none of them counts as a request sent."""
    stack = make_stack(PROXSTOP_URL=f"http://127.0.0.1:{free_port()}")
    worker = stack.start()
    job = new_job("away")
    stack.outside.send(job)
    data = stack.outside.wait([job["id"]])[job["id"]]["data"]
    assert (data["error"]["code"], data["attempts"]) == ("PROVIDER_UNAVAILABLE", 0)
    assert worker.metric("retries_total") == 4


@pytest.mark.parametrize(("broker", "how"), [("redis", "run"), ("redis", "celery"), ("amqp", "celery")])
def test_terminated_worker_finishes_its_calls(
    make_stack: MakeStack, provider: StandIn, broker: str, how: str
) -> None:
    """SIGTERM with calls in flight: these end as usual, nothing new begins, exit status 0; another does the rest."""
    answers = Held(provider)
    stack = make_stack(broker, CONCURRENCY="10", PROXSTOP_TIMEOUT=LONG_TIMEOUT)
    worker = stack.start(how)
    jobs = [new_job(f"term-{n}") for n in range(25)]
    stack.outside.send(*jobs)
    wait_until(lambda: len(provider.asked) >= 10, "ten calls are in flight")
    worker.terminate()
    wait_until(lambda: bool(worker.told("worker.signalled")), "it has been told to end")
    wait_until(lambda: worker.get("/readyz")[0] == 503, "it takes no more messages")
    answers.release()
    assert worker.exit_status() == 0
    in_flight = [job["id"] for job in jobs if provider.requests(job["phone"])]
    assert len(in_flight) == 10
    assert {event["type"] for event in stack.outside.wait(in_flight).values()} == {"call.placed"}
    stack.start(how)
    events = stack.outside.wait(job["id"] for job in jobs)
    assert Counter(event["type"] for event in events.values()) == {"call.placed": 25}
    assert set(provider.rung(*(job["phone"] for job in jobs))) == {1}


@pytest.mark.parametrize("broker", ["redis", "amqp"])
def test_start_and_end_of_a_worker_are_a_line_each(make_stack: MakeStack, broker: str) -> None:
    """The first has version, accounts and places; the last one how many calls there were, and what is left (D10).

    No thread is reported as stuck on the way.
    """
    stack = make_stack(broker, CONCURRENCY="7")
    worker = stack.start()
    job = new_job("line")
    stack.outside.send(job)
    stack.outside.wait([job["id"]])
    worker.terminate()
    assert worker.exit_status() == 0
    assert worker.told("loop.stalled") == []
    (start,), (end,) = worker.told("worker.started"), worker.told("worker.stopped")
    assert (start["version"], start["accounts"], start["places"]) == (__version__, "acme, once, steady", 7)
    digest = Accounts.load(Path(stack.environ["ACCOUNTS_FILE"])).digest
    assert (start["broker"], start["accounts_file"]) == (broker, digest)
    assert start["webhook_places"] > 0
    assert (end["calls"], end["jobs_finished"]) == (1, 1)
    assert [end[name] for name in ("handed_back", "calls_unfinished", "outcomes_unrecorded")] == [0, 0, 0]


@pytest.mark.endurance
@pytest.mark.parametrize("broker", ["redis", "amqp"])
def test_jobs_of_a_killed_worker_are_recovered(make_stack: MakeStack, provider: StandIn, broker: str) -> None:
    """kill -9 with calls in flight: no job is lost, and none is dialled more often than its account's redials allow."""
    provider.script = lambda asked: gives_ref(wait_seconds=5.0)
    stack = make_stack(broker, PROXSTOP_TIMEOUT="15", CONCURRENCY="20")
    worker = stack.start()
    again = [new_job(f"again-{n}") for n in range(30)]
    once = [new_job(f"once-{n}", "once") for n in range(30)]
    stack.outside.send(*(job for both in zip(again, once, strict=True) for job in both))
    wait_until(lambda: len(provider.asked) >= 20, "as many calls as it has threads are in flight")
    worker.kill()
    provider.script = lambda asked: gives_ref()
    stack.start()
    # A lease lasts 30 s at least; a message that was not acknowledged may need a minute.
    events = stack.outside.wait((job["id"] for job in (*again, *once)), 80)
    assert max(provider.rung(*(job["phone"] for job in again))) <= 2
    assert max(provider.rung(*(job["phone"] for job in once))) <= 1
    assert {event["type"] for job_id, event in events.items() if job_id.startswith("again")} == {
        "call.placed"
    }
    assert {events[job["id"]]["type"] for job in once} == {"call.placed", "call.unknown"}


def attempts_told(stack: Stack, job: Job) -> int:
    return int(stack.outside.event(job["id"])["data"]["attempts"])


def test_backlog_drains_after_redis_was_away(make_stack: MakeStack, provider: StandIn) -> None:
    """Redis stops under load and comes back: /readyz tells, nothing is dialled meanwhile, nothing lost or repeated."""
    provider.script = lambda asked: gives_ref(wait_seconds=0.3)
    with redis_server() as server:
        stack = make_stack(server=server)
        workers = [stack.start("celery"), stack.start("run")]
        jobs = [new_job(f"away-{n}", "steady") for n in range(160)]
        stack.outside.stream(*jobs)
        wait_until(lambda: len(provider.asked) >= 40, "the load is on its way")
        with stack.outside.not_reading():
            server.stop()
            wait_until(lambda: {worker.get("/readyz")[0] for worker in workers} == {503}, "/readyz is 503")
            asked = len(provider.asked)
            time.sleep(1)
            assert len(provider.asked) == asked < len(jobs)
            assert {worker.get("/livez")[0] for worker in workers} == {200}
            server.start()
        events = stack.outside.wait((job["id"] for job in jobs), 60)
        wait_until(lambda: {worker.get("/readyz")[0] for worker in workers} == {200}, "/readyz is 200")
        assert {event["type"] for event in events.values()} == {"call.placed"}
        assert (
            provider.rung(*(job["phone"] for job in jobs))
            == [attempts_told(stack, job) for job in jobs]
            == [1] * 160
        )
        assert [worker.process.poll() for worker in workers] == [None, None]
        for worker in workers:
            worker.terminate()
        assert [worker.exit_status() for worker in workers] == [0, 0]


@pytest.mark.parametrize("point", ["fetch.before", "fetch.after"])
@pytest.mark.parametrize("broker", ["redis", "amqp"])
def test_an_error_at_taking_a_message_does_not_end_the_worker(
    make_stack: MakeStack, broker: str, point: str
) -> None:
    """The message comes again and its call is made, by the same worker."""
    stack = make_stack(broker)
    worker = stack.start("run", CALLWORKER_FAILPOINTS=f"{point}=raise")
    job = new_job("a")
    stack.outside.send(job)
    assert stack.outside.wait(["a"])["a"]["type"] == "call.placed"
    wait_until(lambda: f"failpoint {point} reached" in worker.output, "the error is told")
    assert worker.process.poll() is None
