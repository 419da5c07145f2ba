"""Events on their way out, webhook deliveries and how an attempt at one may end; what relay and courier need from
outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from worker.core.accounts import Endpoint
from worker.errors import Cause


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event on its way out: its type, which is the routing key, and its bytes."""

    type: str
    body: str


class Outbox(Protocol):
    """The events that are on record and not yet confirmed by the results queue, by shard, in order; for one thread."""

    def next(self) -> dict[int, list[OutgoingEvent]]:
        """What to publish now; strikes off what `published` was told. Raises StoreUnavailable."""

    def published(self, shard: int, count: int) -> None:
        """The first `count` events of the batch last given for `shard` are confirmed."""


class EventSink(Protocol):
    """Publishes a batch and has it confirmed, or raises BrokerUnavailable with any part of it out.

    `prepare` raises likewise where nothing could be published.
    """

    def publish(self, batch: Sequence[OutgoingEvent]) -> None: ...

    def prepare(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint, leased to this worker.

    `endpoint_key` is `Endpoint.key` of one of the account's webhooks. `body` is posted byte for byte.
    `attempt` counts from 1 and is the attempt that is about to be made.
    """

    shard: int
    account: str
    job_id: str
    event_id: str
    body: bytes
    endpoint_key: str
    attempt: int


class AttemptResult(StrEnum):
    """How one attempt ended; also the metrics' label `result`."""

    DELIVERED = "delivered"
    """A 2xx answer."""
    REFUSED = "refused"
    """Any other answer that is not a redirect."""
    REDIRECTED = "redirected"
    """A 3xx answer, which is not followed: the signature is for the address in the accounts file."""
    TIMEOUT = "timeout"
    """No answer in time."""
    UNREACHABLE = "unreachable"
    """No connection, no trust in the certificate, or an answer that is not HTTP."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST that ended. `retry_after_seconds` is the endpoint's wish.

    Where no answer came, `status` is None, `cause` says why, and `problem` has the library's word for it.
    """

    result: AttemptResult
    seconds: float
    status: int | None = None
    retry_after_seconds: float | None = None
    cause: Cause | None = None
    problem: str | None = None


class Sender(Protocol):
    """Makes one attempt."""

    def send(self, endpoint: Endpoint, event_id: str, body: bytes, unix_seconds: int) -> Attempt:
        """POST `body`, signed. Never raises for what network or endpoint do; ConfigurationError for a lost secret."""


class DeliveryStore(Protocol):
    """The schedule of deliveries. Each method is atomic per delivery and may raise StoreUnavailable.

    A delivery whose lease ran out is leased again, by whichever worker asks: an endpoint may see repeats.
    """

    def take(self, most: int) -> list[Delivery]:
        """Lease at most `most` deliveries that are due."""

    def delivered(self, delivery: Delivery) -> None:
        """The endpoint took it: forget the delivery."""

    def again(self, delivery: Delivery, wait_seconds: float) -> None:
        """Due again in `wait_seconds`, with `attempt` one higher."""

    def give_up(self, delivery: Delivery) -> None:
        """No further attempt."""


class DeliveryWatch(Protocol):
    """Hears of each attempt once, for metrics. Must not raise."""

    def webhook_attempted(self, account: str, attempt: Attempt) -> None: ...
