"""Events on their way out, webhook deliveries and their attempts, and the ports that relay and courier use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from worker.core.endpoints import Endpoint
from worker.core.ports import Gate
from worker.errors import Cause


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event on its way out: its type, which is the routing key, and its bytes."""

    type: str
    body: str


class Outbox(Protocol):
    """The events that are on record and not yet confirmed by the results queue: by shard, in order. For one thread."""

    def next(self) -> dict[int, list[OutgoingEvent]]:
        """Return the events to publish now, and remove those reported to `published`. Raises StoreUnavailable."""

    def published(self, shard: int, count: int) -> None:
        """Report that the first `count` events of the last batch of `shard` are confirmed."""


class EventSink(Protocol):
    """Publishes a batch and waits until it is confirmed. Raises BrokerUnavailable; any part of it may then be out.

    `prepare` connects, and raises the same if nothing could be published.
    """

    def publish(self, batch: Sequence[OutgoingEvent]) -> None: ...

    def prepare(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint, leased to this worker.

    `endpoint_key` is `Endpoint.key` of one of the account's webhooks. `body` is posted byte for byte. `attempt` is the
    number of the next attempt, from 1.
    """

    shard: int
    account: str
    job_id: str
    event_id: str
    body: bytes
    endpoint_key: str
    attempt: int


class AttemptResult(StrEnum):
    """How one attempt ended; also a value of the metrics' label `result`."""

    DELIVERED = "delivered"
    """A 2xx answer."""
    REFUSED = "refused"
    """Any other answer that is not a redirect."""
    REDIRECTED = "redirected"
    """A 3xx answer. It is not followed, because the signature is meant for the address in the accounts file."""
    TIMEOUT = "timeout"
    """No answer in time."""
    UNREACHABLE = "unreachable"
    """No connection, a certificate that is not trusted, or an answer that is not HTTP."""
    GUARDED = "guarded"
    """Nothing was sent: the address is not allowed. A further attempt would end in the same way."""
    PROXY = "proxy"
    """The proxy failed or refused. That says nothing about the endpoint."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST that has ended. `retry_after_seconds` is the wait that the endpoint asked for.

    If no answer came, `status` is None, `cause` says why, and `problem` has the library's words. `rule` is the rule of
    the guard that refused the address. `body` has the first bytes of the answer's body, and none if it is encoded.
    `disable` says that the endpoint wants no further events, `slow` that it wants fewer at a time.
    """

    result: AttemptResult
    seconds: float
    status: int | None = None
    retry_after_seconds: float | None = None
    cause: Cause | None = None
    problem: str | None = None
    rule: str | None = None
    body: bytes = b""
    disable: bool = False
    slow: bool = False


class Sender(Protocol):
    """Makes one attempt at a delivery."""

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
        """POST `body`, signed. Raises ConfigurationError for a lost secret, but nothing for network or endpoint.

        `sequence` is the event's number at this endpoint. `gate` opens once, before the first byte of the request; what
        it raises passes unchanged, and SlotLapsed is raised after its moment has passed. Then nothing was sent.
        """


class DeliveryStore(Protocol):
    """The schedule of deliveries. Each method is atomic per delivery and may raise StoreUnavailable.

    A delivery whose lease ran out is leased again to any worker, so an endpoint may see repeats.
    """

    def take(self, most: int) -> list[Delivery]:
        """Lease at most `most` deliveries that are due."""

    def delivered(self, delivery: Delivery) -> None:
        """Remove a delivery that the endpoint took."""

    def again(self, delivery: Delivery, wait_seconds: float) -> None:
        """Make the delivery due again in `wait_seconds`, with `attempt` one higher."""

    def give_up(self, delivery: Delivery) -> None:
        """Remove a delivery for which no further attempt is made."""


class DeliveryWatch(Protocol):
    """Is told of each attempt once, for metrics. Must not raise."""

    def webhook_attempted(self, account: str, attempt: Attempt) -> None: ...
