"""One delivery: what the courier sends, and what it tells the store afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
import structlog

from worker.core.accounts import Accounts
from worker.core.endpoints import Endpoint
from worker.core.ports import Gate
from worker.delivery.courier import Courier
from worker.delivery.ports import Attempt, AttemptResult, Delivery
from worker.errors import Cause, StoreUnavailable

ACCOUNTS = Accounts.parse(
    {
        "accounts": {
            "acme": {
                "api_key_env": "KEY",
                "rate": "1/s",
                "webhooks": [
                    {"url": "https://one.example/", "secret_env": "ONE"},
                    {"url": "https://two.example/", "secret_env": "TWO"},
                ],
            }
        }
    }
)
TWO = ACCOUNTS["acme"].webhooks[1]
DELIVERY = Delivery(3, "acme", "job-1", "evt_1", b'{"secret":"body"}', TWO.key, attempt=1)
T = TypeVar("T")
FAILURES = [result for result in AttemptResult if result is not AttemptResult.DELIVERED]


class Sender:
    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.sent: list[tuple[str, str, bytes, int]] = []

    def send(
        self,
        endpoint: Endpoint,
        event_id: str,
        body: bytes,
        unix_seconds: int,
        *,
        sequence: int | None = None,
        gate: Gate | None = None,
    ) -> Attempt:
        self.sent.append((endpoint.url, event_id, body, unix_seconds))
        return self.attempt


class Store:
    """A store that notes its calls."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def take(self, most: int) -> list[Delivery]:
        raise AssertionError("the courier is handed its deliveries")

    def delivered(self, delivery: Delivery) -> None:
        self.told.append(("delivered", delivery))

    def again(self, delivery: Delivery, wait_seconds: float) -> None:
        self.told.append(("again", delivery, wait_seconds))

    def give_up(self, delivery: Delivery) -> None:
        self.told.append(("give_up", delivery))


class Watch:
    def __init__(self) -> None:
        self.heard: list[tuple[str, Attempt]] = []

    def webhook_attempted(self, account: str, attempt: Attempt) -> None:
        self.heard.append((account, attempt))


class AtOnce:
    """Waits for nobody: what is to be done aside is done in place."""

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a courier does not sleep")

    def aside(self, work: Callable[[], T]) -> T:
        return work()


class Round:
    """A courier among doubles."""

    def __init__(self, attempt: Attempt, store: Store | None = None) -> None:
        self.sender, self.store, self.watch = Sender(attempt), store or Store(), Watch()
        self._courier = Courier(
            ACCOUNTS,
            self.sender,
            self.store,
            self.watch,
            AtOnce(),
            unix_clock=lambda: 1234.9,
            jitter=lambda: 0.0,
        )

    def deliver(self, delivery: Delivery = DELIVERY) -> None:
        self._courier.deliver(delivery)


def test_delivered_event_is_struck_off() -> None:
    """The exact bytes go to the endpoint of that key, signed as of now; then the delivery is over."""
    made = Round(Attempt(AttemptResult.DELIVERED, 0.1, 204))
    made.deliver()
    assert made.sender.sent == [("https://two.example/", "evt_1", DELIVERY.body, 1234)]
    assert made.store.told == [("delivered", DELIVERY)]
    assert made.watch.heard == [("acme", made.sender.attempt)]


@pytest.mark.parametrize("result", FAILURES)
def test_failed_attempt_is_put_off_by_the_schedule(result: AttemptResult) -> None:
    """Whatever went wrong, the delivery comes again after its place in the schedule."""
    made = Round(Attempt(result, 0.1))
    made.deliver(replace(DELIVERY, attempt=3))
    assert made.store.told == [("again", replace(DELIVERY, attempt=3), 120.0)]
    assert len(made.watch.heard) == 1


@pytest.mark.parametrize(("wish", "wait"), [(90.0, 90.0), (1.0, 5.0), (None, 5.0)])
def test_endpoint_may_ask_for_a_longer_wait_only(wish: float | None, wait: float) -> None:
    """Retry-After lengthens the schedule's wait and never shortens it."""
    made = Round(Attempt(AttemptResult.REFUSED, 0.1, 503, wish))
    made.deliver()
    assert made.store.told == [("again", DELIVERY, wait)]


def test_last_failed_attempt_gives_up() -> None:
    """After the schedule's end there is no further attempt."""
    made = Round(Attempt(AttemptResult.TIMEOUT, 15.0))
    made.deliver(replace(DELIVERY, attempt=10))
    assert made.store.told == [("give_up", replace(DELIVERY, attempt=10))]


@pytest.mark.parametrize(
    "delivery", [replace(DELIVERY, account="gone"), replace(DELIVERY, endpoint_key="000000000000")]
)
def test_endpoint_gone_from_the_file_gives_up_unsent(delivery: Delivery) -> None:
    """An account or endpoint that the file no longer names gets nothing."""
    made = Round(Attempt(AttemptResult.DELIVERED, 0.1, 200))
    made.deliver(delivery)
    assert (made.sender.sent, made.watch.heard) == ([], [])
    assert made.store.told == [("give_up", delivery)]


@pytest.mark.parametrize("result", list(AttemptResult))
@pytest.mark.parametrize("attempt", [1, 10])
def test_log_lines_show_neither_body_nor_address(result: AttemptResult, attempt: int) -> None:
    """Each attempt leaves one line, with constant name and without what only the subscriber should see."""
    with structlog.testing.capture_logs() as lines:
        Round(Attempt(result, 0.1, 200)).deliver(replace(DELIVERY, attempt=attempt))
    (line,) = lines
    assert line["event"] in ("webhook.delivered", "webhook.failed", "webhook.given_up")
    assert "secret" not in str(lines) and "two.example" not in str(lines)


@pytest.mark.parametrize("attempt", [1, 10])
def test_log_says_why_no_answer_came(attempt: int) -> None:
    """The cause in a closed set, and the library's word beside it, on the line of each failed attempt (C10)."""
    with structlog.testing.capture_logs() as lines:
        failed = Attempt(
            AttemptResult.UNREACHABLE, 0.1, cause=Cause.TLS, problem="SSLCertVerificationError: self-signed"
        )
        Round(failed).deliver(replace(DELIVERY, attempt=attempt))
    assert (lines[0]["cause"], lines[0]["problem"]) == ("tls", "SSLCertVerificationError: self-signed")


def test_store_that_is_away_is_the_callers_matter() -> None:
    """The attempt was counted; the lease will run out and the delivery come again."""

    class Away(Store):
        def delivered(self, delivery: Delivery) -> None:
            raise StoreUnavailable("away")

    made = Round(Attempt(AttemptResult.DELIVERED, 0.1, 200), Away())
    with pytest.raises(StoreUnavailable):
        made.deliver()
    assert len(made.watch.heard) == 1
