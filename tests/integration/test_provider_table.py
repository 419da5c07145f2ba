"""Each row of the sandbox's table, sent through a live worker: the event it ends in, and how often it was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.conftest import BrokerUrl
from tests.integration.outside import Job, in_seconds
from tests.integration.stack import Stack
from tests.redis_server import RedisServer
from worker.sandbox import Sandbox

INSTALLATIONS = [("redis", "xml", "celery"), ("redis", "json", "run"), ("amqp", "json", "celery")]
FAST = {"rate": "200/s", "burst": 100}
ACCOUNTS: dict[str, dict[str, Any]] = {
    "usual": FAST,
    "careful": {**FAST, "redials": 0},
    "patient": {**FAST, "redials": 2},
    "hasty": {**FAST, "attempts": 2},
    "broke": FAST,
}


@dataclass(frozen=True)
class Row:
    """A number that ends in `digits`, dialled for `account`, ends in `call.STATUS` after so many requests."""

    digits: str
    status: str
    requests: int
    error: str | None = None
    account: str = "usual"

    @property
    def id(self) -> str:
        return f"{self.digits}-{self.account}"

    @property
    def phone(self) -> str:
        return f"2{list(ACCOUNTS).index(self.account)}2555{self.digits}"

    def job(self) -> Job:
        job = {"id": self.id, "account": self.account, "country": "1", "phone": self.phone, "code": "4711"}
        if self.account == "broke":
            job["expires_at"] = in_seconds(13)
        return job


ROWS = [
    Row("0001", "failed", 1, "INVALID_TELEPHONE"),
    Row("0002", "placed", 3),
    Row("0003", "unknown", 2, "OUTCOME_UNKNOWN"),
    Row("0004", "unknown", 2, "OUTCOME_UNKNOWN"),
    Row("0005", "unknown", 2, "OUTCOME_UNKNOWN"),
    Row("0006", "placed", 1),
    Row("0007", "placed", 2),
    Row("0008", "expired", 2, "EXPIRED", account="broke"),
    Row("0009", "unknown", 2, "OUTCOME_UNKNOWN"),
    Row("0010", "placed", 1),
    Row("0011", "unknown", 2, "OUTCOME_UNKNOWN"),
    Row("0012", "failed", 1, "CARRIER_SUSPENDED"),
    Row("0013", "failed", 5, "PROVIDER_UNAVAILABLE"),
    Row("5555", "placed", 1),
    Row("0002", "failed", 2, "PROVIDER_UNAVAILABLE", account="hasty"),
    Row("0004", "unknown", 1, "OUTCOME_UNKNOWN", account="careful"),
    Row("0009", "unknown", 1, "OUTCOME_UNKNOWN", account="careful"),
    Row("0013", "failed", 5, "PROVIDER_UNAVAILABLE", account="careful"),
    Row("0004", "unknown", 3, "OUTCOME_UNKNOWN", account="patient"),
    Row("0009", "unknown", 3, "OUTCOME_UNKNOWN", account="patient"),
]


@dataclass(frozen=True)
class Ended:
    """All rows, sent at once to one installation, and ended."""

    sandbox: Sandbox
    events: dict[str, dict[str, Any]]


@pytest.fixture(scope="module", params=INSTALLATIONS, ids="-".join)
def ended(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    own_redis: RedisServer,
    broker_url: BrokerUrl,
) -> Iterator[Ended]:
    broker, answer_format, how = request.param
    folder, settings = (
        tmp_path_factory.mktemp("stack"),
        {"PROXSTOP_FORMAT": answer_format, "PROXSTOP_TIMEOUT": "5"},
    )
    with (
        Sandbox() as sandbox,
        Stack(folder, own_redis.url, broker_url(broker), sandbox.url, ACCOUNTS, **settings) as stack,
    ):
        stack.outside.redis.flushall()
        stack.start(how)
        stack.outside.send(*(row.job() for row in ROWS))
        yield Ended(sandbox, stack.outside.wait((row.id for row in ROWS), 60))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_row_ends_as_the_contract_says(ended: Ended, row: Row) -> None:
    """The row's event has the right type and error, and the provider was asked just as often as allowed."""
    event = ended.events[row.id]
    served = ended.sandbox.requests(row.phone)
    assert (event["type"], len(served)) == (f"call.{row.status}", row.requests)
    assert event["data"]["attempts"] == row.requests
    assert event["data"].get("error", {}).get("code") == row.error


@pytest.mark.parametrize("row", [row for row in ROWS if row.status == "placed"], ids=lambda row: row.id)
def test_ref_of_a_placed_call_is_the_providers(ended: Ended, row: Row) -> None:
    """The event carries the very ref that the provider gave last, however it was spelled."""
    assert ended.events[row.id]["data"]["ref"] == ended.sandbox.requests(row.phone)[-1].ref


def test_retry_after_is_honoured(ended: Ended) -> None:
    """After a 429 that asks for two seconds, the next request comes no sooner."""
    first, second = ended.sandbox.requests(Row("0007", "placed", 2).phone)
    assert second.unix - first.unix >= 2.0


def test_key_and_pin_are_posted(ended: Ended) -> None:
    """Every request is a form in a POST, so that key and PIN stand in no URL."""
    assert {served.method for served in ended.sandbox.requests()} == {"POST"}
