"""The use case of one webhook delivery: find the endpoint, send, and put the result on record."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

import structlog

from worker.core.accounts import Accounts
from worker.core.endpoints import Endpoint
from worker.core.ports import Waits
from worker.delivery.ports import Attempt, AttemptResult, Delivery, DeliveryStore, DeliveryWatch, Sender
from worker.delivery.schedule import next_wait_seconds
from worker.failpoints import hit

log = structlog.get_logger(__name__)


class Courier:
    """Carries out deliveries, any number at once.

    The store blocks its caller, so it is called through `waits`, which lets other deliveries go on meanwhile.
    """

    def __init__(
        self,
        accounts: Accounts,
        sender: Sender,
        store: DeliveryStore,
        watch: DeliveryWatch,
        waits: Waits,
        *,
        unix_clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._accounts = accounts
        self._sender = sender
        self._store = store
        self._watch = watch
        self._waits = waits
        self._unix_clock = unix_clock
        self._jitter = jitter

    def deliver(self, delivery: Delivery) -> None:
        """Make one attempt at a leased delivery, and put the result into the store.

        A delivery whose endpoint is no longer in the accounts file is given up. Raises StoreUnavailable; the lease then
        runs out and the event is sent again. Raises ConfigurationError if the endpoint's secret is gone.
        """
        bound = log.bind(
            account=delivery.account,
            event_id=delivery.event_id,
            endpoint=delivery.endpoint_key,
            attempt=delivery.attempt,
        )
        endpoint = self._endpoint(delivery)
        if endpoint is None:
            self._waits.aside(partial(self._store.give_up, delivery))
            bound.warning("webhook.given_up", reason="endpoint_gone")
            return
        hit("delivery.before")
        attempt = self._sender.send(endpoint, delivery.event_id, delivery.body, int(self._unix_clock()))
        hit("delivery.after")
        self._watch.webhook_attempted(delivery.account, attempt)
        self._record(delivery, attempt, bound.bind(**_fields(attempt)))

    def _endpoint(self, delivery: Delivery) -> Endpoint | None:
        account = self._accounts.get(delivery.account)
        endpoints = account.webhooks if account is not None else ()
        return next((endpoint for endpoint in endpoints if delivery.endpoint_key in endpoint.keys), None)

    def _record(self, delivery: Delivery, attempt: Attempt, bound: structlog.stdlib.BoundLogger) -> None:
        if attempt.result is AttemptResult.DELIVERED:
            self._waits.aside(partial(self._store.delivered, delivery))
            bound.info("webhook.delivered")
            return
        wait_seconds = next_wait_seconds(delivery.attempt, self._jitter())
        if wait_seconds is None:
            self._waits.aside(partial(self._store.give_up, delivery))
            bound.error("webhook.given_up", reason="attempts_spent")
            return
        wait_seconds = max(wait_seconds, attempt.retry_after_seconds or 0.0)
        self._waits.aside(partial(self._store.again, delivery, wait_seconds))
        bound.warning("webhook.failed", wait_seconds=round(wait_seconds, 1))


def _fields(attempt: Attempt) -> dict[str, object]:
    """Return the log fields of an attempt: its result, and the cause if no answer came."""
    ended: dict[str, object] = {"result": attempt.result.value, "status": attempt.status}
    return (
        ended if attempt.cause is None else ended | {"cause": attempt.cause.value, "problem": attempt.problem}
    )
