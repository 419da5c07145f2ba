"""The npm package `callworker-client`: built and packed as it is published, on real brokers, with a real worker."""

from __future__ import annotations

import base64
import itertools
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from kombu import Connection

from tests.contract.forwarder import Forwarder
from tests.contract.node_package import NodePackage, Program, node_package
from tests.contract.receivers import OTHER_SECRET, SECRET, Signer, by_the_package, by_the_worker, headers
from tests.integration.outside import new_job
from tests.integration.stack import Stack
from tests.integration.stand_in import StandIn
from tests.ops.blocks import blocks
from tests.processes import free_port, process, wait_until
from tests.rabbit import SETTINGS_PAGE
from tests.redis_server import RedisServer, redis_server
from tests.replicas import flock
from tests.sentinels import Installation, client_of
from worker.broker.declaring import declare
from worker.broker.message import Message
from worker.broker.publisher import Publisher
from worker.broker.queues import RESULTS, TASK_QUEUES, queue_of
from worker.core.jobs import Job
from worker.core.judging import Submission
from worker.inbound.messages import Envelope, read_task

JOB = {"id": "job-1", "account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}
SETTINGS = SETTINGS_PAGE.read_text(encoding="utf-8")
FAST = {"rate": "100/s"}
USUAL_REDIS = "redis://localhost:6379/0"
QUEUE = "results.orders"
DRIVERS = ["ioredis", "redis"]
WAYS = [("redis_url", "ioredis"), ("redis_url", "redis"), ("amqp_url", None)]
"""The brokers, as fixtures, and what speaks to them."""
EVENT = {
    "id": "evt_1",
    "type": "call.placed",
    "timestamp": "2026-11-22T17:18:46.331Z",
    "data": {"note": "Grüße"},
}
BODY = json.dumps(EVENT, ensure_ascii=False).encode()


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> NodePackage:
    """The package, built. The test that asks for it where npm is not here ends."""
    return node_package(tmp_path_factory)


def test_its_own_tests_pass(package: NodePackage) -> None:
    """They have the table of cases that all clients share, and compile programs that use its types."""
    # It was built when it was packed.
    package.run("npm", "test", "--ignore-scripts")


def test_it_publishes_what_it_needs_and_no_more(package: NodePackage) -> None:
    """Code for both kinds of modules, with types, and neither sources nor tests."""
    with tarfile.open(package.packed) as packed:
        names = {name.removeprefix("package/") for name in packed.getnames()}
    assert names >= {"index.mjs", "index.d.mts", "dist/index.js", "dist/index.d.ts", "README.md", "LICENSE"}
    assert all(name.startswith("dist/") for name in names if name.endswith((".js", ".d.ts")))
    assert not {name.partition("/")[0] for name in names} & {"src", "test", "scripts", "service"}


@pytest.mark.parametrize(
    ("url", "needs"), [("redis://localhost", "npm install ioredis"), ("amqp://", "npm install amqplib")]
)
def test_a_package_that_is_missing_is_named(
    package: NodePackage, tmp_path: Path, url: str, needs: str
) -> None:
    """It depends on nothing: the program that uses it chooses what speaks to its broker."""
    package.install(tmp_path)
    with package.program("open", url=url, folder=tmp_path) as program:
        (told,) = program.end()
    assert told["error"] == "ConfigurationError" and needs in told["text"]


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """The address of each broker and what speaks to it, as the program takes them."""
    broker, driver = request.param
    url = str(request.getfixturevalue(broker))
    yield {"url": url, "driver": driver}
    if broker == "amqp_url":
        with Connection(url) as connection, connection.channel() as channel:
            channel.queue_delete(QUEUE)


def test_a_service_has_phones_rung_and_hears_of_it(
    package: NodePackage, tmp_path: Path, redis_url: str, way: dict[str, Any]
) -> None:
    """It gets the events of its jobs from a queue of its own and from a named one. What it took back is not rung."""
    jobs = [new_job(f"job-{n}", ref="Zoë & €") for n in range(3)]
    with StandIn() as provider, Stack(tmp_path, redis_url, way["url"], provider.url, {"acme": FAST}) as stack:
        canceled = [new_job("canceled-1"), new_job("canceled-2")]
        for named, job in enumerate(canceled):
            with package.program("cancel", **way, jobs=[job], named=named) as program:
                assert program.end() == []
        stack.start()
        ends = stack.outside.wait(job["id"] for job in canceled)
        with package.program("service", **way, jobs=jobs, queue=QUEUE) as program:
            (told,) = program.end()
        assert told["ids"] == [job["id"] for job in jobs]
        expected = stack.outside.wait(told["ids"])
    assert {end["data"]["error"]["code"] for end in ends.values()} == {"CANCELED"}
    assert provider.rung(*(job["phone"] for job in canceled)) == [0, 0]
    for events in (told["own"], told["named"]):
        assert {event["data"]["id"]: event for event in events} == expected
    assert [[asked.form["code"] for asked in provider.requests(job["phone"])] for job in jobs] == [
        ["4711"]
    ] * 3


def test_job_is_in_the_queue_as_the_worker_reads_it(package: NodePackage, way: dict[str, Any]) -> None:
    """In the queue of its account's shard, with its trace in the headers, and nothing of it in what logs show."""
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    with package.program("send", **way, jobs=[JOB | {"traceparent": trace}]) as program:
        assert program.end() == [{"id": "job-1"}]
    ((queue, message),) = _messages(way["url"])
    assert queue == queue_of("acme").name
    assert message.properties["delivery_mode"] == 2
    assert JOB["code"] not in str(message.headers) and JOB["phone"] not in str(message.headers)
    submission = read_task(Envelope.of(message))
    assert isinstance(submission, Submission)
    assert (Job.parse(submission.fields), submission.trace) == (Job.parse(JOB), {"traceparent": trace})


def test_connection_that_was_lost_while_idle_is_made_again(package: NodePackage, way: dict[str, Any]) -> None:
    """The next job is sent as if nothing had happened, and once."""
    url, jobs = way["url"], [JOB, JOB | {"id": "job-2"}]
    with (
        Forwarder(_port(url)) as forwarder,
        package.program("send", **way | {"url": _through(forwarder, url)}, jobs=jobs) as program,
    ):
        assert program.told() == {"id": "job-1"}
        forwarder.cut()
        program.go_on()
        assert program.end() == [{"id": "job-2"}]
    assert [message.headers["id"] for _, message in _messages(url)] == ["job-1", "job-2"]


def test_next_address_is_tried(package: NodePackage, way: dict[str, Any]) -> None:
    """By a client that begins, and by one that has lost its connection to the first server."""
    url, jobs = way["url"], [JOB, JOB | {"id": "job-2"}]
    with ExitStack() as exits:
        first = exits.enter_context(Forwarder(_port(url)))
        places = f"{_through(first, url)};{url}"
        with package.program("send", **way | {"url": places}, jobs=jobs) as program:
            assert program.told() == {"id": "job-1"}
            exits.close()
            program.go_on()
            assert program.end() == [{"id": "job-2"}]
        with package.program("send", **way | {"url": places}, jobs=[JOB | {"id": "job-3"}]) as program:
            assert program.end() == [{"id": "job-3"}]
    assert [message.headers["id"] for _, message in _messages(url)] == ["job-1", "job-2", "job-3"]


def test_sentinels_are_asked_who_the_master_is(package: NodePackage, tmp_path: Path) -> None:
    """A client leaves a master that was replaced, even if that goes on answering, and does not go back to it."""
    jobs = [JOB | {"id": f"job-{n}"} for n in range(1000)]
    with ExitStack() as exits:
        machines = Installation(exits, tmp_path)
        given: list[dict[str, Any]] = [
            {"url": machines.url, "driver": driver, "jobs": jobs} for driver in DRIVERS
        ]
        programs = [exits.enter_context(package.program("send", **each)) for each in given]
        assert [program.told() for program in programs] == [{"id": "job-0"}] * 2
        with machines.split() as (old, new):
            for program in programs:
                wait_until(partial(_sends_to, new, program), "the client has left the old master")
                left = _waiting_at(old)
                assert _sends_to(new, program) and _waiting_at(old) == left


def _sends_to(server: RedisServer, program: Program) -> bool:
    before = _waiting_at(server)
    program.go_on()
    assert "error" not in program.told()
    return _waiting_at(server) > before


def _waiting_at(server: RedisServer) -> int:
    with client_of(server) as client:
        return int(client.llen(queue_of("acme").name))


def test_rabbitmq_that_falls_silent_is_an_error(package: NodePackage, amqp_url: str) -> None:
    """Each wait ends, and so does the program once it has closed its client."""
    given: dict[str, Any] = {"jobs": [JOB, JOB], "timeoutMs": 3000}
    with (
        Forwarder(_port(amqp_url)) as forwarder,
        package.program("send", url=_through(forwarder, amqp_url), **given) as program,
    ):
        assert program.told() == {"id": "job-1"}
        forwarder.freeze()
        program.go_on()
        (told,) = program.end()
    assert told["error"] == "BrokerUnavailable"


@pytest.mark.parametrize("driver", DRIVERS)
def test_redis_is_killed_in_the_middle_of_a_batch(package: NodePackage, driver: str) -> None:
    """The call fails, what was told as sent is there after the restart, and the same call then sends all."""
    jobs = _batch()
    with redis_server() as server:
        given: dict[str, Any] = {"url": server.url, "driver": driver, "jobs": jobs}
        with package.program("flood", **given) as program:
            assert program.told() == {"sent": 500}
            server.kill()
            program.go_on()
            told = program.told()
            assert told["error"] == "BrokerUnavailable" and JOB["code"] not in told["text"]
            server.start()
            with redis.Redis.from_url(server.url) as client:
                assert client.llen(queue_of("acme").name) >= 500
            program.go_on()
            assert {"again": len(jobs)} in program.end()
        _assert_all_are_there(server.url, jobs)


def test_job_counts_as_sent_once_replicas_have_it(package: NodePackage, tmp_path: Path) -> None:
    """With either package: while the replica stands still no job does, and the error says why."""
    with flock(tmp_path, 1) as one:
        _, replica = one.clients
        for sent, driver in enumerate(DRIVERS, 1):
            given: dict[str, Any] = {"url": one.url, "driver": driver, "replicas": 1, "jobs": [JOB, JOB]}
            with package.program("send", **given) as program:
                assert program.told() == {"id": "job-1"}
                assert replica.llen(queue_of("acme").name) >= sent
                one.freeze()
                program.go_on()
                (told,) = program.end()
                one.thaw()
            assert told["error"] == "BrokerUnavailable" and "0 of 1 replicas" in told["text"]
    with package.program("open", url=one.url, replicas=6) as program:
        (refused,) = program.end()
    assert refused["error"] == "ConfigurationError" and "replicas" in refused["text"]


def test_connection_to_rabbitmq_is_lost_in_the_middle_of_a_batch(package: NodePackage, amqp_url: str) -> None:
    """The call fails, and the same call then sends all."""
    jobs = _batch()
    with ExitStack() as exits:
        forwarder = exits.enter_context(Forwarder(_port(amqp_url)))
        given: dict[str, Any] = {"url": _through(forwarder, amqp_url), "then": amqp_url, "jobs": jobs}
        with package.program("flood", **given) as program:
            assert program.told() == {"sent": 500}
            exits.close()
            program.go_on()
            assert program.told()["error"] == "BrokerUnavailable"
            program.go_on()
            assert {"again": len(jobs)} in program.end()
    _assert_all_are_there(amqp_url, jobs)


def _batch() -> list[dict[str, str]]:
    return [JOB | {"id": f"job-{n}"} for n in range(1200)]


def _assert_all_are_there(url: str, jobs: list[dict[str, str]]) -> None:
    assert {message.headers["id"] for _, message in _messages(url)} == {job["id"] for job in jobs}


def test_named_queue_keeps_what_was_not_settled(package: NodePackage, way: dict[str, Any]) -> None:
    """An event whose handling did not end comes again, also after a lost connection, with those that came meanwhile."""
    url, queue = way["url"], {"queue": QUEUE}
    with package.program("listen", **way | queue, count=2) as program:
        assert program.told() == {"ready": True}
        _publish(url, "evt_1", "evt_2")
        program.go_on()
        assert program.end() == [["evt_1", "evt_2"]]
    with Forwarder(_port(url)) as forwarder:
        through = way | queue | {"url": _through(forwarder, url)}
        with package.program("listen", **through, count=2) as program:
            assert program.told() == {"ready": True}
            forwarder.cut()
            _publish(url, "evt_3")
            program.go_on()
            assert sorted(program.end()[0]) == ["evt_2", "evt_3"]


def _publish(url: str, *event_ids: str) -> None:
    """Publish events as a worker does."""
    bodies = [json.dumps(EVENT | {"id": event_id}).encode() for event_id in event_ids]
    with closing(Publisher(url, [RESULTS])) as publisher:
        publisher.publish([Message(body, "call.placed", RESULTS.exchange.name) for body in bodies])


@pytest.mark.parametrize("driver", DRIVERS)
def test_rights_that_the_page_asks_for_suffice(package: NodePackage, redis_url: str, driver: str) -> None:
    """Those of a producer to send, those of a subscriber to read, and no command is refused meanwhile."""
    with redis.Redis.from_url(redis_url) as client:
        for user in ("producer", "subscriber"):
            (words,) = re.findall(rf"^ACL SETUSER {user} on >password (.+)$", SETTINGS, re.MULTILINE)
            client.execute_command("ACL", "SETUSER", user, "on", ">password", *words.split())
        client.acl_log_reset()
    producer, subscriber = (
        dict[str, Any](url=redis_url.replace("redis://", f"redis://{user}:password@"), driver=driver)
        for user in ("producer", "subscriber")
    )
    with package.program("cancel", **producer, jobs=[JOB]) as program:
        assert program.end() == []
    for queue in (QUEUE, None):
        with package.program("listen", **subscriber, queue=queue, count=1) as program:
            assert program.told() == {"ready": True}
            _publish(redis_url, "evt_1")
            program.go_on()
            assert program.end() == [["evt_1"]]
    with redis.Redis.from_url(redis_url) as client:
        assert client.acl_log() == []
        client.execute_command("ACL", "DELUSER", "producer", "subscriber")


BAD = {
    "redis away": ("BrokerUnavailable", "ECONNREFUSED"),
    "redis database": ("BrokerRefused", "DB index is out of range"),
    "redis password": ("BrokerRefused", "WRONGPASS"),
    "redis key": ("BrokerRefused", "WRONGTYPE"),
    "rabbitmq away": ("BrokerUnavailable", "ECONNREFUSED"),
    "rabbitmq password": ("BrokerRefused", "ACCESS"),
    "rabbitmq vhost": ("BrokerRefused", "no such virtual host"),
    "rabbitmq full": ("BrokerUnavailable", "it is full"),
}


@pytest.fixture
def bad_redis(redis_url: str) -> Callable[[str], str]:
    """A Redis that takes no job: nobody listens there, a wrong database or password, or a key of another type."""

    def spoil(how: str) -> str:
        with redis.Redis.from_url(redis_url) as client:
            client.set(queue_of("acme").name, "not a list")
        return {
            "away": f"redis://127.0.0.1:{free_port()}/0",
            "database": redis_url.removesuffix("/0") + "/1000",
            "password": redis_url.replace("redis://", "redis://default2:s3cret@"),
            "key": redis_url,
        }[how]

    return spoil


@pytest.fixture
def bad_rabbitmq(amqp_url: str) -> Callable[[str], str]:
    """A RabbitMQ that takes no job: nobody listens there, a wrong password, or a queue that is full."""

    def spoil(how: str) -> str:
        with Connection(amqp_url) as connection, connection.channel() as channel:
            limits = {"x-max-length": 0, "x-overflow": "reject-publish"}
            channel.queue_declare(queue_of("acme").name, durable=True, auto_delete=False, arguments=limits)
        return {
            "away": f"amqp://guest:guest@127.0.0.1:{free_port()}/%2F",
            "password": amqp_url.replace("guest:guest@", "guest:s3cret@"),
            "vhost": amqp_url.removesuffix("//") + "/nowhere",
            "full": amqp_url,
        }[how]

    return spoil


@pytest.mark.parametrize(
    ("server", "driver"), [("bad_redis", "ioredis"), ("bad_redis", "redis"), ("bad_rabbitmq", None)]
)
def test_job_that_the_broker_did_not_take_is_an_error(
    request: pytest.FixtureRequest, package: NodePackage, server: str, driver: str | None
) -> None:
    """The error says whether to send again or to ask the operator, and has neither password, PIN nor number."""
    spoil = request.getfixturevalue(server)
    for how, (error, text) in BAD.items():
        kind, _, fault = how.partition(" ")
        if not server.endswith(kind):
            continue
        with package.program("send", url=spoil(fault), driver=driver, jobs=[JOB]) as program:
            (told,) = program.end()
        assert told["error"] == error and text in told["text"], (how, told)
        for secret in ("s3cret", JOB["code"], JOB["phone"], base64.b64encode(b"48151").decode()):
            assert secret not in told["text"]


def test_programs_that_the_pages_show_run(package: NodePackage, tmp_path: Path, redis_url: str) -> None:
    """Each one ends well, or prints what the page says while jobs are sent."""
    found = [block for block in blocks("js") if "callworker-client" in block.code]
    assert len(found) >= 5
    with StandIn() as provider, Stack(tmp_path, redis_url, redis_url, provider.url, {"acme": FAST}) as stack:
        stack.start()
        for place, block in enumerate(found):
            program = package.folder / f"service/page-{place}.mjs"
            program.write_text(block.code.replace(USUAL_REDIS, redis_url), encoding="utf-8")
            if block.printed is None:
                package.run("node", program.name, folder=program.parent)
            else:
                _prints(program, block.printed, stack, tmp_path)


def _prints(program: Path, text: str, stack: Stack, folder: Path) -> None:
    numbers = itertools.count()

    def printed() -> bool:
        stack.outside.send(new_job(f"{program.stem}-{next(numbers)}"))
        return text in (folder / "output").read_text(encoding="utf-8")

    with process(["node", str(program)], folder):
        wait_until(printed, f"{program.name} prints {text!r}")


@pytest.mark.parametrize("signer", [by_the_worker, by_the_package])
def test_webhooks_are_verified(package: NodePackage, signer: Signer) -> None:
    """It takes what the worker and the subscribers' own library sign, also while a secret is rotated."""
    genuine, forged = headers(BODY, signer=signer), headers(BODY, secret=OTHER_SECRET, signer=signer)
    webhooks = [
        {"body": base64.b64encode(BODY).decode(), "headers": given, "secrets": secrets}
        for given, secrets in [(genuine, SECRET), (genuine, [OTHER_SECRET, SECRET]), (forged, [SECRET])]
    ]
    with package.program("verify", webhooks=webhooks) as program:
        told = program.end()
    assert told[:2] == [EVENT, EVENT] and told[2]["error"] == "InvalidSignature"


def _messages(url: str) -> list[tuple[str, Any]]:
    """Take all jobs from the queues of a broker, and return them with the names of the queues."""
    found = []
    with Connection(url) as connection:
        declare(connection, TASK_QUEUES)
        with connection.channel() as channel:
            for queue in TASK_QUEUES:
                while message := channel.basic_get(queue.name, no_ack=True):
                    found.append((queue.name, message))
    return found


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _through(forwarder: Forwarder, url: str) -> str:
    return url.replace(f":{_port(url)}", f":{forwarder.port}")
