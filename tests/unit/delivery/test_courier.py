"""One delivery: what the courier sends, and what it decides then."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
import structlog

from tests.doubles.deliveries import ACCOUNTS, NAMED, UNNAMED, NotedDeliveries, delivery
from worker.core.endpoints import Endpoint
from worker.core.ports import Gate
from worker.core.records import Slot
from worker.delivery.courier import Courier
from worker.delivery.directory import Directory
from worker.delivery.excerpts import Excerpts
from worker.delivery.ports import Attempt, AttemptResult, Conclusion, Delivery, Health, Verdict
from worker.delivery.schedule import Schedule
from worker.engine.greenlets import GivingWay
from worker.errors import Cause, ConfigurationError, SlotLapsed

FAILURES = [
    AttemptResult.REFUSED,
    AttemptResult.REDIRECTED,
    AttemptResult.TIMEOUT,
    AttemptResult.UNREACHABLE,
]
LAST = 4
NOW = 1_800_000_000.9


class Sender:
    """Answers each request with `ending`, or raises it."""

    def __init__(self) -> None:
        self.ending: Attempt | Exception = Attempt(AttemptResult.DELIVERED, 0.1, 204)
        self.sent: list[tuple[str, str, bytes, int, int | None]] = []
        self.gates: list[Gate | None] = []

    def send(
        self,
        endpoint: Endpoint,
        event_id: str,
        body: bytes,
        unix_seconds: int,
        *,
        sequence: int | None = None,
        gate: Gate | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Attempt:
        self.sent.append((endpoint.url, event_id, body, unix_seconds, sequence))
        self.gates.append(gate)
        if isinstance(self.ending, Exception):
            raise self.ending
        return self.ending


class Round:
    """A courier among doubles."""

    def __init__(self) -> None:
        self.sender, self.watch = Sender(), NotedDeliveries()
        self._courier = Courier(
            Directory(ACCOUNTS),
            self.sender,
            self.watch,
            GivingWay(),
            schedule=Schedule((5.0, 300.0, 1800.0)),
            excerpts=Excerpts(lambda text: text.replace("tulip", "***")),
            unix_clock=lambda: NOW,
            jitter=lambda: 0.0,
        )

    def deliver(self, given: Delivery | None = None) -> Conclusion:
        return self._courier.deliver(given or delivery())

    def after(self, given: Delivery | None = None, **attempt: Any) -> Conclusion:
        """Deliver, and have the attempt end as described."""
        told: dict[str, Any] = {"result": AttemptResult.REFUSED, "seconds": 0.1} | attempt
        self.sender.ending = Attempt(**told)
        return self.deliver(given)


@pytest.fixture
def made() -> Round:
    return Round()


def test_exact_bytes_go_to_the_endpoint(made: Round) -> None:
    """They are signed as of now and have the delivery's number; a 2xx is the end of it."""
    given = delivery(7)
    ended = made.deliver(given)
    assert made.sender.sent == [("https://two.example/", "evt_7", given.body, 1_800_000_000, 7)]
    assert (ended.verdict, ended.health, ended.why) == (Verdict.DELIVERED, Health.GOOD, "204")
    assert ended.delivery is given and made.watch.attempts == [("acme", ended.attempt)]


@pytest.mark.parametrize(("key", "url"), [(NAMED.keys[1], NAMED.url), (UNNAMED.key, UNNAMED.url)])
def test_endpoint_is_found_by_each_of_its_keys(made: Round, key: str, url: str) -> None:
    """An endpoint that got a name gets what waits under the hash of its address."""
    made.deliver(delivery(key=key))
    assert [sent[0] for sent in made.sender.sent] == [url]


@pytest.mark.parametrize("given", [delivery(account="gone"), delivery(key="000000000000")])
def test_endpoint_that_the_file_does_not_have_is_left_to_others(made: Round, given: Delivery) -> None:
    """Nothing is sent, and no attempt is spent: another worker may have a newer file."""
    ended = made.deliver(given)
    assert (ended.verdict, ended.health, ended.attempt) == (Verdict.UNKNOWN, Health.NONE, None)
    assert (made.sender.sent, made.watch.attempts) == ([], [])


@pytest.mark.parametrize("result", FAILURES)
def test_failed_attempt_is_put_off_by_the_schedule(made: Round, result: AttemptResult) -> None:
    """Whatever went wrong, the delivery comes again after its place in the schedule."""
    ended = made.after(delivery(attempt=2), result=result, status=500)
    assert (ended.verdict, ended.health, ended.why) == (Verdict.AGAIN, Health.BAD, "500")
    assert (ended.wait_seconds, ended.slow_seconds, ended.disable) == (300.0, None, "")


def test_cause_says_why_no_answer_came(made: Round) -> None:
    """The record has the cause in place of a status."""
    assert made.after(result=AttemptResult.UNREACHABLE, cause=Cause.TLS).why == "tls"


@pytest.mark.parametrize(
    ("wish", "wait", "slow"),
    [(90.0, 90.0, 90.0), (0.0, 5.0, 1.0), (1e9, 43200.0, 43200.0), (None, 5.0, None)],
)
def test_endpoint_may_ask_for_a_longer_wait_only(
    made: Round, wish: float | None, wait: float, slow: float | None
) -> None:
    """Retry-After lengthens the schedule's wait and never shortens it, and the endpoint as a whole is slowed down."""
    ended = made.after(status=503, slow=True, retry_after_seconds=wish)
    assert (ended.verdict, ended.health) == (Verdict.AGAIN, Health.SLOW)
    assert (ended.wait_seconds, ended.slow_seconds) == (wait, slow)


@pytest.mark.parametrize("result", FAILURES)
def test_last_failed_attempt_gives_up(made: Round, result: AttemptResult) -> None:
    """After the schedule's end there is no further attempt."""
    ended = made.after(delivery(attempt=LAST), result=result, status=500)
    assert (ended.verdict, ended.why, ended.health) == (Verdict.GIVEN_UP, "attempts_spent", Health.BAD)


@pytest.mark.parametrize(("status", "reason"), [(410, "gone"), (500, "asked")])
@pytest.mark.parametrize(("attempt", "wait"), [(1, 5.0), (LAST, 1800.0), (LAST + 1, 1800.0)])
def test_endpoint_that_wants_no_more_is_disabled_and_loses_nothing(
    made: Round, status: int, reason: str, attempt: int, wait: float
) -> None:
    """What it was to get waits until it is enabled, even if all attempts are spent."""
    ended = made.after(delivery(attempt=attempt), status=status, disable=True)
    assert (ended.verdict, ended.disable, ended.wait_seconds) == (Verdict.AGAIN, reason, wait)


def test_endpoint_may_take_an_event_and_want_no_more(made: Round) -> None:
    """The header counts on a 2xx too."""
    ended = made.after(result=AttemptResult.DELIVERED, status=200, disable=True)
    assert (ended.verdict, ended.health, ended.disable) == (Verdict.DELIVERED, Health.GOOD, "asked")


def test_refusal_by_the_guard_is_final(made: Round) -> None:
    """A further attempt would be refused too; the record names the rule, and the endpoint is not blamed."""
    ended = made.after(result=AttemptResult.GUARDED, rule="private")
    assert (ended.verdict, ended.why, ended.health) == (Verdict.GIVEN_UP, "guard_private", Health.NONE)


@pytest.mark.parametrize(
    ("age_days", "verdict", "wait"),
    [(0.1, Verdict.RETURNED, 30.0), (6.9, Verdict.RETURNED, 30.0), (7.1, Verdict.GIVEN_UP, 0.0)],
)
def test_fault_of_the_proxy_is_not_the_endpoints(
    made: Round, age_days: float, verdict: Verdict, wait: float
) -> None:
    """The delivery keeps its attempts and waits, until seven days after its job's end."""
    given = delivery(finished_at_us=int((NOW - age_days * 86400) * 1_000_000))
    ended = made.after(given, result=AttemptResult.PROXY)
    assert (ended.verdict, ended.why, ended.health) == (verdict, "proxy", Health.NONE)
    assert ended.wait_seconds == wait and len(made.watch.attempts) == 1


def test_slot_is_the_gate_of_the_request(made: Round) -> None:
    """A delivery to an endpoint with a rate waits for its slot, and is returned at once if that has passed."""
    now = time.monotonic()
    given = delivery(slot=Slot(now, now + 60, now + 90))
    made.deliver(given)
    made.deliver()
    assert made.sender.gates[0] is not None and made.sender.gates[0].opens() == now + 60
    assert made.sender.gates[1] is None
    made.sender.ending = SlotLapsed()
    ended = made.deliver(given)
    assert (ended.verdict, ended.why, ended.wait_seconds) == (Verdict.RETURNED, "slot", 0.0)
    assert ended.attempt is None and len(made.watch.attempts) == 2


def test_endpoint_without_a_secret_waits_and_is_named_once(made: Round) -> None:
    """The log names it again only after it could be used; no attempt is spent meanwhile."""
    lost = ConfigurationError("environment variable TWO is not set")
    with structlog.testing.capture_logs() as lines:
        for ending in (lost, lost, Attempt(AttemptResult.DELIVERED, 0.1, 200), lost):
            made.sender.ending = ending
            ended = made.deliver()
    assert (ended.verdict, ended.health, ended.wait_seconds) == (Verdict.RETURNED, Health.NONE, 60.0)
    assert [line["event"] for line in lines] == ["webhook.endpoint_unusable"] * 2
    assert lines[0]["endpoint"] == "orders" and "TWO" in lines[0]["problem"]


def test_start_of_the_answer_is_kept_redacted(made: Round) -> None:
    """It is for an operator's eyes, who must not see a secret there."""
    assert made.after(status=500, body=b"no such tulip").excerpt == "no such ***"
