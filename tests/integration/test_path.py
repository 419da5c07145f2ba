"""A job in, an event out, by every way in and on both brokers: the shapes that the contract promises."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from tests.integration.conftest import BrokerUrl
from tests.integration.outside import Outside, in_seconds, new_job
from tests.integration.stack import Stack, api_key
from tests.integration.stand_in import Asked, Reply, StandIn, gives_ref, refuses
from tests.redis_server import RedisServer

ACCOUNTS: dict[str, dict[str, Any]] = {
    "acme": {"rate": "100/s", "burst": 50, "countries": ["1", "44", "972"]},
    "slow": {"rate": "1/h"},
}
AT_MOST_LATE_SECONDS = 20.0
"""For machines that do other things as well."""

COMMON = {"id", "account", "note", "country", "phone", "attempts", "accepted_at", "finished_at"}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def script(asked: Asked) -> Reply:
    """The number says what happens."""
    if asked.phone.endswith("0001"):
        return refuses("INVALID_TELEPHONE", "The telephone number provided is not valid.")
    if asked.phone.endswith("0005"):
        return Reply("")
    return gives_ref()


@dataclass(frozen=True)
class Path:
    """One installation with one worker."""

    provider: StandIn
    outside: Outside


@pytest.fixture(scope="module", params=[("redis", "run"), ("amqp", "celery")], ids="-".join)
def path(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    own_redis: RedisServer,
    broker_url: BrokerUrl,
) -> Iterator[Path]:
    broker, how = request.param
    folder = tmp_path_factory.mktemp("stack")
    with (
        StandIn(script) as provider,
        Stack(folder, own_redis.url, broker_url(broker), provider.url, ACCOUNTS) as stack,
    ):
        stack.outside.redis.flushall()
        stack.start(how)
        yield Path(provider, stack.outside)


def unique(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


def check_envelope(event: dict[str, Any], event_type: str) -> None:
    assert set(event) == {"id", "type", "timestamp", "data"}
    assert event["id"].startswith("evt_") and event["type"] == event_type
    moments = [event["timestamp"], event["data"]["accepted_at"], event["data"]["finished_at"]]
    assert all(MOMENT.fullmatch(moment) for moment in moments)
    assert datetime.fromisoformat(moments[1]) <= datetime.fromisoformat(moments[2])


def test_placed_event_has_the_contracts_shape(path: Path) -> None:
    """Every field of the contract's example is there, and no other."""
    job = new_job(unique("placed"), phone="2125555555", ref="for Ann")
    path.outside.send(job)
    event = path.outside.wait([job["id"]])[job["id"]]
    check_envelope(event, "call.placed")
    data = event["data"]
    assert set(data) == COMMON | {"ref"}
    known = {
        "id": job["id"],
        "account": "acme",
        "note": "for Ann",
        "country": "1",
        "phone": "******5555",
        "attempts": 1,
    }
    assert known.items() <= data.items()
    assert re.fullmatch(r"[0-9A-F]{32}", data["ref"])


@pytest.mark.parametrize(
    ("more", "event_type", "code", "attempts"),
    [
        ({"phone": "2125550001"}, "call.failed", "INVALID_TELEPHONE", 1),
        ({"phone": "2125550005"}, "call.unknown", "OUTCOME_UNKNOWN", 2),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "call.expired", "EXPIRED", 0),
    ],
)
def test_other_endings_carry_an_error(
    path: Path, more: dict[str, str], event_type: str, code: str, attempts: int
) -> None:
    """An event without a ref has the common fields, and an error of a code and a message."""
    job = new_job(unique("error"), **more)
    path.outside.send(job)
    event = path.outside.wait([job["id"]])[job["id"]]
    check_envelope(event, event_type)
    data = event["data"]
    assert set(data) == COMMON | {"error"} and set(data["error"]) == {"code", "message"}
    assert (data["error"]["code"], data["attempts"], data["note"]) == (code, attempts, None)
    assert data["error"]["message"]


def test_rejected_event_names_the_fields(path: Path) -> None:
    """A job that is not valid ends in an event of the same shape, with each wrong field's error and no wrong value."""
    job = new_job(unique("rejected"), code="0123", colour="red")
    path.outside.send(job)
    event = path.outside.wait([job["id"]])[job["id"]]
    check_envelope(event, "call.rejected")
    data = event["data"]
    assert set(data) == COMMON | {"error"} and set(data["error"]) == {"code", "message", "fields"}
    assert data["error"]["code"] == "INVALID_JOB" and set(data["error"]["fields"]) == {"code", "colour"}
    assert data["attempts"] == 0 and path.provider.requests(job["phone"]) == []


def test_results_are_plain_json_with_the_type_as_routing_key(path: Path) -> None:
    """A subscriber needs kombu, or any AMQP client, and a JSON reader; nothing of Celery."""
    good, bad = new_job(unique("good")), new_job(unique("bad"), code="1")
    path.outside.send(good, bad)
    path.outside.wait([good["id"], bad["id"]])
    for job, event_type in ((good, "call.placed"), (bad, "call.rejected")):
        (delivered,) = path.outside.delivered[job["id"]]
        assert (delivered.routing_key, delivered.content_type) == (event_type, "application/json")


def test_request_is_the_documented_form(path: Path) -> None:
    """The provider gets exactly the fields that its page names, form-encoded, at the path of the format."""
    job = new_job(
        unique("form"),
        country=44,
        phone=2079460123,
        code=99999,
        ext="12",
        message="French",
        ref="für Åsa & Co",
    )
    path.outside.plain(job)
    path.outside.wait([job["id"]])
    (asked,) = path.provider.requests("2079460123")
    assert (asked.method, asked.path, asked.query) == ("POST", "/telephonecall.xml", "")
    assert asked.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    expected = {"country": "44", "phone": "2079460123", "code": "99999", "ext": "12", "message": "French"}
    assert asked.form == {**expected, "key": api_key("acme"), "ref": "für Åsa & Co"}


def test_task_id_is_the_default_id(path: Path) -> None:
    """A Celery job without an id of its own is known by its task's id."""
    job = new_job("dropped")
    del job["id"]
    task_id = path.outside.celery.send_task("calls.verify", kwargs=job, queue="calls").id
    assert path.outside.wait([task_id])[task_id]["type"] == "call.placed"
    assert len(path.provider.requests(job["phone"])) == 1


def test_every_way_in_ends_alike(path: Path) -> None:
    """A stock Celery app, a hand-written Celery message of either protocol, and plain JSON: each rings once."""
    jobs = [new_job(unique(way)) for way in ("celery", "protocol2", "protocol1", "plain")]
    path.outside.send(jobs[0])
    body = json.dumps([[], jobs[1], {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    path.outside.publish("calls", body, "application/json", task="calls.verify", id=str(uuid.uuid4()))
    old = {"task": "calls.verify", "id": str(uuid.uuid4()), "args": [], "kwargs": jobs[2]}
    path.outside.publish("calls", json.dumps(old), "application/json")
    path.outside.plain(jobs[3])
    events = path.outside.wait(job["id"] for job in jobs)
    assert {event["type"] for event in events.values()} == {"call.placed"}
    assert path.provider.rung(*(job["phone"] for job in jobs)) == [1, 1, 1, 1]


def test_job_expires_when_its_time_comes(path: Path) -> None:
    """A waiting job ends when `expires_at` passes, hours before its turn, and is never dialled."""
    first, second = (
        new_job(unique("first"), "slow"),
        new_job(unique("second"), "slow", expires_at=in_seconds(2)),
    )
    path.outside.send(first, second)
    event = path.outside.wait([second["id"]])[second["id"]]
    late = (
        path.outside.delivered[second["id"]][0].unix
        - datetime.fromisoformat(second["expires_at"]).timestamp()
    )
    assert event["type"] == "call.expired" and 0 <= late < AT_MOST_LATE_SECONDS
    assert path.provider.requests(second["phone"]) == []
