"""The producer: a client with the settings of a worker. What a client does is told in tests/unit/client."""

from __future__ import annotations

from pathlib import Path

import pytest

import worker.errors
from callworker.message import VERIFY
from tests.unit.client.recorder import Recorder
from worker.broker.address import broker_url
from worker.broker.queues import TASK_NAME
from worker.core.jobs import Job
from worker.errors import BrokerUnavailable, ConfigurationError, InvalidJob
from worker.producer import Producer, enqueue, enqueue_many
from worker.settings import Settings

URL = "redis://localhost"
FIELDS = {"account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKER_URL", "REDIS_URL", "CALLWORKER_STATE_DIR", "PROXSTOP_EXTENDED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr("callworker.client.link_to", lambda *_: made)
    return made


def test_job_is_sent_as_workers_read_it(recorder: Recorder) -> None:
    """A mapping or a Job that was checked before travels to the same Job again, times included."""
    job = Job.parse({"id": "job-1", "expires_at": "2026-11-22T08:15:30.5+01:00", "ext": "12", **FIELDS})
    assert enqueue(job, broker_url=URL) == "job-1"
    assert enqueue_many([{"id": "job-2", **FIELDS}], broker_url=URL) == ["job-2"]
    assert [Job.parse(kwargs) for kwargs in recorder.kwargs()] == [job, Job.parse({"id": "job-2", **FIELDS})]
    assert VERIFY == TASK_NAME


def test_errors_are_those_of_the_worker(recorder: Recorder) -> None:
    """Callers may catch them from either package."""
    with pytest.raises(InvalidJob, match=r"job 1 \(job-7\) is not valid: account: is required"):
        Producer(URL).enqueue_many([FIELDS, {"id": "job-7"}])
    for name in ("InvalidJob", "BrokerUnavailable", "BrokerRefused", "ConfigurationError"):
        assert getattr(worker.errors, name) is getattr(__import__("callworker"), name)


def test_job_checked_before_is_not_checked_again(recorder: Recorder) -> None:
    """A dead letter with fields of the provider's older page is sent again by whatever settings."""
    job = Job.parse({"id": "job-1", **FIELDS, "exttype": "1", "message": "Hindi"}, extended=True)
    Producer(URL).enqueue(job)
    assert Job.parse(recorder.kwargs()[0], extended=True) == job


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "amqp://127.0.0.1:1", "redis+socket:///nowhere/sock"])
def test_absent_broker_is_an_error(url: str) -> None:
    """The caller learns that the job was not taken."""
    with pytest.raises(BrokerUnavailable):
        enqueue(FIELDS, broker_url=url)


def test_extended_fields_follow_the_setting(monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> None:
    """Fields that only the provider's older page allows are taken if the operator switched them on."""
    older = {**FIELDS, "exttype": "1", "message": "Hindi"}
    with pytest.raises(InvalidJob):
        enqueue(older, broker_url=URL)
    monkeypatch.setenv("PROXSTOP_EXTENDED", "on")
    enqueue(older, broker_url=URL)
    assert len(recorder.messages) == 1


@pytest.mark.parametrize("url", ["nonsense://host", "memory://", "redis://host:x"])
def test_wrong_address_is_a_configuration_error(url: str) -> None:
    """An address of no broker is said so, not reported as a broker that is away."""
    with pytest.raises(ConfigurationError, match="BROKER_URL"):
        Producer(url)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"BROKER_URL": "amqp://a", "REDIS_URL": "redis://b"}, "amqp://a"),
        ({"REDIS_URL": "redis://b:6380/2"}, "redis://b:6380/2"),
        ({"REDIS_URL": "unix:///run/r.sock"}, "unix:///run/r.sock"),
        ({"CALLWORKER_STATE_DIR": "/srv/cw"}, "redis+socket:///srv/cw/redis.sock"),
    ],
)
def test_broker_defaults_in_order(environ: dict[str, str], url: str) -> None:
    """BROKER_URL, else REDIS_URL, else the embedded server in its folder."""
    assert broker_url(Settings.from_env(environ)) == url


def test_embedded_server_is_looked_for_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is that of the default state folder if nothing is set."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    url = broker_url(Settings.from_env({}))
    assert url.startswith("redis+socket://") and url.endswith(".sock")
