"""Messages on RabbitMQ that libraries cannot read, and channels that the broker closes: no worker stops for them."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amqp
import pytest
from kombu import Connection

from tests.integration.conftest import BrokerUrl
from tests.integration.outside import Job, new_job
from tests.integration.stack import Stack, Worker
from tests.integration.stand_in import StandIn
from tests.processes import wait_until
from tests.rabbit import rabbitmq
from tests.redis_server import RedisServer

ACCOUNTS: dict[str, dict[str, Any]] = {"acme": {"rate": "200/s", "burst": 100}}
TASK = {"task": "calls.verify", "id": "from-the-headers"}
QUEUES = ("calls", "calls.3", "calls.intake")


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, own_redis: RedisServer, broker_url: BrokerUrl
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("amqp")
    with (
        StandIn() as provider,
        Stack(folder, own_redis.url, broker_url("amqp"), provider.url, ACCOUNTS) as made,
    ):
        made.outside.redis.flushall()
        made.start("run")
        yield made


def properties(**fields: Any) -> bytes:
    return bytes(amqp.Message(**fields)._serialize_properties())


def publish(url: str, queue: str, body: bytes, raw: bytes) -> None:
    """A message whose properties are these very bytes."""
    message = amqp.Message(body)
    message._serialize_properties = lambda: raw
    with amqp.Connection(url.split("@")[1].split("/", maxsplit=1)[0]) as connection:
        connection.channel().basic_publish(message, routing_key=queue)


def body_for(queue: str, job: Job) -> bytes:
    return json.dumps(job if queue == "calls.intake" else [[], job, {}]).encode()


def nested(depth: int) -> Any:
    return {} if depth == 0 else {"t": nested(depth - 1)}


UNREADABLE: dict[str, dict[str, Any]] = {
    "time in milliseconds": {"timestamp": 1_764_000_000_000},
    "time beyond all calendars": {"timestamp": 2**60},
    "raw UUID": {"correlation_id": uuid.UUID(int=2**128 - 2**60).bytes},
    "Latin-1": {"app_id": "Gerät".encode("latin-1"), "type": b"\xff", "user_id": b"guest"},
    "deep tables": {"application_headers": {**TASK, "deep": nested(300)}},
    "bytes": {"application_headers": {**TASK, "blob": b"\xff\xfe", "origin": "é".encode("latin-1")}},
    "a death's history": {"application_headers": {**TASK, "x-death": [{"count": 2**40, "queue": "calls"}]}},
    "a charset nobody knows": {"content_encoding": b"\xe4\xf6"},
}


def still_works(stack: Stack) -> None:
    job = new_job(f"good-{uuid.uuid4().hex[:8]}")
    stack.outside.send(job)
    assert stack.outside.wait([job["id"]])[job["id"]]["type"] == "call.placed"
    assert [worker.process.poll() for worker in stack.workers] == [None]
    assert stack.workers[0].get("/readyz")[0] == 200


def test_properties_that_no_library_reads_stop_nobody(stack: Stack) -> None:
    """The job is placed from every queue, whatever is in properties that nobody needs (E2)."""
    jobs = []
    for kind, unreadable in UNREADABLE.items():
        for queue in QUEUES:
            fields = {"content_type": "application/json", "application_headers": TASK, **unreadable}
            jobs.append(new_job(f"{kind.replace(' ', '-').replace(chr(39), '')}:{queue.replace('.', '-')}"))
            publish(stack.broker_url, queue, body_for(queue, jobs[-1]), properties(**fields))
    events = stack.outside.wait(job["id"] for job in jobs)
    assert {event["type"] for event in events.values()} == {"call.placed"}
    still_works(stack)


def test_messages_without_sense_are_buried(stack: Stack) -> None:
    """Headers of wrong types, bodies in gzip, a charset for a type: dead letters, and nothing stops (E2)."""
    before, job = len(stack.outside.dead_letters()), new_job("senseless")
    task_body = body_for("calls", job)
    json_type = {"content_type": "application/json"}
    wrong: list[tuple[str, bytes, dict[str, Any]]] = [
        ("calls", task_body, {**json_type, "application_headers": {**TASK, "task": ["calls.verify"]}}),
        ("calls", task_body, {**json_type, "application_headers": {"task": 7, "id": 7}}),
        ("calls.5", task_body, {"content_type": b"\xff\xfe", "application_headers": TASK}),
        ("calls", gzip.compress(task_body), {**json_type, "content_encoding": "gzip", "application_headers": TASK}),
        ("calls", gzip.compress(b"[" * 2**24), {**json_type, "application_headers": {**TASK, "compression": "gzip"}}),
        ("calls.intake", gzip.compress(task_body), {**json_type, "content_encoding": "gzip"}),
        ("calls.intake", b"", {"content_type": "text/html"}),
        ("calls", json.dumps({"task": ["x"], "id": 3, "args": 4, "kwargs": 5}).encode(), json_type),
    ]  # fmt: skip
    for queue, body, fields in wrong:
        publish(stack.broker_url, queue, body, properties(**fields))
    letters = stack.outside.wait_for_dead_letters(before + len(wrong))
    assert len(letters) == before + len(wrong) and all(letter["reason"] for letter in letters)
    assert "senseless" not in stack.outside.delivered
    still_works(stack)


def test_an_id_that_is_no_text_is_not_the_jobs(stack: Stack) -> None:
    """The job's own holds, as it does without one in the headers."""
    job = new_job("own-id")
    fields = {"content_type": "application/json", "application_headers": {**TASK, "id": 4711}}
    publish(stack.broker_url, "calls", body_for("calls", job), properties(**fields))
    assert stack.outside.wait(["own-id"])["own-id"]["type"] == "call.placed"


def peak_bytes(worker: Worker) -> int:
    (line,) = [
        line
        for line in Path(f"/proc/{worker.process.pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) * 1024


def test_messages_too_large_are_buried_by_size_and_digest(stack: Stack) -> None:
    """They are not kept as they come: twenty of 8 MB take no more memory than small ones do (E6)."""
    still_works(stack)
    before, peak = len(stack.outside.dead_letters()), peak_bytes(stack.workers[0])
    body = b'{"code": "4711", "x": "' + b"y" * (8 * 2**20)
    for n in range(20):
        publish(stack.broker_url, QUEUES[n % 3], body, properties(content_type="application/json"))
    letters = stack.outside.wait_for_dead_letters(before + 20)[:20]
    assert {(one["reason"], one["size"]) for one in letters} == {("larger than 65536 bytes", len(body))}
    assert all("4711" not in json.dumps(one) and len(json.dumps(one)) < 10_000 for one in letters)
    assert peak_bytes(stack.workers[0]) - peak < 32 * 2**20
    still_works(stack)


def test_all_messages_in_hand_are_bounded(stack: Stack) -> None:
    """Messages without room are not kept and come again later, while Redis takes no writes and every queue delivers all
    it may (E6)."""
    still_works(stack)
    peak, redis = peak_bytes(stack.workers[0]), stack.outside.redis
    jobs = [new_job(f"wide-{n}", ref="r", padding="y" * 60_000) for n in range(1600)]
    before = len(stack.outside.delivered)
    redis.config_set("min-replicas-to-write", 1)
    try:
        with Connection(stack.broker_url) as connection, connection.channel() as channel:
            for n, job in enumerate(jobs):
                channel.basic_publish(
                    channel.prepare_message(
                        body_for("calls", job), headers=TASK, content_type="application/json"
                    ),
                    routing_key=f"calls.{n % 16}",
                )
        wait_until(
            lambda: stack.workers[0].metric("queue_depth", queue="calls.3") == 0, "all are delivered", 60
        )
    finally:
        redis.config_set("min-replicas-to-write", 0)
    wait_until(lambda: len(stack.outside.delivered) >= before + len(jobs), "all are answered", 90)
    assert peak_bytes(stack.workers[0]) - peak < 64 * 2**20


def test_a_queue_deleted_under_the_consumer_is_made_again(stack: Stack) -> None:
    """The worker connects again and takes what comes then; what it held is not touched (B2)."""
    with Connection(stack.broker_url) as connection, connection.channel() as channel:
        for queue in QUEUES:
            channel.queue_delete(queue)
    wait_until(lambda: _exist(stack.broker_url), "the queues are there again")
    wait_until(lambda: stack.workers[0].get("/readyz")[0] == 200, "it is ready")
    still_works(stack)


def _exist(url: str) -> bool:
    with Connection(url) as connection:
        for queue in QUEUES:
            try:
                connection.channel().queue_declare(queue, passive=True)
            except amqp.NotFound:
                return False
    return True


@pytest.fixture
def impatient_broker() -> Iterator[str]:
    """A RabbitMQ that closes a channel on which a message was not acknowledged for eight seconds."""
    with rabbitmq("consumer_timeout = 8000\n", "-rabbit channel_tick_interval 1000") as node:
        yield node.url()


def test_a_channel_that_the_broker_closes_is_opened_again(
    tmp_path: Path, own_redis: RedisServer, impatient_broker: str
) -> None:
    """`consumer_timeout` passes while Redis takes no writes: the worker stays, each job is placed once after (B2)."""
    with (
        StandIn() as provider,
        Stack(tmp_path, own_redis.url, impatient_broker, provider.url, ACCOUNTS) as stack,
    ):
        stack.outside.redis.flushall()
        worker = stack.start("run")
        stack.outside.redis.config_set("min-replicas-to-write", 1)
        jobs = [new_job(f"late-{n}") for n in range(3)]
        try:
            stack.outside.send(*jobs[:2])
            stack.outside.plain(jobs[2])
            wait_until(lambda: "PRECONDITION_FAILED" in worker.output, "a channel is closed")
        finally:
            stack.outside.redis.config_set("min-replicas-to-write", 0)
        events = stack.outside.wait(job["id"] for job in jobs)
        assert {event["type"] for event in events.values()} == {"call.placed"}
        assert provider.rung(*(job["phone"] for job in jobs)) == [1, 1, 1]
        assert worker.process.poll() is None
