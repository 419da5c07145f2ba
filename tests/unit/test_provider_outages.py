"""One pair of lines for each account and outage of the provider."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.doubles.clocks import FakeClock
from worker.core.jobs import Job
from worker.core.retry import Tally
from worker.errors import AccountProblem, CallError, Cause, Misconfigured, Redial, Refused, Retry
from worker.provider.observers import CallResult
from worker.telemetry.metrics import Metrics
from worker.telemetry.provider_outages import ANSWERS, QUIET_SECONDS, TRIES
from worker.telemetry.watching import Watching

LOST = Redial("no answer in time")
LOST.cause = Cause.TIMEOUT


class Scene:
    """A watching with its lines about outages, and jobs with ids of their own."""

    def __init__(self, lines: list[Any]) -> None:
        self.clock, self._lines, self._ids = FakeClock(), lines, itertools.count()
        metrics = Metrics()
        metrics.initialise(["acme", "globex"], [])
        self.watching = Watching(metrics, clock=self.clock)

    def job(self, account: str = "acme") -> Job:
        job = {"account": account, "country": "1", "phone": "2125555555", "code": "7391"}
        return Job.parse({**job, "id": f"job-{next(self._ids)}"})

    def fail(self, times: int = TRIES, error: CallError = LOST, account: str = "acme") -> None:
        """Let that many jobs fail, each for the last time."""
        for _ in range(times):
            self.watching.refused(self.job(account), error)

    def answer(self, times: int = 1, result: CallResult = CallResult.PLACED) -> None:
        for _ in range(times):
            self.watching.request_done(self.job(), result, 0.1, None)

    @property
    def told(self) -> list[dict[str, Any]]:
        pair = ("provider.unavailable", "provider.back")
        return [line for line in self._lines if line["event"] in pair]

    @property
    def events(self) -> list[str]:
        return [line["event"].partition(".")[2] for line in self.told]


@pytest.fixture
def scene() -> Any:
    with capture_logs() as lines:
        yield Scene(lines)


def test_outage_is_one_pair(scene: Scene) -> None:
    """The first line has count and cause, the second how long it took; what lies between has no line."""
    for _ in range(30):
        scene.fail(1)
        scene.clock.advance(2)
    scene.clock.advance(QUIET_SECONDS)
    scene.answer(5)
    away, back = scene.told
    assert away == {
        "event": "provider.unavailable", "log_level": "error", "account": "acme", "tries": TRIES,
        "cause": "timeout", "problem": "no answer in time",
    }  # fmt: skip
    assert back == {
        "event": "provider.back", "log_level": "info", "account": "acme", "seconds": 70.0, "tries": 30,
    }  # fmt: skip


def test_each_account_has_its_own(scene: Scene) -> None:
    """An outage may be one account's key or limit at the provider."""
    scene.fail(TRIES - 1)
    scene.fail(TRIES, account="globex")
    assert [line["account"] for line in scene.told] == ["globex"]
    scene.fail(1)
    assert [line["account"] for line in scene.told] == ["globex", "acme"]


def test_answer_between_makes_it_no_outage(scene: Scene) -> None:
    """Only tries in a row count; a refusal is an answer too."""
    for result in (CallResult.PLACED, CallResult.REFUSED, CallResult.ACCOUNT):
        scene.fail(TRIES - 1)
        scene.answer(result=result)
    assert scene.told == []


def test_one_number_with_a_fault_of_its_own_makes_no_outage(scene: Scene) -> None:
    """Many tries of two jobs: nobody is paged in a quiet night."""
    for job in (scene.job(), scene.job()):
        for _ in range(10):
            scene.watching.retrying(job, Retry("busy: HTTP status 503", sent=True), Tally(), 1.0)
    assert scene.told == []
    scene.fail(1)
    assert scene.events == ["unavailable"]


def test_status_without_an_answer_counts_and_a_wish_does_not(scene: Scene) -> None:
    """503 is an outage; a provider that says how long to wait, or refuses, is there."""
    wish = Retry("busy: HTTP status 429", sent=True, retry_after_seconds=2.0)
    for error in (wish, Refused("X", ""), AccountProblem("X", ""), Misconfigured("", sent=False)):
        scene.fail(error=error)
    assert scene.told == []
    scene.fail(error=Retry("busy: HTTP status 503", sent=True))
    assert scene.told[0]["cause"] == "status"


def test_provider_that_comes_and_goes_makes_one_pair(scene: Scene) -> None:
    """Single answers within an outage do not end it; several in a row do."""
    for _ in range(20):
        scene.fail()
        scene.answer(ANSWERS - 1)
        scene.clock.advance(1)
    assert scene.events == ["unavailable"]
    scene.answer()
    assert scene.events == ["unavailable", "back"]
    scene.fail()
    assert scene.events == ["unavailable", "back", "unavailable"]
