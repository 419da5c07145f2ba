"""Each fact gives one log line under its constant name, and moves its metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.doubles.clocks import FakeClock
from tests.doubles.gates import OpenGate
from worker.core.endpoints import Endpoint
from worker.core.events import Event, Status
from worker.core.jobs import Job
from worker.core.making_good import Over
from worker.core.ports import Gate
from worker.core.records import Due, Foreign, Lease, Reason, Seen, Slot, Source
from worker.core.retry import Tally
from worker.delivery.ports import (
    Attempt,
    AttemptResult,
    Conclusion,
    Delivery,
    Destination,
    Effect,
    Health,
    OutgoingEvent,
    Verdict,
)
from worker.errors import (
    AccountProblem,
    CallError,
    Cause,
    Misconfigured,
    Redial,
    Refused,
    Retry,
    StoreUnavailable,
)
from worker.http.oddities import Oddity
from worker.privacy.redaction import redactor
from worker.provider.observers import CallResult
from worker.telemetry.counting import CountingProvider
from worker.telemetry.metrics import Metrics
from worker.telemetry.watching import Watching

JOB = Job.parse({"id": "job-1", "account": "acme", "country": "1", "phone": "2125555555", "code": "7391"})


ORDERS = Endpoint(url="https://hooks.example.com/orders", name="orders", secret_env=("A",))
DELIVERY = Delivery(0, Destination("acme", "orders"), "job-1", "evt_1", b"{}", 2, 7, finished_at_us=1_000_000)


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics()
    metrics.initialise(["acme"], [("acme", ORDERS)])
    return metrics


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def watching(metrics: Metrics, clock: FakeClock) -> Watching:
    return Watching(metrics, unix_clock=lambda: 31.5, clock=clock)


def count(metrics: Metrics, name: str, **labels: str) -> float:
    """The value of a series; 0 if it has not appeared yet."""
    return metrics.registry.get_sample_value(f"callworker_{name}", labels) or 0.0


def ended(status: Status) -> Event:
    return Event("evt_1", status, "{}")


def lease(waited_for: Reason | None) -> Lease:
    return Lease(
        job=JOB,
        fence=1,
        due=Due.DIAL,
        tally=Tally(),
        accepted_at_us=0,
        expires_at_us=1,
        clock_offset_us=0,
        slot=Slot(0.0, 1.0, 2.0),
        waited_for=waited_for,
        waited_seconds=1.5,
    )


FACTS: dict[str, tuple[Callable[[Watching], None], str, str, str, dict[str, str]]] = {
    "accepted": (
        lambda w: w.accepted("acme", "job-1", Source.STREAM),
        "job.accepted", "debug", "jobs_accepted_total", {"account": "acme", "source": "stream"},
    ),
    "accepted for an unknown account": (
        lambda w: w.accepted("elsewhere", "job-1", Source.CELERY),
        "job.accepted", "debug", "jobs_accepted_total", {"account": "(unknown)", "source": "celery"},
    ),
    "repeated": (
        lambda w: w.repeated("acme", "job-1", Seen("placed")),
        "job.repeated", "info", "duplicates_total", {"account": "acme"},
    ),
    "conflict": (
        lambda w: w.repeated("acme", "job-1", Seen("placed", ("phone", "code"))),
        "job.conflict", "warning", "conflicts_total", {"account": "acme"},
    ),
    "conflict with another account's job": (
        lambda w: w.repeated("acme", "job-1", Foreign()),
        "job.conflict", "warning", "conflicts_total", {"account": "acme"},
    ),
    "leased after a wait": (
        lambda w: w.leased(lease(Reason.RATE_LIMIT)),
        "job.leased", "debug", "job_wait_seconds_count", {"reason": "rate_limit"},
    ),
    "retrying": (
        lambda w: w.retrying(JOB, Redial("no answer"), Tally(1, 0, 1), 0.25),
        "call.retrying", "info", "retries_total", {"account": "acme", "reason": "perhaps_rung"},
    ),
    "held": (
        lambda w: w.held(JOB, AccountProblem("NO_POINTS", "no points left")),
        "account.held", "warning", "provider_errors_total", {"account": "acme", "code": "NO_POINTS"},
    ),
    "refused": (
        lambda w: w.refused(JOB, Refused("INVALID_TELEPHONE", "not valid")),
        "call.refused", "debug", "provider_errors_total", {"account": "acme", "code": "INVALID_TELEPHONE"},
    ),
    "refused with an unknown code": (
        lambda w: w.refused(JOB, Refused("SURPRISE", "what?", known=False)),
        "provider.unknown_code", "warning", "provider_errors_total", {"account": "acme", "code": "unknown"},
    ),
    "lease lost": (
        lambda w: w.lease_lost(JOB),
        "job.lease_lost", "warning", "leases_lost_total", {"account": "acme"},
    ),
    "placed": (
        lambda w: w.finished("job-1", "acme", ended(Status.PLACED), "", 2.0),
        "call.placed", "info", "jobs_finished_total", {"account": "acme", "status": "placed"},
    ),
    "unknown": (
        lambda w: w.finished("job-1", "acme", ended(Status.UNKNOWN), "OUTCOME_UNKNOWN", 2.0),
        "call.unknown", "warning", "jobs_finished_total", {"account": "acme", "status": "unknown"},
    ),
    "canceled": (
        lambda w: w.finished("job-1", "acme", ended(Status.EXPIRED), "CANCELED", 2.0),
        "call.expired", "info", "jobs_finished_total", {"account": "acme", "status": "canceled"},
    ),
    "rejected": (
        lambda w: w.finished("job-1", "nobody", ended(Status.REJECTED), "UNKNOWN_ACCOUNT", 0.0),
        "call.rejected", "info", "jobs_finished_total", {"account": "(unknown)", "status": "rejected"},
    ),
    "loop failed": (
        lambda w: w.loop_failed("relay", RuntimeError("a fault of ours")),
        "loop.failed", "error", "loop_failures_total", {"loop": "relay"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("fact", FACTS)
def test_fact_gives_one_line_and_one_count(metrics: Metrics, watching: Watching, fact: str) -> None:
    """The line's name and level, and the counter with its labels."""
    happen, event, level, name, labels = FACTS[fact]
    before = count(metrics, name, **labels)
    with capture_logs() as lines:
        happen(watching)
    assert [(line["event"], line["log_level"]) for line in lines] == [(event, level)]
    assert count(metrics, name, **labels) == before + 1


@pytest.mark.parametrize("fact", FACTS)
def test_line_names_the_job_and_never_the_pin(watching: Watching, fact: str) -> None:
    """No fact has the PIN or the number, even before redaction."""
    with capture_logs() as lines:
        FACTS[fact][0](watching)
    assert "7391" not in str(lines) and "2125555555" not in str(lines)
    assert "loop" in lines[0] or lines[0]["job_id"] == "job-1"


def test_line_does_not_use_the_name_of_the_pin(watching: Watching) -> None:
    """The provider's error code is `error_code`: a field called `code` would be hidden."""
    with capture_logs() as lines:
        watching.finished("job-1", "acme", ended(Status.FAILED), "INVALID_TELEPHONE", 1.0)
        watching.finished("job-1", "acme", ended(Status.PLACED), "", 1.0)
    assert lines[0]["error_code"] == "INVALID_TELEPHONE" and "error_code" not in lines[1]


def test_parked_is_a_step(watching: Watching) -> None:
    """The beginning of a wait is logged with its reason and end."""
    with capture_logs() as lines:
        watching.parked(JOB, Reason.RATE_LIMIT, 1763799330123456)
    (line,) = lines
    assert (line["event"], line["log_level"], line["reason"]) == ("job.parked", "debug", "rate_limit")


def test_wait_is_observed_only_where_there_was_one(metrics: Metrics, watching: Watching) -> None:
    """A job that went at once is not a wait of 0 s."""
    watching.leased(lease(None))
    watching.leased(lease(Reason.BACKOFF))
    assert count(metrics, "job_wait_seconds_count", reason="backoff") == 1
    assert count(metrics, "job_wait_seconds_sum", reason="backoff") == 1.5
    assert count(metrics, "job_wait_seconds_count", reason="rate_limit") == 0


@pytest.mark.parametrize(
    ("error", "event", "level"),
    [
        (Misconfigured("certificate refused", sent=False), "provider.misconfigured", "error"),
        (Retry("refused", sent=False), "call.given_up", "debug"),
        (Redial("no answer"), "call.given_up", "debug"),
    ],
)
def test_end_without_the_provider_saying_so_is_no_provider_error(
    metrics: Metrics, watching: Watching, error: CallError, event: str, level: str
) -> None:
    """Only what the provider said counts under its codes."""
    with capture_logs() as lines:
        watching.refused(JOB, error)
    assert [(line["event"], line["log_level"]) for line in lines] == [(event, level)]
    assert count(metrics, "provider_errors_total", account="acme", code="unknown") == 0


def test_life_of_a_job_is_observed(metrics: Metrics, watching: Watching) -> None:
    """A job is counted from acceptance to end, by account."""
    watching.finished("job-1", "acme", ended(Status.PLACED), "", 2.0)
    assert count(metrics, "job_seconds_sum", account="acme") == 2.0


def test_requests_and_attempts_are_counted_in_silence(metrics: Metrics, watching: Watching) -> None:
    """Requests, webhook attempts and publications are too many for lines of their own."""
    with capture_logs() as lines:
        watching.request_done(JOB, CallResult.PERHAPS_RUNG, 0.5, None)
        watching.webhook_attempted("acme", Attempt(AttemptResult.DELIVERED, 0.25))
        watching.results_published([OutgoingEvent("call.placed", "{}")] * 3)
        watching.progress()
    assert lines == []
    assert count(metrics, "provider_requests_total", account="acme", result="perhaps_rung") == 1
    assert count(metrics, "provider_request_seconds_sum") == 0.5
    assert count(metrics, "webhook_attempts_total", account="acme", result="delivered") == 1
    assert count(metrics, "webhook_attempt_seconds_sum") == 0.25
    assert count(metrics, "results_published_total") == 3
    assert count(metrics, "last_progress_timestamp_seconds") > 1_700_000_000


@pytest.mark.parametrize("status", [None, 200, 503, 429])
def test_answers_429_are_counted(metrics: Metrics, watching: Watching, status: int | None) -> None:
    """Only that status says that the provider was asked too often."""
    watching.request_done(JOB, CallResult.NOT_RUNG, 0.5, status)
    assert count(metrics, "provider_throttled_total", account="acme") == (status == 429)


@pytest.mark.parametrize("waited_for", [None, *Reason])
def test_first_request_counts_where_no_limit_of_the_account_held_the_job_back(
    metrics: Metrics, watching: Watching, waited_for: Reason | None
) -> None:
    """A wait for the account's rate is what the account asked for, and no failure of the workers."""
    watching.first_request(lease(waited_for), 7.5)
    counts = waited_for in (None, Reason.NO_PLACES, Reason.PAUSED)
    assert count(metrics, "first_send_seconds_count") == counts
    assert count(metrics, "first_send_seconds_bucket", le="5.0") == 0
    assert count(metrics, "first_send_seconds_bucket", le="10.0") == counts


def test_time_from_a_jobs_end_to_its_events_confirmation_is_observed(
    metrics: Metrics, watching: Watching
) -> None:
    """It is read from the event; those of webhooks, which end no job, are left out."""
    at = '{"id":"evt_1","type":"call.placed","timestamp":"1970-01-01T00:00:25.250Z","data":{}}'
    watching.results_published([OutgoingEvent("call.placed", at), OutgoingEvent("endpoint.failing", at)])
    assert count(metrics, "publish_seconds_count") == 1
    assert count(metrics, "publish_seconds_sum") == 6.25


@pytest.mark.parametrize("name", ["first_send_seconds", "publish_seconds"])
def test_bounds_of_the_objectives_are_buckets(metrics: Metrics, name: str) -> None:
    """The share within 5 s or 10 s is exact, and not interpolated."""
    for bound in ("5.0", "10.0"):
        assert count(metrics, f"{name}_bucket", le=bound) == 0


def delivered(delivery: Delivery = DELIVERY) -> Conclusion:
    return Conclusion(
        delivery, Verdict.DELIVERED, "200", Health.GOOD, attempt=Attempt(AttemptResult.DELIVERED, 0.25)
    )


def test_delivery_is_timed_from_the_event_to_its_2xx(metrics: Metrics, watching: Watching) -> None:
    """At its endpoint, however many attempts it took; a clock that is behind Redis' makes no negative time."""
    with capture_logs() as lines:
        watching.webhook_concluded("orders", delivered(), Effect(recorded=True))
        watching.webhook_concluded(
            "orders", delivered(replace(DELIVERY, finished_at_us=32_000_000)), Effect(recorded=True)
        )
    assert lines == []
    labels = {"account": "acme", "endpoint": "orders"}
    assert count(metrics, "webhook_endpoint_attempts_total", result="delivered", **labels) == 2
    assert count(metrics, "webhook_delivery_seconds_sum", **labels) == 30.5
    assert count(metrics, "webhook_delivery_seconds_bucket", le="0.05", **labels) == 1
    assert count(metrics, "webhook_delivery_seconds_count", **labels) == 2


def test_delivery_that_another_worker_concluded_is_timed_there(metrics: Metrics, watching: Watching) -> None:
    """The request was made and counts; the delivery is counted by the worker whose conclusion is on record."""
    watching.webhook_concluded("orders", delivered(), Effect(recorded=False))
    labels = {"account": "acme", "endpoint": "orders"}
    assert count(metrics, "webhook_endpoint_attempts_total", result="delivered", **labels) == 1
    assert count(metrics, "webhook_delivery_seconds_count", **labels) == 0


def test_conclusion_without_a_2xx_is_no_delivery(metrics: Metrics, watching: Watching) -> None:
    """A failed attempt counts by its result; a delivery that was only returned counts nowhere."""
    failed = Conclusion(DELIVERY, Verdict.AGAIN, "500", attempt=Attempt(AttemptResult.REFUSED, 0.25, 500))
    watching.webhook_concluded("orders", failed, Effect(recorded=True))
    watching.webhook_concluded(
        "orders", Conclusion(DELIVERY, Verdict.RETURNED, "slot"), Effect(recorded=True)
    )
    labels = {"account": "acme", "endpoint": "orders"}
    counts = [
        count(metrics, "webhook_endpoint_attempts_total", result=result, **labels) for result in AttemptResult
    ]
    assert sum(filter(None, counts)) == 1
    assert count(metrics, "webhook_endpoint_attempts_total", result="refused", **labels) == 1
    assert count(metrics, "webhook_delivery_seconds_count", **labels) == 0


def test_endpoint_that_is_not_in_the_file_is_counted_as_other(metrics: Metrics, watching: Watching) -> None:
    """A name from elsewhere makes no series of its own."""
    watching.webhook_concluded("0a1b2c3d4e5f", delivered(), Effect(recorded=True))
    labels = {"account": "acme", "endpoint": "other"}
    assert count(metrics, "webhook_endpoint_attempts_total", result="delivered", **labels) == 1


@pytest.mark.parametrize("cause", [None, *Cause])
def test_line_of_a_failed_request_says_why(watching: Watching, cause: Cause | None) -> None:
    """Every line about a request without an answer has the cause beside the problem (C10)."""
    lost, refused = Retry("lost", sent=False), Misconfigured("not trusted", sent=False)
    lost.cause = refused.cause = cause
    with capture_logs() as lines:
        watching.retrying(JOB, lost, Tally(0, 1, 0), 0.25)
        watching.refused(JOB, lost)
        watching.refused(JOB, refused)
    assert [line["problem"] for line in lines] == ["lost", "lost", "not trusted"]
    assert [line.get("cause") for line in lines] == [cause] * 3


@pytest.mark.parametrize(
    ("oddities", "level"),
    [({Oddity.REF, Oddity.REPAIRED}, "warning"), ({Oddity.CODING, Oddity.HEAD, Oddity.SURPLUS}, "info")],
)
def test_odd_answer_is_counted_and_named(
    metrics: Metrics, watching: Watching, oddities: set[Oddity], level: str
) -> None:
    """Each oddity is counted; the line warns where a ref has a shape that the status call may not take (A7)."""
    with capture_logs() as lines:
        watching.answered_oddly(JOB, oddities)
    assert [(line["event"], line["log_level"]) for line in lines] == [("provider.odd_answer", level)]
    assert lines[0]["oddities"] == sorted(oddities) and lines[0]["job_id"] == JOB.id
    for oddity in Oddity:
        assert count(metrics, "provider_oddities_total", account="acme", oddity=oddity) == (
            oddity in oddities
        )


class Placing:
    """A provider that opens the gate and looks at the gauge."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.seen: list[Any] = []

    def place_call(self, job: Job, api_key: str, gate: Gate) -> str:
        self.seen.append(count(self._metrics, "calls_in_flight"))
        gate.opens()
        self.seen.append(count(self._metrics, "calls_in_flight"))
        raise Redial("no answer")


def test_call_is_in_flight_from_the_gate_to_its_end(metrics: Metrics) -> None:
    """Waiting for a slot is not a request; an error ends it like a ref."""
    provider = Placing(metrics)
    with pytest.raises(Redial):
        CountingProvider(provider, metrics).place_call(JOB, "key", OpenGate())
    assert [*provider.seen, count(metrics, "calls_in_flight")] == [0, 1, 0]


def test_key_is_hidden_before_it_is_used(metrics: Metrics) -> None:
    """The file that holds it may have got a new one since the worker checked it (0022)."""
    key, seen = "tulip0tulip0tulip0tulip0tulip0tu", list[str]()
    opening = OpenGate(lambda: seen.append(redactor.text(f"the key is {key}")))
    with pytest.raises(Redial):
        CountingProvider(Placing(metrics), metrics).place_call(JOB, key, opening)
    assert len(seen) == 1 and "tulip" not in seen[0]


def test_call_whose_gate_stays_shut_is_never_in_flight(metrics: Metrics) -> None:
    """The gate's error comes through unchanged, and the call is never in flight."""

    def shut() -> None:
        raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        CountingProvider(Placing(metrics), metrics).place_call(JOB, "key", OpenGate(shut))
    assert count(metrics, "calls_in_flight") == 0


def test_a_store_that_went_back_is_told_and_counted(watching: Watching, metrics: Metrics) -> None:
    """When it begins, and when it is made good; the gauge says that shards are held at the moment."""
    with capture_logs() as lines:
        watching.set_back(16)
        held = metrics.registry.get_sample_value("callworker_shards_held")
        watching.made_good(Over(7, 2, all_known=False, seconds=6.04), 16)
    assert lines == [
        {"event": "store.set_back", "log_level": "error", "shards": 16},
        {
            "event": "store.made_good",
            "log_level": "warning",
            "shards": 16,
            "put_back": 7,
            "perhaps_rung": 2,
            "all_known": False,
            "seconds": 6.0,
        },
    ]
    assert metrics.registry.get_sample_value("callworker_store_set_back_total") == 16
    assert (held, metrics.registry.get_sample_value("callworker_shards_held")) == (16, 0)
