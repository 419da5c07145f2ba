"""The use case of one webhook delivery: find the endpoint, send, and decide what becomes of the delivery."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from http import HTTPStatus

import structlog

from worker.core.endpoints import Endpoint
from worker.core.ports import Waits
from worker.delivery.directory import Directory
from worker.delivery.excerpts import Excerpts
from worker.delivery.ports import (
    Attempt,
    AttemptResult,
    Conclusion,
    Delivery,
    DeliveryWatch,
    Destination,
    Health,
    Sender,
    Verdict,
)
from worker.delivery.schedule import Schedule, within_bounds
from worker.delivery.slots import SlotGate
from worker.errors import ConfigurationError, SlotLapsed
from worker.failpoints import hit

PROXY_PAUSE_SECONDS, UNUSABLE_PAUSE_SECONDS = 30.0, 60.0
"""How long a delivery waits while the proxy fails, and while this worker has no secret for its endpoint."""

KEPT_SECONDS = 7 * 86400
"""How long after its job's end a delivery waits for a proxy that fails."""

log = structlog.get_logger(__name__)


class Courier:
    """Makes the attempts at deliveries, any number at once."""

    def __init__(
        self,
        directory: Directory,
        sender: Sender,
        watch: DeliveryWatch,
        waits: Waits,
        *,
        schedule: Schedule,
        excerpts: Excerpts,
        unix_clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._directory, self._sender, self._watch, self._waits = directory, sender, watch, waits
        self._schedule, self._excerpts = schedule, excerpts
        self._unix_clock, self._jitter = unix_clock, jitter
        self._unusable: set[Destination] = set()

    def deliver(self, delivery: Delivery) -> Conclusion:
        """Make one attempt at a leased delivery, if its endpoint is known. Returns how the lease is to end."""
        endpoint = self._directory.find(delivery.destination)
        if endpoint is None:
            return Conclusion(delivery, Verdict.UNKNOWN, "unknown")
        hit("delivery.before")
        try:
            attempt = self._attempt(endpoint, delivery)
        except SlotLapsed:
            return Conclusion(delivery, Verdict.RETURNED, "slot")
        except ConfigurationError as error:
            return self._unusable_endpoint(delivery, error)
        self._unusable.discard(delivery.destination)
        hit("delivery.after")
        self._watch.webhook_attempted(delivery.account, attempt)
        return self._concluded(delivery, attempt)

    def _attempt(self, endpoint: Endpoint, delivery: Delivery) -> Attempt:
        gate = SlotGate(delivery.slot, self._waits) if delivery.slot else None
        return self._sender.send(
            endpoint,
            delivery.event_id,
            delivery.body,
            int(self._unix_clock()),
            sequence=delivery.sequence,
            gate=gate,
            headers=delivery.headers,
        )

    def _unusable_endpoint(self, delivery: Delivery, error: ConfigurationError) -> Conclusion:
        """The secret may be gone for this worker only. That is reported once until the endpoint can be used again."""
        if delivery.destination not in self._unusable:
            self._unusable.add(delivery.destination)
            label = self._directory.label(delivery.destination)
            log.error(
                "webhook.endpoint_unusable", account=delivery.account, endpoint=label, problem=str(error)
            )
        return Conclusion(delivery, Verdict.RETURNED, "unusable", wait_seconds=UNUSABLE_PAUSE_SECONDS)

    def _concluded(self, delivery: Delivery, attempt: Attempt) -> Conclusion:
        match attempt.result:
            case AttemptResult.GUARDED:
                return Conclusion(delivery, Verdict.GIVEN_UP, f"guard_{attempt.rule}", attempt=attempt)
            case AttemptResult.PROXY:
                return self._after_proxy(delivery, attempt)
            case AttemptResult.DELIVERED:
                verdict, health, why, wait_seconds = Verdict.DELIVERED, Health.GOOD, str(attempt.status), 0.0
            case _:
                verdict, why, wait_seconds = self._after_failure(delivery, attempt)
                health = Health.SLOW if attempt.slow else Health.BAD
        return Conclusion(
            delivery,
            verdict,
            why,
            health,
            wait_seconds,
            slow_seconds=_wish(attempt),
            disable=_disable(attempt),
            attempt=attempt,
            excerpt=self._excerpts.of(attempt.body),
        )

    def _after_failure(self, delivery: Delivery, attempt: Attempt) -> tuple[Verdict, str, float]:
        """What a disabled endpoint was to get waits for its time, even if all attempts are spent."""
        if delivery.attempt >= self._schedule.attempts and not attempt.disable:
            return Verdict.GIVEN_UP, "attempts_spent", 0.0
        wait_seconds = self._schedule.wait_seconds(delivery.attempt, self._jitter())
        return Verdict.AGAIN, _why(attempt), max(wait_seconds, _wish(attempt) or 0.0)

    def _after_proxy(self, delivery: Delivery, attempt: Attempt) -> Conclusion:
        finished = delivery.finished_at_us / 1_000_000
        if finished and self._unix_clock() - finished > KEPT_SECONDS:
            return Conclusion(delivery, Verdict.GIVEN_UP, "proxy", attempt=attempt)
        return Conclusion(
            delivery, Verdict.RETURNED, "proxy", wait_seconds=PROXY_PAUSE_SECONDS, attempt=attempt
        )


def _why(attempt: Attempt) -> str:
    if attempt.status is not None:
        return str(attempt.status)
    return attempt.result.value if attempt.cause is None else attempt.cause.value


def _wish(attempt: Attempt) -> float | None:
    return None if attempt.retry_after_seconds is None else within_bounds(attempt.retry_after_seconds)


def _disable(attempt: Attempt) -> str:
    if not attempt.disable:
        return ""
    return "gone" if attempt.status == HTTPStatus.GONE else "asked"
