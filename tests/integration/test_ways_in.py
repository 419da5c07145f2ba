"""What comes in wrong, broken or twice: answered or buried, never dialled, and never the end of a worker."""

from __future__ import annotations

import json
import pickle
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import amqp
import pytest

from tests.integration.conftest import BrokerUrl
from tests.integration.outside import Job, Outside, new_job
from tests.integration.stack import Stack, Worker
from tests.integration.stand_in import StandIn
from tests.processes import wait_until
from tests.redis_server import RedisServer

ACCOUNTS: dict[str, dict[str, Any]] = {"acme": {"rate": "200/s", "burst": 100, "countries": ["1", "44"]}}
WRONG: dict[str, tuple[dict[str, Any], str, set[str]]] = {
    "unknown field": ({"colour": "red"}, "INVALID_JOB", {"colour"}),
    "pin with a leading zero": ({"code": "0471"}, "INVALID_JOB", {"code"}),
    "pin too short": ({"code": "99"}, "INVALID_JOB", {"code"}),
    "pin too long": ({"code": 100000}, "INVALID_JOB", {"code"}),
    "pin not a number": ({"code": "12a4"}, "INVALID_JOB", {"code"}),
    "number with hyphens": ({"phone": "212-555-5555"}, "INVALID_JOB", {"phone"}),
    "no number": ({"phone": None}, "INVALID_JOB", {"phone"}),
    "country of four digits": ({"country": "1234"}, "INVALID_JOB", {"country"}),
    "language nobody speaks": ({"message": "Klingon"}, "INVALID_JOB", {"message"}),
    "note too long": ({"ref": "x" * 256}, "INVALID_JOB", {"ref"}),
    "time without an offset": ({"expires_at": "2030-01-01T00:00:00"}, "INVALID_JOB", {"expires_at"}),
    "two at once": ({"code": "77", "phone": "x"}, "INVALID_JOB", {"code", "phone"}),
    "country not allowed": ({"country": "49"}, "DESTINATION_BLOCKED", {"country"}),
    "unknown account": ({"account": "nobody"}, "UNKNOWN_ACCOUNT", {"account"}),
}


@dataclass(frozen=True)
class Intake:
    """One installation with two workers."""

    provider: StandIn
    outside: Outside
    workers: list[Worker]

    def total(self, metric: str, **labels: str) -> float:
        """A counter, added up over the workers."""
        return sum(worker.metric(metric, **labels) for worker in self.workers)

    def still_works(self) -> None:
        """Both workers run, and a good job is placed."""
        job = new_job(f"good-{uuid.uuid4().hex[:8]}")
        self.outside.send(job)
        assert self.outside.wait([job["id"]])[job["id"]]["type"] == "call.placed"
        assert [worker.process.poll() for worker in self.workers] == [None, None]


@pytest.fixture(scope="module", params=["redis", "amqp"])
def intake(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    own_redis: RedisServer,
    broker_url: BrokerUrl,
) -> Iterator[Intake]:
    folder, broker = tmp_path_factory.mktemp("stack"), broker_url(request.param)
    with StandIn() as provider, Stack(folder, own_redis.url, broker, provider.url, ACCOUNTS) as stack:
        stack.outside.redis.flushall()
        yield Intake(provider, stack.outside, [stack.start("celery"), stack.start("run")])


@pytest.mark.parametrize("way", ["send", "plain"])
def test_wrong_jobs_are_answered_and_not_dialled(intake: Intake, way: str) -> None:
    """Each kind of wrong job ends as call.rejected that names the fields and repeats neither number nor PIN."""
    asked = len(intake.provider.asked)
    jobs = {name: new_job(f"{way}-{n}") | wrong for n, (name, (wrong, _, _)) in enumerate(WRONG.items())}
    getattr(intake.outside, way)(*jobs.values())
    events = intake.outside.wait(job["id"] for job in jobs.values())
    for name, (_, code, fields) in WRONG.items():
        event = events[jobs[name]["id"]]
        error = event["data"]["error"]
        assert (event["type"], error["code"], set(error["fields"])) == ("call.rejected", code, fields), name
        told = json.dumps(event)
        assert not [jobs[name][field] for field in ("phone", "code") if f'"{jobs[name][field]}"' in told], (
            name
        )
    assert len(intake.provider.asked) == asked


def broken_celery(job: Job) -> list[tuple[bytes | str, str | None, dict[str, Any]]]:
    """Messages for queue `calls` that no event can answer: body, content type, headers."""
    headers = {"task": "calls.verify", "id": str(uuid.uuid4())}
    good = json.dumps([[], job, {}])
    return [
        (pickle.dumps([[], job, {}]), "application/x-python-serialize", headers),
        (good, "text/plain", headers),
        (good, "application/x-yaml", headers),
        ("{not json", "application/json", headers),
        ("[]", "application/json", headers),
        ("42", "application/json", headers),
        (good, "application/json", {}),
        (good, "application/json", {**headers, "task": "calls.other"}),
        (json.dumps([[job], {}, {}]), "application/json", headers),
        (json.dumps([[], {k: v for k, v in job.items() if k != "account"}, {}]), "application/json", headers),
        (json.dumps([[], job | {"id": "two words"}, {}]), "application/json", headers),
    ]


def test_broken_celery_messages_are_buried(intake: Intake) -> None:
    """Pickle, other content types and messages without sense lie among the dead letters with a reason each."""
    before, asked = len(intake.outside.dead_letters()), len(intake.provider.asked)
    messages = broken_celery(new_job("broken"))
    for body, content_type, headers in messages:
        intake.outside.publish("calls", body, content_type, **headers)
    letters = intake.outside.wait_for_dead_letters(before + len(messages))
    assert len(letters) == before + len(messages)
    assert all(letter["reason"] for letter in letters)
    assert len(intake.provider.asked) == asked and "broken" not in intake.outside.delivered
    intake.still_works()


def test_broken_plain_messages_are_buried(intake: Intake) -> None:
    """The same for plain JSON: what has no id or account, or is no JSON object, is kept with the reason."""
    before, job = len(intake.outside.dead_letters()), new_job("broken")
    without_id = json.dumps({name: value for name, value in job.items() if name != "id"})
    bodies = [without_id, json.dumps(job | {"account": None}), "{not json", "[1]", "", "\xff\x00"]
    for body in bodies:
        if intake.outside.broker_url.startswith("amqp"):
            intake.outside.publish("calls.intake", body, "application/json")
        else:
            intake.outside.redis.xadd("calls.intake", {"job": body})
    letters = intake.outside.wait_for_dead_letters(before + len(bodies))
    assert len(letters) == before + len(bodies) and all(letter["reason"] for letter in letters)
    intake.still_works()


def push_foreign(outside: Outside, good: Job) -> int:
    """Leave what no kombu wrote, a good plain job among it; how many of it are junk."""
    if not outside.broker_url.startswith("amqp"):
        junk = (b"\xff\xfe", "{}", "[]", '{"body": 1}', '{"body": "===", "properties": {}}')
        outside.redis.lpush("calls", *junk)
        outside.redis.xadd("calls.intake", {"other": "x"})
        outside.redis.xadd("calls.intake", {"job": json.dumps(good), "other": "x"})
        return len(junk) + 1
    host = outside.broker_url.split("@")[1].split("/")[0]
    with amqp.Connection(host) as connection:
        channel = connection.channel()
        for body in (b"\xff\xfe", "{}"):
            channel.basic_publish(amqp.Message(body), routing_key="calls")
        channel.basic_publish(amqp.Message(json.dumps(good)), routing_key="calls.intake")
    return 2


def test_messages_of_other_libraries_are_taken_or_buried(intake: Intake) -> None:
    """Messages not written by kombu stop no worker: junk is buried, a plain job without a content type is placed."""
    before, good = len(intake.outside.dead_letters()), new_job("foreign")
    junk = push_foreign(intake.outside, good)
    assert len(intake.outside.wait_for_dead_letters(before + junk)) == before + junk
    assert intake.outside.wait([good["id"]])[good["id"]]["type"] == "call.placed"
    intake.still_works()


def test_one_id_is_one_call(intake: Intake) -> None:
    """Fifty copies at once, by both ways, on two workers: one request, one event, forty-nine repeats counted."""
    job, before = new_job("fifty"), intake.total("duplicates_total")
    halves = [
        threading.Thread(target=intake.outside.send, args=[job] * 25),
        threading.Thread(target=intake.outside.plain, args=[job] * 25),
    ]
    for half in halves:
        half.start()
    for half in halves:
        half.join()
    intake.outside.wait([job["id"]])
    wait_until(lambda: intake.total("duplicates_total") == before + 49, "the repeats are counted")
    assert len(intake.provider.requests(job["phone"])) == 1
    assert len(intake.outside.delivered[job["id"]]) == 1


def test_id_of_an_ended_job_is_not_dialled_again(intake: Intake) -> None:
    """An id that comes again after its job has ended, even as another job, is a repeat."""
    job, before = new_job("again"), intake.total("duplicates_total")
    intake.outside.send(job)
    intake.outside.wait([job["id"]])
    other = new_job("again")
    intake.outside.plain(job, other)
    wait_until(lambda: intake.total("duplicates_total") == before + 2, "the repeats are counted")
    assert intake.provider.rung(job["phone"], other["phone"]) == [1, 0]
    assert len(intake.outside.delivered[job["id"]]) == 1
