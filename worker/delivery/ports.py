"""Events on their way out, webhook deliveries and their attempts, and the ports that relay and courier use."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from worker.core.endpoints import Endpoint
from worker.core.events import tells_of_job
from worker.core.ports import Gate
from worker.core.records import Slot
from worker.errors import Cause, StoreUnavailable

_TIMESTAMP, _HEAD_CHARACTERS = '"timestamp":"', 160


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event on its way out: its type, which is the routing key, and its bytes.

    `headers` are those of its message: the trace context, if the job is traced.
    """

    type: str
    body: str
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def ended_at(self) -> float | None:
        """When the job ended of which the event tells (Unix seconds); None for another event, or one of another form.

        Reads the first `timestamp`, which stands before all that comes from outside: parsing the body takes ten times
        as long.
        """
        begins = self.body.find(_TIMESTAMP, 0, _HEAD_CHARACTERS) + len(_TIMESTAMP)
        if begins < len(_TIMESTAMP) or not tells_of_job(self.type):
            return None
        try:
            return datetime.fromisoformat(self.body[begins : self.body.index('"', begins)]).timestamp()
        except ValueError:
            return None


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


class Destination(NamedTuple):
    """Where a delivery goes: an account's name and `Endpoint.key` of one of its webhooks."""

    account: str
    endpoint_key: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint, leased to this worker.

    `body` is posted byte for byte. `attempt` is the number of the next attempt, from 1. `sequence` is the delivery's
    number at its endpoint, from 1 without a gap. `slot` says when the request may leave; None: at any time.
    `finished_at_us` is when the job ended (Unix µs, Redis' own time).
    This worker may make `concurrency` requests to the endpoint at once, and must not begin after `begins_by`, because
    the lease would end before the attempt (seconds of this process's monotonic clock).
    `trace` is the trace context that the job's record keeps, empty if there is none; `headers` are sent beside those of
    every delivery.
    """

    shard: int
    destination: Destination
    job_id: str
    event_id: str
    body: bytes
    attempt: int
    sequence: int
    finished_at_us: int = 0
    slot: Slot | None = None
    concurrency: int = 4
    begins_by: float = field(default=math.inf, compare=False)
    trace: str = field(default="", compare=False)
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def account(self) -> str:
        return self.destination.account

    @property
    def endpoint_key(self) -> str:
        return self.destination.endpoint_key


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
        headers: Mapping[str, str] | None = None,
    ) -> Attempt:
        """POST `body`, signed. Raises ConfigurationError for a lost secret, but nothing for network or endpoint.

        `sequence` is the event's number at this endpoint. `gate` opens once, before the first byte of the request; what
        it raises passes unchanged, and SlotLapsed is raised after its moment has passed. Then nothing was sent.
        `headers` are sent beside the others, and are not signed.
        """


class Verdict(StrEnum):
    """What becomes of a delivery after an attempt, or instead of one."""

    DELIVERED = "delivered"
    """The endpoint took it."""
    AGAIN = "again"
    """The attempt failed; the next one follows after a wait."""
    GIVEN_UP = "given_up"
    """No further attempt is made. The event is kept for some days, see `worker/state/scripts/README.md`."""
    RETURNED = "returned"
    """No attempt was spent, because nothing reached the endpoint and that was not its fault."""
    UNKNOWN = "unknown"
    """This worker's accounts file does not have the endpoint; another worker's may. No attempt was spent."""


class Health(StrEnum):
    """What an attempt says about its endpoint."""

    GOOD = "good"
    BAD = "bad"
    SLOW = "slow"
    """It failed, and asks to be called less often: 429, 502, 503 or 504."""
    NONE = "none"
    """Nothing: no request reached it."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How this worker's hold on a leased delivery ends.

    `wait_seconds` is when an attempt follows after AGAIN and RETURNED. `why` is one word: the status, the cause, or why
    it was given up. `slow_seconds` is the wait that a slow endpoint asked for, None if it named none. `disable` is why
    the endpoint is to be disabled, empty if it is not. `attempt` is None if no request was made; `excerpt` is the start
    of the answer's body, redacted.
    """

    delivery: Delivery
    verdict: Verdict
    why: str
    health: Health = Health.NONE
    wait_seconds: float = 0.0
    slow_seconds: float | None = None
    disable: str = ""
    attempt: Attempt | None = None
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a conclusion changed. `recorded` is False if another worker concluded the attempt, whose lease had run out.

    `failures` is the number of failures in a row, `warned` whether that number gave a warning event. `opened_seconds`
    is how long the breaker that has just opened stays open, None if none has. `disabled` is why the endpoint was just
    disabled, empty if it was not.
    """

    recorded: bool
    failures: int = 0
    warned: bool = False
    opened_seconds: float | None = None
    closed: bool = False
    disabled: str = ""


class DeliveryStore(Protocol):
    """The lanes of the endpoints. Each method may raise StoreUnavailable.

    While only a part of the store is away, `take` returns deliveries of the others. A delivery whose lease ran out is
    leased again to any worker, so an endpoint may see repeats. `due_seconds` is when the next delivery could go, in
    seconds from the last `take`; infinity if none waits.
    """

    @property
    def due_seconds(self) -> float: ...

    def take(
        self, most: int, unknown: Iterable[Destination] = (), quick: Collection[Destination] = ()
    ) -> list[Delivery]:
        """Lease at most `most` deliveries that may be attempted now, none to a destination in `unknown`.

        All workers together have at most `concurrency` deliveries of an endpoint, and one if its breaker is open for
        that one. If this worker has all of them alone, and the destination is in `quick`, it gets some more, which wait
        until others have ended. Destinations take turns.
        """

    def record(self, conclusions: Sequence[Conclusion]) -> Sequence[Effect | StoreUnavailable]:
        """End leases, each in one step of its own. Returns what each changed, in order.

        While only a part of the store is away, its conclusions have StoreUnavailable and are to be given again later.
        After StoreUnavailable any of the conclusions may be on record, and all may be given again.
        """


class DeliveryWatch(Protocol):
    """Is told of each conclusion once, for metrics. Must not raise."""

    def webhook_attempted(self, account: str, attempt: Attempt) -> None: ...

    def webhook_concluded(self, endpoint: str, conclusion: Conclusion, effect: Effect) -> None:
        """`endpoint` is the endpoint's label. `now - finished_at_us` of a DELIVERED one is its delivery time."""
