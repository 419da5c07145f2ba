"""Producers in other languages: each program in examples/producers whose language is here sends a real job."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import amqp
import pytest
import redis
from kombu import Connection
from kombu.message import Message

from tests.contract.language_programs import ON_RABBITMQ, ON_REDIS, PRODUCERS, ROOT, Programs, prepared
from tests.doubles.samples import account, accounts
from tests.integration.outside import new_job
from tests.integration.stack import Stack
from tests.integration.stand_in import StandIn
from tests.processes import free_port
from worker.broker.declaring import declare
from worker.broker.queues import INTAKE
from worker.core.judging import Broken, Submission, Valid, decode, judge
from worker.core.records import Source
from worker.inbound.messages import Envelope, read_plain

JOB = {
    "id": "order-4712",
    "account": "acme",
    "country": "1",
    "phone": "2125550123",
    "code": "48151",
    "ref": 'a=b "Zoë" & €',
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the examples, so that nothing is installed or compiled in the checkout."""
    copy = tmp_path_factory.mktemp("producers") / "examples"
    shutil.copytree(PRODUCERS, copy, ignore=shutil.ignore_patterns("node_modules"))
    return copy


@pytest.fixture(scope="session")
def programs_in(folder: Path) -> Callable[[str], Programs]:
    """Gives the programs of a language; the test that asks for one that is not here ends."""
    return cache(partial(prepared, folder=folder))


@pytest.fixture
def programs(language: str, programs_in: Callable[[str], Programs]) -> Programs:
    return programs_in(language)


@pytest.fixture
def guarded_redis_url(redis_url: str) -> Iterator[str]:
    """A Redis with a user, a password that must be escaped in a URL, and another database than the first."""
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command(
            "ACL", "SETUSER", "shop", "on", ">p@ss/w:rd", "~calls.intake", "+xadd", "+@connection", "+select"
        )
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
    assert isinstance(judge(Submission(content, Source.STREAM), accounts(account("acme"))), Valid)


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
    assert isinstance(request, Submission) and request.fields == JOB
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


@pytest.mark.parametrize(
    ("broker", "languages"), [("redis_url", list(ON_REDIS)), ("rabbitmq_url", list(ON_RABBITMQ))]
)
def test_a_worker_has_the_jobs_rung(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    redis_url: str,
    programs_in: Callable[[str], Programs],
    broker: str,
    languages: list[str],
) -> None:
    """Each language's job is placed by a real worker, with the number, the PIN and the note that were given."""
    programs = {language: programs_in(language) for language in languages}
    url, rates = str(request.getfixturevalue(broker)), {"acme": {"rate": "100/s"}}
    with StandIn() as provider, Stack(tmp_path, redis_url, url, provider.url, rates) as stack:
        stack.start()
        for language, sender in programs.items():
            job = new_job(language, ref=JOB["ref"])
            done = sender.send(job, url)
            assert done.returncode == 0, done.stderr
            event = stack.outside.wait([language])[language]
            assert (event["type"], event["data"]["note"]) == ("call.placed", JOB["ref"])
            assert [asked.form["code"] for asked in provider.requests(job["phone"])] == [job["code"]]


@pytest.mark.parametrize("folder_name", ["php", "ruby", "node", "java", "csharp"])
def test_page_links_the_programs(folder_name: str) -> None:
    """For each language the page on sending jobs links both programs, and repeats nothing of them."""
    page = ROOT / "docs/how-to/send-jobs.md"
    text = page.read_text(encoding="utf-8")
    programs = sorted((PRODUCERS / folder_name).glob("[rR]*"))
    assert len(programs) == 2
    for program in programs:
        assert f"(../../{program.relative_to(ROOT)})" in text
    assert set(re.findall(r"^```(\w+)$", text, re.MULTILINE)) <= {"sh", "python", "json"}
