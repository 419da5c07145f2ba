"""What log and metrics are told of a delivery, once it is on record."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from tests.doubles.deliveries import ACCOUNTS, NAMED, NotedDeliveries, delivery
from worker.delivery.directory import Directory
from worker.delivery.ports import Attempt, AttemptResult, Conclusion, Effect, Health, Verdict
from worker.delivery.telling import Telling
from worker.errors import Cause

REFUSED = Attempt(AttemptResult.REFUSED, 0.1234, 503, body=b"tulip")
RECORDED = Effect(recorded=True)


def lines(conclusion: Conclusion, effect: Effect = RECORDED) -> list[Any]:
    with structlog.testing.capture_logs() as found:
        Telling(Directory(ACCOUNTS), NotedDeliveries()).tell(conclusion, effect)
    return found


def conclusion(verdict: Verdict, why: str = "503", attempt: Attempt | None = REFUSED) -> Conclusion:
    return Conclusion(delivery(7), verdict, why, Health.BAD, 5.04, attempt=attempt, excerpt="tulip")


@pytest.mark.parametrize(
    ("verdict", "why", "event", "level"),
    [
        (Verdict.DELIVERED, "200", "webhook.delivered", "info"),
        (Verdict.AGAIN, "503", "webhook.failed", "warning"),
        (Verdict.GIVEN_UP, "attempts_spent", "webhook.given_up", "error"),
        (Verdict.RETURNED, "proxy", "webhook.returned", "warning"),
        (Verdict.RETURNED, "slot", "webhook.returned", "debug"),
        (Verdict.UNKNOWN, "unknown", "webhook.endpoint_unknown", "warning"),
    ],
)
def test_each_conclusion_is_one_line(verdict: Verdict, why: str, event: str, level: str) -> None:
    """It says which delivery that was and how its attempt ended, but neither body, address nor secret."""
    (line,) = lines(conclusion(verdict, why))
    assert (line["event"], line["log_level"]) == (event, level)
    assert {name: line[name] for name in ("account", "endpoint", "job_id", "event_id", "sequence")} == {
        "account": "acme", "endpoint": "orders", "job_id": "job-7", "event_id": "evt_7", "sequence": 7,
    }  # fmt: skip
    assert (line["delivery_attempt"], line["result"], line["status"], line["seconds"]) == (
        1, "refused", 503, 0.123,
    )  # fmt: skip
    assert not any(hidden in str(line) for hidden in ("tulip", "secret", "two.example"))


def test_line_says_why_and_when_the_next_attempt_follows() -> None:
    """The reason of an end is a word, and the wait is in seconds."""
    assert lines(conclusion(Verdict.GIVEN_UP, "guard_private"))[0]["reason"] == "guard_private"
    assert lines(conclusion(Verdict.AGAIN))[0]["wait_seconds"] == 5.0


def test_line_says_why_no_answer_came() -> None:
    """The cause is in a closed set, and the library's words are beside it (C10)."""
    failed = Attempt(AttemptResult.UNREACHABLE, 0.1, cause=Cause.TLS, problem="self-signed")
    (line,) = lines(conclusion(Verdict.AGAIN, "tls", failed))
    assert (line["cause"], line["problem"]) == ("tls", "self-signed")


def test_line_without_an_attempt_names_no_result() -> None:
    """Nothing was sent to an endpoint that is not known."""
    (line,) = lines(conclusion(Verdict.UNKNOWN, "unknown", None))
    assert not {"result", "status", "seconds"} & line.keys()


@pytest.mark.parametrize(
    ("effect", "event", "level", "fields"),
    [
        (
            Effect(recorded=True, failures=10, opened_seconds=30.0),
            "webhook.breaker_opened",
            "warning",
            {"seconds": 30, "failures": 10},
        ),
        (Effect(recorded=True, closed=True), "webhook.breaker_closed", "info", {}),
        (
            Effect(recorded=True, failures=50, warned=True),
            "webhook.endpoint_failing",
            "warning",
            {"failures": 50},
        ),
        (
            Effect(recorded=True, disabled="gone"),
            "webhook.endpoint_disabled",
            "error",
            {"reason": "gone"},
        ),
    ],
)
def test_change_of_the_endpoint_is_a_line_of_its_own(
    effect: Effect, event: str, level: str, fields: dict[str, object]
) -> None:
    """It names the endpoint as the accounts file does."""
    _, line = lines(conclusion(Verdict.AGAIN), effect)
    told = {"account": "acme", "endpoint": "orders", "event": event, "log_level": level}
    assert line == told | fields


def test_attempt_that_another_worker_concluded_is_told_as_lost() -> None:
    """Nothing was changed, so nothing else is reported."""
    (line,) = lines(conclusion(Verdict.DELIVERED), Effect(recorded=False, disabled="gone"))
    assert (line["event"], line["log_level"]) == ("webhook.lease_lost", "warning")


@pytest.mark.parametrize(("key", "label"), [(NAMED.keys[1], "orders"), ("0123456789ab", "0123456789ab")])
def test_metrics_hear_of_each_conclusion_under_the_endpoints_name(key: str, label: str) -> None:
    """One that the accounts file does not have goes by its key."""
    watch, given = NotedDeliveries(), Conclusion(delivery(key=key), Verdict.UNKNOWN, "unknown")
    Telling(Directory(ACCOUNTS), watch).tell(given, RECORDED)
    assert watch.concluded == [(label, given, RECORDED)]
