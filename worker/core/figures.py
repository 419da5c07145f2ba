"""What the store and the broker tell of what is in them and of themselves, for metrics, commands and the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from worker.core.records import REASONS, Reason
from worker.errors import BrokerUnavailable, StoreUnavailable


@dataclass(frozen=True, slots=True)
class EndpointCount:
    """What is on its way to one endpoint, and the endpoint's health. `endpoint` is one of `Endpoint.keys`.

    `pending` is the number of deliveries that wait or are in flight, and `oldest_seconds` how long the oldest of them
    has been on its way. `disabled` is why the endpoint is disabled, or empty. `delivered` and `failed` count the
    attempts of the last five minutes. `given_up` counts by reason the deliveries that were ever given up.
    """

    account: str
    endpoint: str
    pending: int = 0
    oldest_seconds: float = 0.0
    breaker_open: bool = False
    disabled: str = ""
    delivered: int = 0
    failed: int = 0
    given_up: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccountCount:
    """Counts of one account: jobs `waiting` by reason, age of the one that was accepted first, calls in flight.

    `hold` is why the account is held, or None. `pending` is the number of webhook deliveries that wait. `eligible` of
    the waiting jobs would go now if a worker had places for them; what a limit or a hold keeps back is not counted.
    """

    name: str
    waiting: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    oldest_seconds: float = 0.0
    in_flight: int = 0
    hold: str | None = None
    pending: int = 0
    eligible: int = 0


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What the store last told this worker, or why it did not take a write.

    `clock_ahead_seconds` is this machine's clock minus the store's. `memory_limit_bytes` is 0 without a limit. A value
    is None if the store did not tell it.
    """

    problem: StoreUnavailable | None = None
    clock_ahead_seconds: float | None = None
    memory_used_bytes: int | None = None
    memory_limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """Why the broker did not take this worker's last message, if it did not.

    `full`: for want of memory or disk space.
    """

    problem: BrokerUnavailable | None = None
    full: bool = False

    @property
    def blocked(self) -> bool | None:
        """Whether the broker takes no messages for want of memory or disk space; None if it does not answer."""
        if self.full:
            return True
        return None if self.problem else False
