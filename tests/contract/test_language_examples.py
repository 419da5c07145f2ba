"""Producers in other languages: each example of examples/producers whose runtime is here sends a job that a worker takes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import amqp
import pytest
import redis
from kombu import Connection
from kombu.message import Message

from tests.conftest import absent, free_port
from tests.doubles.samples import account, accounts
from tests.integration.stack import Stack
from tests.integration.stand_in import StandIn
from worker.broker.declaring import declare
from worker.engine.messages import Envelope, read_plain
from worker.intake import Broken, Request, Valid, decode, judge
from worker.ports import Source
from worker.queues import INTAKE

ROOT = Path(__file__).parents[2]
PRODUCERS = ROOT / "examples/producers"
JARS = ("amqp-client", "gson", "slf4j-api")
CLASSPATH = ":".join(f"/usr/share/java/{jar}.jar" for jar in JARS)
SECONDS = 60

ON_REDIS = {
    "php": ["php", "php/redis.php"],
    "ruby": ["ruby", "ruby/redis.rb"],
    "node": ["node", "node/redis.js"],
}
ON_RABBITMQ = {
    "php": ["php", "php/rabbitmq.php"],
    "ruby": ["ruby", "ruby/rabbitmq.rb"],
    "node": ["node", "node/rabbitmq.js"],
    "java": ["java", "-cp", CLASSPATH, "java/RabbitMq.java"],
}
"""How each program is run, by its language; the others are shown to the reader only."""

PROBES = {
    "php": ["php", "-r", "exit(extension_loaded('redis') && extension_loaded('amqp') ? 0 : 1);"],
    "ruby": ["ruby", "-e", "require 'redis'; require 'bunny'"],
    "node": ["npm", "--version"],
    "java": ["javac", "-version"],
}
JOB = {
    "id": "order-4712",
    "account": "acme",
    "country": "1",
    "phone": "2125550123",
    "code": "48151",
    "ref": 'a=b "Zoë" & €',
}


class Programs:
    """The examples of one language, ready to run in a folder of their own."""

    def __init__(self, language: str, folder: Path) -> None:
        self._language, self._folder = language, folder

    def send(self, job: dict[str, str], url: str) -> subprocess.CompletedProcess[str]:
        """Run the program for the broker at `url` and wait until it has ended."""
        commands, name = (ON_RABBITMQ, "AMQP_URL") if url.startswith("amqp") else (ON_REDIS, "REDIS_URL")
        fields = [f"{field}={value}" for field, value in job.items()]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "LANG": "C.UTF-8", name: url}
        return _run([*commands[self._language], *fields], self._folder, environ)


def _run(
    command: Sequence[str], folder: Path, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def _is_here(language: str) -> bool:
    probe = PROBES[language]
    here = shutil.which(probe[0]) is not None and _run(probe, ROOT).returncode == 0
    return here and (language != "java" or all(Path(jar).exists() for jar in CLASSPATH.split(":")))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the examples, so that nothing is installed or compiled in the checkout."""
    copy = tmp_path_factory.mktemp("producers") / "examples"
    shutil.copytree(PRODUCERS, copy, ignore=shutil.ignore_patterns("node_modules"))
    return copy


@pytest.fixture(scope="session")
def ready(folder: Path) -> dict[str, Programs]:
    """What has been made ready so far, by language."""
    return {}


@pytest.fixture
def programs(language: str, folder: Path, ready: dict[str, Programs]) -> Programs:
    if language not in ready:
        if not _is_here(language):
            absent(f"{language} with its Redis and AMQP clients")
        if language == "node":
            installed = _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder / "node")
            assert installed.returncode == 0, installed.stderr
        ready[language] = Programs(language, folder)
    return ready[language]


@pytest.fixture
def guarded_redis_url(redis_url: str) -> Iterator[str]:
    """A Redis with a user, a password that must be escaped in a URL, and another database than the first."""
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "shop", "on", ">p@ss/w:rd", "~calls.intake", "+xadd", "+@connection")
        yield redis_url.replace("redis://", "redis://shop:p%40ss%2Fw%3Ard@").removesuffix("/0") + "/3"
        client.execute_command("ACL", "DELUSER", "shop")


@pytest.fixture
def rabbitmq_url(amqp_url: str) -> str:
    """The broker's URL as every language's library reads it: the virtual host `/` escaped."""
    return amqp_url.removesuffix("//") + "/%2F"


@pytest.mark.parametrize("language", ON_REDIS)
def test_job_lies_in_the_stream(programs: Programs, redis_url: str, guarded_redis_url: str) -> None:
    """The program ends well, and the one entry of the stream is a valid job with the very fields that were given."""
    done = programs.send(JOB, guarded_redis_url)
    assert done.returncode == 0, done.stderr
    with redis.Redis.from_url(redis_url.removesuffix("/0") + "/3") as client:
        entries: Any = client.xrange("calls.intake")
    ((_, fields),) = entries
    assert list(fields) == [b"job"]
    content = decode(fields[b"job"])
    assert not isinstance(content, Broken) and content == JOB
    assert isinstance(judge(Request(content, Source.STREAM), accounts(account("acme"))), Valid)


@pytest.mark.parametrize("language", ON_RABBITMQ)
def test_job_lies_in_the_queue(programs: Programs, rabbitmq_url: str) -> None:
    """The program ends well, and the one message is persistent JSON and a valid job with the very fields given."""
    with Connection(rabbitmq_url) as connection:
        declare(connection, [INTAKE])
        done = programs.send(JOB, rabbitmq_url)
        assert done.returncode == 0, done.stderr
        (message,) = _messages(connection)
    assert message.content_type == "application/json" and message.properties["delivery_mode"] == 2
    request = read_plain(Envelope.of(message))
    assert isinstance(request, Request) and request.fields == JOB
    assert isinstance(judge(request, accounts(account("acme"))), Valid)


def _messages(connection: Connection) -> list[Message]:
    found = []
    with connection.channel() as channel:
        while message := channel.basic_get("calls.intake", no_ack=True):
            found.append(message)
    return found


@pytest.fixture(params=["away", "no such database", "refuses"])
def bad_redis_url(request: pytest.FixtureRequest, redis_url: str) -> str:
    """A Redis that takes no job: nobody listens there, it has fewer databases, or the stream's key holds a string."""
    if request.param == "away":
        return f"redis://127.0.0.1:{free_port()}/0"
    if request.param == "no such database":
        return redis_url.removesuffix("/0") + "/1000"
    with redis.Redis.from_url(redis_url) as client:
        client.set("calls.intake", "not a stream")
    return redis_url


@pytest.fixture(params=["away", "no queue", "refuses"])
def bad_rabbitmq_url(request: pytest.FixtureRequest, rabbitmq_url: str) -> str:
    """A RabbitMQ that takes no job: nobody listens there, no worker has declared the queue, or the queue is full."""
    if request.param == "away":
        return f"amqp://guest:guest@127.0.0.1:{free_port()}/%2F"
    if request.param == "refuses":
        _full_queue(rabbitmq_url)
    return rabbitmq_url


def _full_queue(url: str) -> None:
    with Connection(url) as connection, connection.channel() as channel:
        limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare("calls.intake", durable=True, auto_delete=False, arguments=limits)
        channel.confirm_select()
        channel.basic_publish_confirm(amqp.Message("{}"), routing_key="calls.intake")


@pytest.mark.parametrize("language", ON_REDIS)
def test_job_that_redis_did_not_take_is_an_error(programs: Programs, bad_redis_url: str) -> None:
    """The program fails, says something, and neither the PIN nor the number is in it."""
    _assert_failed(programs.send(JOB, bad_redis_url))


@pytest.mark.parametrize("language", ON_RABBITMQ)
def test_job_that_rabbitmq_did_not_take_is_an_error(programs: Programs, bad_rabbitmq_url: str) -> None:
    """The same where the broker is away, has no such queue, or does not confirm."""
    _assert_failed(programs.send(JOB, bad_rabbitmq_url))


def _assert_failed(done: subprocess.CompletedProcess[str]) -> None:
    told = done.stdout + done.stderr
    assert done.returncode != 0 and told
    assert JOB["code"] not in told and JOB["phone"] not in told


